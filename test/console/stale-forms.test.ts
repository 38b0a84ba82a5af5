import assert from 'node:assert/strict';
import { createSession } from '../../src/core/sessions.js';
import { fieldOf, signInAs, visitorOf } from '../support/console.js';
import { startTestService, type TestService } from '../support/service.js';

describe('A form of the console that was opened some time ago', function () {
  this.timeout(60_000);
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const path = () => `/console/accounts/${service.accountId}/mailers/new`;
  const mailersOf = async () =>
    (await service.deps.db('mailers').select('name')).map(({ name }: { name: string }) => name);

  it('comes back as it was typed, with the token of now, for who has signed in again meanwhile', async () => {
    const olive = await signInAs(service, 'owner');
    const token = await createSession(service.deps.db, olive.user, { ip: null, browser: '' });
    const again = visitorOf(service, olive.user, token);
    const back = await again.post(path(), { name: 'Post <House>', csrf: olive.formToken });
    assert.equal(back.status, 403);
    assert.match(back.text, /What you typed is still here: send it once more/);
    assert.equal(fieldOf(back, 'name'), 'Post <House>');
    assert.equal(fieldOf(back, 'csrf'), again.formToken);
    assert.ok(!(await mailersOf()).includes('Post <House>'), 'nothing was done');
    const sent = await again.post(path(), { name: fieldOf(back, 'name'), csrf: fieldOf(back, 'csrf') });
    assert.equal(sent.status, 303);
    assert.ok((await mailersOf()).includes('Post <House>'));
  });

  it('is told as a page of its own where it is a button alone, or there is no form to show again', async () => {
    const olive = await signInAs(service, 'owner');
    const alone = '/console/profile/sessions/end-others';
    const notShown = `/console/accounts/${service.accountId}/people/erase`;
    for (const sent of [alone, notShown, '/console/profile/codes/off']) {
      const answer = await olive.post(sent, { csrf: 'of before' });
      assert.equal(answer.status, 403, sent);
      assert.match(answer.text, /This form is out of date/);
    }
  });

  it('leads to the sign-in and back to its page, and says that nothing was taken, once the session is over', async () => {
    const olive = await signInAs(service, 'owner');
    await service.deps.db('sessions').where({ user_id: olive.user.id }).delete();
    const sent = await olive.post(path(), { name: 'Late House' });
    assert.equal(sent.status, 303);
    const to = new URL(sent.location ?? '', service.url);
    assert.equal(to.pathname, '/console/sign-in');
    assert.equal(to.searchParams.get('next'), path());
    const signIn = await olive.get(`${to.pathname}${to.search}`);
    assert.match(signIn.text, /You were signed out meanwhile, and what you sent was not taken/);
    assert.match(signIn.html, /class="notice warn"/);
    assert.equal(fieldOf(signIn, 'next'), path());
    assert.ok(!(await mailersOf()).includes('Late House'));
    const button = await olive.post('/console/profile/sessions/end-others');
    assert.equal(button.location, '/console/sign-in?done=session-over', 'that is no page to come back to');
  });

  it('has the pointer in the first field that is wrong', async () => {
    const olive = await signInAs(service, 'owner', { password: true });
    const focused = (html: string) =>
      [...html.matchAll(/<(?:input|select|textarea)[^>]* autofocus[ >]/g)].map(String);
    const fields = { email: 'new@olive.example', password: 'not the one at all' };
    const wrong = focused((await olive.post('/console/profile/email', fields)).html);
    assert.equal(wrong.length, 1);
    assert.match(wrong[0] ?? '', / name="password"/);
    const opened = focused((await olive.get('/console/profile/email')).html);
    assert.equal(opened.length, 1);
    assert.match(opened[0] ?? '', / name="email"/);
  });
});
