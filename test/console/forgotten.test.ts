import assert from 'node:assert/strict';
import { endUser } from '../../src/core/user-ends.js';
import { createUser } from '../../src/core/users.js';
import { getAccount } from '../../src/core/accounts.js';
import { goodPassword, pageOf } from '../support/console.js';
import { startMailServer, type MailServer } from '../support/mail-server.js';
import { startTestService, until, type TestService } from '../support/service.js';
import { makeUser, sendForm, signInByForm, tokenIn, withCodes } from './strangers.js';

let hosts = 0;
const somewhere = () => ({ 'X-Forwarded-For': `198.51.100.${(hosts++ % 250) + 1}` });
const another = 'another one, quite as long';

describe('Who has forgotten the password', function () {
  this.timeout(60_000);
  let mails: MailServer;
  let service: TestService;
  before(async () => {
    mails = await startMailServer();
    service = await startTestService({
      TRUST_PROXY: '127.0.0.1',
      SMTP_URL: mails.url,
      MAIL_FROM: 'Signoff <signoff@example.com>',
    });
  });
  after(async () => {
    await service.close();
    await mails.close();
  });

  const ask = (email: string, more: Record<string, string> = somewhere()) =>
    sendForm(service, '/console/forgotten', { email }, more);
  const mailTo = async (email: string) => {
    const of = () => mails.received.filter(({ recipients }) => recipients.includes(email));
    await until('a mail has come', () => of().length > 0);
    return of();
  };
  const linkIn = (text = '') =>
    /http:\/\/signoff\.test(\/console\/password\/[\w-]{43})\s/.exec(text)?.[1] ?? '';

  it('gets a mail with a link, which sets another one and ends all sessions', async () => {
    const user = await makeUser(service, { email: 'forgetful@example.com' });
    const before = await signInByForm(service, user, somewhere());
    const asked = await ask(' Forgetful@Example.com ');
    assert.equal(asked.location, '/console/forgotten?sent=yes');
    const [mail] = await mailTo(user.email);
    const link = linkIn(mail?.text);
    assert.notEqual(link, '', mail?.text);
    const page = await pageOf(await fetch(`${service.url}${link}`));
    assert.match(page.text, /Choose a new password/);
    assert.equal(page.headers.get('referrer-policy'), 'same-origin');
    assert.match(page.headers.get('cache-control') ?? '', /no-store/);
    const uneven = await sendForm(service, link, { password: another, again: `${another}!` }, somewhere());
    assert.match(uneven.text, /The two passwords differ/);
    assert.equal((await before.get('/console/profile')).status, 200, 'nothing has changed yet');
    const both = await Promise.all(
      [1, 2].map(() => sendForm(service, link, { password: another, again: another }, somewhere())),
    );
    assert.deepEqual(both.map(({ status }) => status).sort(), [303, 404], 'the link is good for once');
    assert.match((await before.get('/console/profile')).location ?? '', /sign-in/);
    const old = await sendForm(
      service,
      '/console/sign-in',
      { email: user.email, password: goodPassword },
      somewhere(),
    );
    assert.equal(old.status, 422);
    const used = await pageOf(await fetch(`${service.url}${link}`));
    assert.equal(used.status, 404);
    assert.match(used.text, /This link does not open any more/);
  });

  it('is not signed in by a mailbox alone, where codes are asked for', async () => {
    const { user } = await withCodes(service, await makeUser(service));
    await ask(user.email);
    const link = linkIn((await mailTo(user.email))[0]?.text);
    const answer = await sendForm(service, link, { password: another, again: another }, somewhere());
    assert.equal(tokenIn(answer), null);
    assert.equal(answer.location, '/console/sign-in?done=password-set');
    assert.equal((await service.deps.db('sessions').where({ user_id: user.id })).length, 0);
  });

  it('reads the mail in the own language', async () => {
    const user = await makeUser(service);
    await service.deps.db('users').where({ id: user.id }).update({ language: 'ja' });
    await ask(user.email);
    const [mail] = await mailTo(user.email);
    assert.equal(mail?.subject, 'Signoffのパスワード再設定');
    assert.match(mail?.text ?? '', /有効期限は1時間です/);
  });

  it('is told the same, after the same time, as somebody that there is not, or who was ended', async () => {
    const user = await makeUser(service);
    const ended = await makeUser(service);
    await endUser(service.deps.db, ended, { actor: 'test', evenLast: true });
    const times: number[] = [];
    for (const email of [user.email, ended.email, 'nobody@example.com']) {
      const startedAt = performance.now();
      const asked = await ask(email);
      times.push(performance.now() - startedAt);
      assert.deepEqual([asked.status, asked.location], [303, '/console/forgotten?sent=yes']);
    }
    assert.ok(
      times.every((ms) => ms >= 495),
      'not before the time is up',
    );
    await mailTo(user.email);
    assert.equal(
      mails.received.filter(
        ({ recipients }) =>
          !recipients.includes(user.email) &&
          recipients.some((to) => to === ended.email || to === 'nobody@example.com'),
      ).length,
      0,
    );
  });

  it('may take up an invitation that has run out by such a link', async () => {
    const account = await getAccount(service.deps.db, service.accountId);
    const email = 'invited@example.com';
    await createUser(service.deps.db, { role: 'owner', account }, { email, name: 'Ivy' }, { actor: 'test' });
    await ask(email);
    const link = linkIn((await mailTo(email))[0]?.text);
    const answer = await sendForm(service, link, { password: another, again: another }, somewhere());
    assert.notEqual(tokenIn(answer), null);
  });

  it('is sent few mails, and signs in all the same while others ask for more', async () => {
    const user = await makeUser(service);
    const from = somewhere();
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(user.email, from)));
    const taken = answers.filter(({ status }) => status === 303).length;
    assert.ok(taken <= 3, `${taken} were taken`);
    const refused = answers.find(({ status }) => status === 429);
    assert.match(refused?.text ?? '', /no more are sent for now/);
    for (let i = 0; i < 8; i++) await ask(user.email);
    assert.ok((await mailTo(user.email)).length <= 5);
    assert.notEqual(await signInByForm(service, user, from), null);
    const nobody = await Promise.all(Array.from({ length: 8 }, () => ask('nobody.at.all@example.com', from)));
    assert.ok(
      nobody.some(({ status }) => status === 429),
      'the same for somebody that there is not',
    );
  });

  it('is told what is no address', async () => {
    const answer = await ask('no address');
    assert.equal(answer.status, 422);
    assert.match(answer.text, /This is not an e-mail address/);
  });
});

describe('Who has forgotten the password where no mail is sent', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('is told whom to ask', async () => {
    const page = await pageOf(await fetch(`${service.url}/console/forgotten`));
    assert.match(page.text, /Ask an owner of your account for a new link/);
    assert.doesNotMatch(page.html, /<form/);
    const user = await makeUser(service);
    const asked = await sendForm(service, '/console/forgotten', { email: user.email });
    assert.equal(asked.location, '/console/forgotten');
    assert.equal((await service.deps.db('mails')).length, 0);
    assert.equal((await service.deps.db('one_time_links').where({ user_id: user.id })).length, 0);
  });
});
