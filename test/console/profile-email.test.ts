import assert from 'node:assert/strict';
import { waitingEmail } from '../../src/core/email-changes.js';
import { createUser, editUser, getUser } from '../../src/core/users.js';
import { goodPassword, type Visitor } from '../support/console.js';
import { startMailServer, type MailServer } from '../support/mail-server.js';
import { startTestService, until, type TestService } from '../support/service.js';
import { makeUser, sendForm, signInByForm, tokenIn } from './strangers.js';

const password = goodPassword;
const path = '/console/profile/email';
const nowhere = `${path}/${'x'.repeat(43)}`;
let made = 0;

describe('Another address to sign in with, where mails are sent', function () {
  this.timeout(60_000);
  let mails: MailServer;
  let service: TestService;
  before(async () => {
    mails = await startMailServer();
    service = await startTestService({ SMTP_URL: mails.url, MAIL_FROM: 'signoff@example.com' });
  });
  after(async () => {
    await service.close();
    await mails.close();
  });

  const newAddress = () => `olive.new${++made}@example.com`;
  const emailOf = async ({ user }: Visitor) => (await getUser(service.deps.db, user.id)).email;
  const textsTo = async (email: string, count = 1) => {
    const of = () => mails.received.filter(({ recipients }) => recipients.includes(email));
    await until('the mails have come', () => of().length >= count);
    return of().map(({ text }) => text ?? '');
  };
  /** The newest link that was mailed to an address. */
  const linkTo = async (email: string, count = 1) => {
    const text = (await textsTo(email, count)).at(-1) ?? '';
    const [, link] = /http:\/\/signoff\.test(\/console\/profile\/email\/[\w-]{43})\s/.exec(text) ?? [];
    assert.ok(link !== undefined, text);
    return link;
  };
  const signsIn = async (email: string) =>
    tokenIn(await sendForm(service, '/console/sign-in', { email, password })) !== null;
  const asked = async () => {
    const user = await makeUser(service);
    const olive = await signInByForm(service, user);
    const email = newAddress();
    const answer = await olive.post(path, { email, password });
    assert.equal(answer.location, '/console/profile?done=email-asked');
    return { user, olive, email, link: await linkTo(email) };
  };

  it('counts once the link that was mailed there is confirmed; until then the old one does', async () => {
    const { user, olive, email, link } = await asked();
    const elsewhere = await signInByForm(service, user);
    assert.equal(await emailOf(olive), user.email);
    assert.equal(await signsIn(user.email), true);
    assert.equal(await signsIn(email), false);
    assert.match((await olive.get(path)).text, new RegExp(`Not confirmed yet: ${email}`));
    const page = await olive.get(link);
    assert.match(
      page.text,
      new RegExp(`you sign in with this address: ${email} in place of this one: ${user.email}`),
    );
    assert.equal(await emailOf(olive), user.email, 'to open it changes nothing');
    assert.equal((await olive.post(link)).location, '/console/profile?done=email-changed');
    assert.equal(await signsIn(email), true);
    assert.equal(await signsIn(user.email), false);
    assert.equal((await olive.get('/console/profile')).status, 200, 'here the user stays');
    assert.match((await elsewhere.get('/console/profile')).location ?? '', /sign-in/);
    assert.equal((await olive.post(link)).status, 404, 'it is used up');
    assert.doesNotMatch((await olive.get('/console/profile')).text, /Not confirmed yet/);
  });

  it('tells the old address when it is asked for, and when it is changed, and names the new one in neither', async () => {
    const { user, olive, email, link } = await asked();
    await olive.post(link);
    const told = await textsTo(user.email, 2);
    assert.match(told[0] ?? '', /wants to sign in .* with another address/);
    assert.match(told[1] ?? '', /has changed the address/);
    assert.ok(told.every((text) => !text.includes(email)));
    const toNew = await textsTo(email);
    assert.ok(!toNew.join().includes(user.email), 'nor does a stranger learn of the old one');
    const history = JSON.stringify(await service.deps.db('history').where({ actor: `user:${user.id}` }));
    assert.match(history, /user\.email-asked/);
    assert.ok(!history.includes(email));
  });

  it('is of use to nobody else: neither to who is not signed in, nor to another user', async () => {
    const { user, olive, link } = await asked();
    const nobody = await fetch(`${service.url}${link}`, { redirect: 'manual' });
    assert.equal(nobody.headers.get('location'), `/console/sign-in?next=${encodeURIComponent(link)}`);
    assert.match((await sendForm(service, link, {})).location ?? '', /^\/console\/sign-in/);
    const other = await signInByForm(service, await makeUser(service));
    assert.equal((await other.get(link)).status, 404);
    assert.equal((await other.post(link)).status, 404);
    assert.match((await other.get(nowhere)).text, /This link does not open any more/);
    assert.equal(await emailOf(olive), user.email);
    const fields = { email: user.email, password, next: link };
    assert.equal((await sendForm(service, '/console/sign-in', fields)).location, link, 'after the sign-in');
    assert.equal((await olive.post(link)).status, 303);
  });

  it('is changed once, however many open the link at the same time', async () => {
    const { olive, email, link } = await asked();
    const answers = await Promise.all([1, 2, 3, 4].map(() => olive.post(link)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [303, 404, 404, 404]);
    assert.equal(await emailOf(olive), email);
  });

  it('is refused in clear words where somebody else has got it meanwhile', async () => {
    const { user, olive, email, link } = await asked();
    const ivy = await createUser(
      service.deps.db,
      { role: 'admin' },
      { email, name: 'Ivy' },
      { actor: 'test' },
    );
    const taken = await olive.post(link);
    assert.equal(taken.status, 403);
    assert.match(taken.text, /Somebody else signs in with this address by now\. Nothing was changed/);
    assert.equal(await emailOf(olive), user.email);
    await editUser(service.deps.db, ivy, { email: newAddress() }, { actor: 'test' });
    assert.equal((await olive.post(link)).status, 303, 'the link is still good');
  });

  it('is got by one of two who confirm the same one at once', async () => {
    const email = newAddress();
    const two = [];
    for (let i = 1; i <= 2; i++) {
      const visitor = await signInByForm(service, await makeUser(service));
      assert.equal((await visitor.post(path, { email, password })).status, 303);
      two.push({ visitor, link: await linkTo(email, i) });
    }
    const answers = await Promise.all(two.map(({ visitor, link }) => visitor.post(link)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [303, 403]);
    assert.equal((await service.deps.db('users').where({ email })).length, 1);
  });

  it('is given up for a newer one, for the present one, and with a new password', async () => {
    const { user, olive, link } = await asked();
    const second = newAddress();
    await olive.post(path, { email: second, password });
    assert.equal((await olive.get(link)).status, 404, 'the newest link alone is good');
    assert.equal((await olive.get(await linkTo(second))).status, 200);
    const kept = await olive.post(path, { email: user.email, password });
    assert.equal(kept.location, '/console/profile?done=saved');
    assert.equal(await waitingEmail(service.deps.db, user), null);

    const third = newAddress();
    await olive.post(path, { email: third, password });
    const thirdLink = await linkTo(third);
    const another = 'another one, quite as long';
    const changed = { current: password, password: another, again: another };
    assert.equal((await olive.post('/console/profile/password', changed)).status, 303);
    const fields = { email: user.email, password: another };
    const token = tokenIn(await sendForm(service, '/console/sign-in', fields)) ?? '';
    const page = await fetch(`${service.url}${thirdLink}`, { headers: { Cookie: `signoff=${token}` } });
    assert.equal(page.status, 404);
    await page.text();
  });

  it('is given up by a button, without a password', async () => {
    const { user, olive, link } = await asked();
    assert.match((await olive.get(path)).html, /name="giveUp"/);
    const given = await olive.post(path, { giveUp: 'yes' });
    assert.equal(given.location, '/console/profile?done=email-given-up');
    assert.equal(await waitingEmail(service.deps.db, user), null);
    assert.equal((await olive.post(link)).status, 404);
    assert.equal(await emailOf(olive), user.email);
    assert.ok(!(await olive.get(path)).html.includes('giveUp'));
  });

  it('is asked for with the password alone, and not where somebody has it already', async () => {
    const user = await makeUser(service);
    const olive = await signInByForm(service, user);
    const taken = (await makeUser(service)).email;
    for (const [email, word, why] of [
      [newAddress(), 'not the one at all', /This is not your password/],
      [taken, password, /Somebody signs in with this address already/],
      ['nonsense', password, /This is not an e-mail address/],
    ] as const) {
      const answer = await olive.post(path, { email, password: word });
      assert.equal(answer.status, 422);
      assert.match(answer.text, why);
    }
    assert.equal(await waitingEmail(service.deps.db, user), null);
    assert.match((await olive.get(path)).text, /once you have opened it/);
  });

  it('says so where no more mails are taken, and changes nothing', async () => {
    const user = await makeUser(service);
    const olive = await signInByForm(service, user);
    const row = { sealed: Buffer.alloc(40), created_at: 1, due_at: Date.now() + 3_600_000, expires_at: 1e15 };
    for (let i = 0; i < 20; i++)
      await service.deps.db('mails').insert(Array.from({ length: 500 }, () => row));
    try {
      assert.equal((await olive.post(path, { email: newAddress(), password })).status, 503);
      assert.equal(await waitingEmail(service.deps.db, user), null);
    } finally {
      await service.deps.db('mails').delete();
    }
  });
});
