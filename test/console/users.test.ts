import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { createMailer } from '../../src/core/mailers.js';
import { createLink } from '../../src/core/one-time-links.js';
import { findUserByEmail, getUser, type User } from '../../src/core/users.js';
import { goodPassword, pageOf, signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { startMailServer } from '../support/mail-server.js';
import { startTestService, until, type TestService } from '../support/service.js';
import { makeUser, sendForm, signInByForm, tokenIn, withCodes } from './strangers.js';

const password = goodPassword;
const chosen = 'another one, quite as long';
const linkIn = ({ text }: ConsolePage) =>
  /http:\/\/signoff\.test(\/console\/(?:invitation|password)\/[\w-]{43})/.exec(text)?.[1] ?? '';

describe('People of an account', function () {
  this.timeout(60_000);
  let service: TestService;
  let olive: Visitor;
  let base: string;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
    base = `/console/accounts/${service.accountId}/users`;
  });
  after(() => service.close());

  const invite = (fields: Record<string, string>, by = olive) =>
    by.post(`${base}/new`, { name: 'Ivy Invited', role: 'owner', password, ...fields });
  const userOf = async (email: string): Promise<User> => {
    const user = await findUserByEmail(service.deps.db, email);
    assert.ok(user !== null);
    return user;
  };

  it('are invited by a link that is shown once, and choose a password with it', async () => {
    const page = await invite({ email: 'ivy@example.com' });
    assert.equal(page.status, 200);
    const link = linkIn(page);
    assert.notEqual(link, '');
    assert.match(page.text, /hand it on yourself/);
    const list = await olive.get(base);
    assert.match(list.text, /Ivy Invited ivy@example\.com List owner Invited Never/);
    assert.ok(!list.html.includes(link));
    const opened = await pageOf(await fetch(`${service.url}${link}`));
    assert.match(opened.text, /Welcome to Signoff/);
    const taken = await sendForm(service, link, { password: chosen, again: chosen });
    assert.equal(taken.location, '/console');
    assert.notEqual(tokenIn(taken), null);
    assert.match((await olive.get(base)).text, /Ivy Invited ivy@example\.com List owner Active/);
    assert.equal((await sendForm(service, link, { password: chosen, again: chosen })).status, 404);
  });

  it('can take up an invitation in a browser that somebody else is signed in with', async () => {
    const link = linkIn(await invite({ email: 'ina@example.com' }));
    const opened = await olive.get(link);
    const [form = ''] =
      /<form method="post" action="\/console\/invitation[^]*?<\/form>/.exec(opened.html) ?? [];
    assert.ok(form.includes(`name="csrf" value="${olive.formToken}"`));
    const visitor = await signInAs(service, 'owner');
    const taken = await visitor.post(link, { password: chosen, again: chosen });
    assert.notEqual(tokenIn(taken), null);
    assert.match((await visitor.get('/console/profile')).location ?? '', /sign-in/, 'that one is signed out');
  });

  it('of a mailer are of that mailer, which is one of the account', async () => {
    const { db } = service.deps;
    const ours = await createMailer(db, service.accountId, { name: 'Mail <House>' }, { actor: 'test' });
    const other = await createAccount(db, 'Other');
    const theirs = await createMailer(db, other.id, { name: 'Their House' }, { actor: 'test' });
    const form = await olive.get(`${base}/new`);
    assert.match(form.text, /Mailer: Mail <House>/);
    assert.ok(!form.text.includes('Their House'));
    const email = 'max@example.com';
    assert.equal((await invite({ email, role: `mailer-${theirs.id}` })).status, 404);
    for (const role of ['admin', 'mailer', 'mailer-x', 'owner-1', '']) {
      assert.ok([404, 422].includes((await invite({ email, role })).status), role);
    }
    assert.equal(await findUserByEmail(db, email), null);
    await invite({ email, role: `mailer-${ours.id}` });
    const { role, mailerId, accountId } = await userOf(email);
    assert.deepEqual(
      { role, mailerId, accountId },
      { role: 'mailer', mailerId: ours.id, accountId: service.accountId },
    );
    assert.match((await olive.get(base)).text, /max@example\.com Mailer Mail <House> Invited/);
  });

  it('are invited only by who gives the password again, and once for an address', async () => {
    const email = 'ida@example.com';
    const wrong = await invite({ email, password: 'not the one at all' });
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /This is not your password/);
    assert.match(wrong.html, /value="ida@example\.com"/, 'what was typed comes back');
    assert.ok(!wrong.html.includes('not the one at all'));
    assert.equal((await invite({ email, password: '' })).status, 422);
    assert.equal(await findUserByEmail(service.deps.db, email), null);
    assert.equal((await invite({ email })).status, 200);
    const twice = await invite({ email: 'IDA@example.com' });
    assert.equal(twice.status, 422);
    assert.match(twice.text, /Somebody signs in with this address already/);
    assert.match((await invite({ email: 'nonsense' })).text, /This is not an e-mail address/);
    assert.match((await invite({ email: 'x@example.com', name: ' ' })).text, /Please fill this in/);
  });

  it('get a new link when theirs has run out, or the password is forgotten', async () => {
    await invite({ email: 'ike@example.com' });
    const ike = await userOf('ike@example.com');
    await service.deps.db('one_time_links').where({ user_id: ike.id }).update({ expires_at: 1 });
    assert.match((await olive.get(base)).text, /ike@example\.com List owner Invitation has run out/);
    const first = linkIn(await olive.post(`${base}/${ike.id}/link`, { password }));
    assert.match(first, /\/invitation\//);
    await sendForm(service, first, { password: chosen, again: chosen });
    assert.match((await olive.get(`${base}/${ike.id}/link`)).text, /It is good for a day/);
    assert.equal((await olive.post(`${base}/${ike.id}/link`, { password: 'no' })).status, 422);
    const second = linkIn(await olive.post(`${base}/${ike.id}/link`, { password }));
    assert.match(second, /\/password\//);
    for (let i = 0; i < 6; i++) await createLink(service.deps.db, 'password', await userOf(ike.email));
    const opened = await pageOf(await fetch(`${service.url}${second}`));
    assert.match(opened.text, /Choose a new password/, 'nobody who asks for mails pushes it out');
    assert.equal((await sendForm(service, second, { password, again: password })).status, 303);
  });

  it('are ended at once, and revived by an invitation', async () => {
    const user = await makeUser(service);
    const theirs = await signInByForm(service, user);
    assert.match((await olive.get(`${base}/${user.id}/end`)).text, /signed out everywhere at once/);
    assert.equal((await olive.post(`${base}/${user.id}/end`, { password: '' })).status, 422);
    assert.equal((await theirs.get('/console/profile')).status, 200);
    const ended = await olive.post(`${base}/${user.id}/end`, { password });
    assert.equal(ended.location, `${base}?done=user-ended`);
    assert.match((await theirs.get('/console/profile')).location ?? '', /sign-in/);
    const noLink = await olive.post(`${base}/${user.id}/link`, { password });
    assert.equal(noLink.status, 403);
    assert.match(noLink.text, /Revive them first/);
    const link = linkIn(await olive.post(`${base}/${user.id}/revive`, { password }));
    assert.match(link, /\/invitation\//);
    assert.equal((await sendForm(service, link, { password: chosen, again: chosen })).status, 303);
    assert.match((await olive.post(`${base}/${user.id}/revive`, { password })).text, /can sign in already/);
  });

  it('who have lost their telephone have their codes switched off, and are signed out', async () => {
    const made = await makeUser(service);
    const theirs = await signInByForm(service, made);
    const { user } = await withCodes(service, made);
    const link = await createLink(service.deps.db, 'handed-on', user);
    const path = `${base}/${user.id}/codes-off`;
    assert.ok((await olive.get(base)).html.includes(`href="${path}"`));
    assert.match((await olive.get(path)).text, /Be sure who asks/);
    for (const word of ['', 'not the one at all']) {
      assert.equal((await olive.post(path, { password: word })).status, 422);
    }
    assert.equal((await theirs.get('/console/profile')).status, 200, 'nothing has changed yet');
    assert.equal((await olive.post(path, { password })).location, `${base}?done=user-codes-off`);
    assert.equal((await getUser(service.deps.db, user.id)).hasOneTimeCodes, false);
    assert.match((await theirs.get('/console/profile')).location ?? '', /sign-in/);
    assert.equal((await fetch(`${service.url}/console/password/${link}`)).status, 404);
    assert.equal((await service.deps.db('recovery_codes').where({ user_id: user.id })).length, 0);
    const signedIn = await sendForm(service, '/console/sign-in', { email: user.email, password });
    assert.notEqual(tokenIn(signedIn), null, 'the password is the one of before, and enough');
    const noted = (await service.deps
      .db('history')
      .where({ action: 'user.codes-off', actor: `user:${olive.user.id}` })
      .pluck('details')) as string[];
    assert.deepEqual(
      noted.map((details) => JSON.parse(details) as unknown),
      [{ user: user.id }],
    );
    assert.ok(!(await olive.get(base)).html.includes(`href="${path}"`));
    assert.match((await olive.post(path, { password })).text, /signs in without one-time codes already/);
  });

  it('do not switch their own codes off by that page, which asks for no code', async () => {
    const made = await makeUser(service);
    const oscar = await signInByForm(service, made);
    await withCodes(service, made);
    const answer = await oscar.post(`${base}/${made.id}/codes-off`, { password });
    assert.equal(answer.status, 403);
    assert.match(answer.text, /in your profile, with your password and a code/);
    assert.equal((await getUser(service.deps.db, made.id)).hasOneTimeCodes, true);
  });

  it('do not end themselves, or the last owner', async () => {
    const { db } = service.deps;
    const account = await createAccount(db, 'One owner');
    const only = await signInAs(service, { owner: account }, { password: true });
    const here = `/console/accounts/${account.id}/users`;
    const self = await only.post(`${here}/${only.user.id}/end`, { password });
    assert.equal(self.status, 403);
    assert.match(self.text, /You cannot end yourself/);
    const ada = await signInAs(service, 'admin', { password: true });
    const last = await ada.post(`${here}/${only.user.id}/end`, { password });
    assert.match(last.text, /This is the last owner/);
    assert.equal((await getUser(db, only.user.id)).endedAt, null);
    const second = await makeUser(service, { place: { role: 'owner', account } });
    assert.equal((await ada.post(`${here}/${second.id}/end`, { password })).status, 303);
  });

  it('of other accounts, and admins, are out of reach', async () => {
    const { db } = service.deps;
    const other = await createAccount(db, 'Elsewhere');
    const theirs = await makeUser(service, { place: { role: 'owner', account: other } });
    const admin = await makeUser(service, { place: { role: 'admin' } });
    const ada = await signInAs(service, 'admin', { password: true });
    for (const id of [theirs.id, admin.id, 999_999]) {
      for (const what of ['link', 'codes-off', 'end', 'revive']) {
        assert.equal((await olive.get(`${base}/${id}/${what}`)).status, 404);
        assert.equal((await olive.post(`${base}/${id}/${what}`, { password })).status, 404);
        // Nor by another account's page, or the admins' one.
        assert.equal((await ada.post(`${base}/${id}/${what}`, { password })).status, 404);
        assert.equal((await olive.post(`/console/admins/${id}/${what}`, { password })).status, 403);
        if (id !== admin.id)
          assert.equal((await ada.post(`/console/admins/${id}/${what}`, { password })).status, 404);
      }
    }
    assert.equal((await getUser(db, theirs.id)).endedAt, null);
    assert.equal((await db('one_time_links').whereIn('user_id', [theirs.id, admin.id])).length, 0);
    assert.equal((await olive.get(`/console/accounts/${other.id}/users`)).status, 404);
    assert.equal((await olive.post(`/console/accounts/${other.id}/users/new`, { password })).status, 404);
  });

  it('cannot run anything by what they are called', async () => {
    const name = `"><script>alert(1)</script>' onx=`;
    const page = await invite({ email: 'evil@example.com', name });
    const { id } = await userOf('evil@example.com');
    for (const { html } of [page, await olive.get(base), await olive.get(`${base}/${id}/end`)]) {
      assert.ok(html.includes('&lt;script&gt;'));
      assert.ok(!html.includes('<script>alert'));
    }
  });

  it('of the installation are its admins, who invite and end each other', async () => {
    const ada = await signInAs(service, 'admin', { password: true });
    const page = await ada.post('/console/admins/new', { name: 'Abe', email: 'abe@example.com', password });
    const link = linkIn(page);
    await sendForm(service, link, { password: chosen, again: chosen });
    const abe = await userOf('abe@example.com');
    assert.deepEqual([abe.role, abe.accountId, abe.mailerId], ['admin', null, null]);
    assert.match((await ada.get('/console/admins')).text, /Abe abe@example\.com Active/);
    assert.equal((await ada.post(`/console/admins/${abe.id}/end`, { password })).status, 303);
    assert.match(
      (await ada.post(`/console/admins/${ada.user.id}/end`, { password })).text,
      /You cannot end yourself/,
    );
  });
});

describe('People of an account, where mails are sent', function () {
  this.timeout(60_000);
  it('get their invitation by mail as well, with no text of who invites', async () => {
    const mails = await startMailServer();
    const service = await startTestService({ SMTP_URL: mails.url, MAIL_FROM: 'signoff@example.com' });
    try {
      const olive = await signInAs(service, 'owner', { password: true });
      const page = await olive.post(`/console/accounts/${service.accountId}/users/new`, {
        ...{ name: 'Buy at evil.example', email: 'ivy@example.com' },
        ...{ role: 'owner', password },
      });
      assert.match(page.text, /on its way by mail/);
      await until('the mail has come', () => mails.received.length === 1);
      const [mail] = mails.received;
      assert.deepEqual(mail?.recipients, ['ivy@example.com']);
      assert.ok(mail?.text?.includes(`http://signoff.test${linkIn(page)}`));
      assert.match(mail?.text ?? '', /for 7 days/);
      assert.ok(!mail?.source.includes('evil.example'));
      const history = JSON.stringify(await service.deps.db('history'));
      assert.ok(!history.includes('ivy@example.com'));
    } finally {
      await service.close();
      await mails.close();
    }
  });

  it('are told when their codes are switched off, their access is ended, and opened again', async () => {
    const mails = await startMailServer();
    const service = await startTestService({ SMTP_URL: mails.url, MAIL_FROM: 'signoff@example.com' });
    try {
      const { db } = service.deps;
      const olive = await signInAs(service, 'owner', { password: true });
      const { user } = await withCodes(service, await makeUser(service));
      await db('users').where({ id: user.id }).update({ language: 'ja' });
      const base = `/console/accounts/${service.accountId}/users/${user.id}`;
      /** The newest one; there are to be so many. */
      const told = async (count: number) => {
        await until('the mail has come', () => mails.received.length === count);
        const mail = mails.received.at(-1);
        assert.deepEqual(mail?.recipients, [user.email]);
        assert.ok(!mail?.source.includes(olive.user.email), 'it does not say who');
        return mail?.text ?? '';
      };
      await olive.post(`${base}/codes-off`, { password });
      assert.match(await told(1), /ワンタイムコードが、権限を持つ方によって無効にされ/);
      await olive.post(`${base}/end`, { password });
      assert.match(await told(2), /利用が、権限を持つ方によって停止されました/);
      await olive.post(`${base}/end`, { password });
      await db('users').where({ id: user.id }).update({ language: 'en' });
      const page = await olive.post(`${base}/revive`, { password });
      const text = await told(3);
      assert.match(text, /is open again\. Your old password and your one-time codes are gone/);
      assert.ok(text.includes(`http://signoff.test${linkIn(page)}`), 'with the link, in one mail');
    } finally {
      await service.close();
      await mails.close();
    }
  });
});
