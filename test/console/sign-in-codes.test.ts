import assert from 'node:assert/strict';
import { sessionsOf } from '../../src/core/sessions.js';
import { takeCodesOff } from '../../src/core/one-time-codes.js';
import { setPassword } from '../../src/core/user-passwords.js';
import { countCode, isToBeTold, mostWrongADay } from '../../src/core/wrong-codes.js';
import { fieldOf, goodPassword } from '../support/console.js';
import { startMailServer, type MailServer } from '../support/mail-server.js';
import { startTestService, until, type TestService } from '../support/service.js';
import { codeFor, makeUser, sendForm, signInByForm, tokenIn, withCodes } from './strangers.js';

const dayMs = 24 * 3_600_000;

/** Addresses of their own, so that no test is refused for what another one tried: TRUST_PROXY names this peer. */
let hosts = 0;
const somewhere = () => ({ 'X-Forwarded-For': `198.51.100.${(hosts++ % 250) + 1}` });

describe('One-time codes at the sign-in', function () {
  this.timeout(60_000);
  let service: TestService;
  before(async () => {
    service = await startTestService({ TRUST_PROXY: '127.0.0.1' });
  });
  after(() => service.close());

  const signIn = (email: string, from = somewhere()) =>
    sendForm(service, '/console/sign-in', { email, password: goodPassword }, from);
  const sendCode = (token: string, code: string, from = somewhere()) =>
    sendForm(service, '/console/sign-in/code', { token, code, next: '' }, from);

  it('are asked for after the password, and each opens once', async () => {
    const { user, secret } = await withCodes(service, await makeUser(service));
    const step = await signIn(user.email);
    assert.equal(step.status, 200);
    assert.equal(tokenIn(step), null, 'the password alone opens nothing');
    assert.equal((await sessionsOf(service.deps.db, user)).length, 0);
    const token = fieldOf(step, 'token');
    const code = codeFor(secret);
    const wrong = await sendCode(token, String((Number(code) + 1) % 1_000_000).padStart(6, '0'));
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /This code is not right, or was used already/);
    assert.equal(fieldOf(wrong, 'token'), token, 'the step goes on');
    const right = await sendCode(token, `${code.slice(0, 3)} ${code.slice(3)}`);
    assert.equal(right.status, 303);
    assert.notEqual(tokenIn(right), null);
    assert.equal((await sendCode(token, code)).status, 404, 'the step is over');
    const again = await sendCode(fieldOf(await signIn(user.email), 'token'), code);
    assert.equal(again.status, 422, 'the code is used up');
  });

  it('open once, however many come at the same time', async () => {
    const { user, secret } = await withCodes(service, await makeUser(service));
    const code = codeFor(secret);
    const steps = await Promise.all([1, 2, 3, 4].map(async () => fieldOf(await signIn(user.email), 'token')));
    const answers = await Promise.all(steps.map((token) => sendCode(token, code)));
    assert.equal(answers.filter((answer) => tokenIn(answer) !== null).length, 1);
  });

  it('can be replaced by a recovery code, each once', async () => {
    const { user, recovery } = await withCodes(service, await makeUser(service));
    const [first = '', second = ''] = recovery;
    assert.equal(recovery.length, 8);
    const steps = [];
    for (let i = 0; i < 3; i++) steps.push(fieldOf(await signIn(user.email), 'token'));
    const answers = await Promise.all(steps.map((token) => sendCode(token, first)));
    assert.equal(answers.filter((answer) => tokenIn(answer) !== null).length, 1);
    const used = await sendCode(
      fieldOf(await signIn(user.email), 'token'),
      second.toUpperCase().replace('-', ' '),
    );
    assert.notEqual(tokenIn(used), null);
  });

  it('cannot be guessed by going back to the password again and again, from wherever', async () => {
    const { user, secret } = await withCodes(service, await makeUser(service));
    let looked = 0;
    for (let i = 0; i < 12; i++) {
      const step = await signIn(user.email);
      assert.equal(step.status, 200);
      const answer = await sendCode(fieldOf(step, 'token'), '000000');
      if (answer.status === 422) looked++;
      else assert.equal(answer.status, 429);
    }
    assert.equal(looked, 5);
    const right = await sendCode(fieldOf(await signIn(user.email), 'token'), codeFor(secret));
    assert.equal(right.status, 429, 'the right one is not looked at either');
  });

  it('are looked at no more until tomorrow, after twenty wrong ones, wherever they are asked for', async () => {
    const { db } = service.deps;
    const made = await makeUser(service);
    const visitor = await signInByForm(service, made, somewhere());
    const { user, secret, recovery } = await withCodes(service, made);
    // All of the day's but one, an hour apart.
    const today = Date.now() - (Date.now() % dayMs);
    for (let i = 0; i < mostWrongADay - 1; i++) await countCode(db, user, null, today + i * 3_600_000);
    const step = async () => fieldOf(await signIn(user.email), 'token');
    assert.equal((await sendCode(await step(), '000000')).status, 422);
    for (const code of [codeFor(secret), recovery[0] ?? '']) {
      const refused = await sendCode(await step(), code);
      assert.equal(refused.status, 429);
      assert.match(
        refused.text,
        /None is taken until tomorrow, 0:00 UTC.*an owner of your account can switch/,
      );
      assert.equal(tokenIn(refused), null);
    }
    const given = { password: goodPassword, code: codeFor(secret) };
    const off = await visitor.post('/console/profile/codes/off', given);
    assert.equal(off.status, 429);
    assert.match(off.text, /None is taken until tomorrow/);
    await takeCodesOff(db, user, { actor: 'test' });
    assert.notEqual(tokenIn(await signIn(user.email)), null, 'switched off by somebody else');
    const again = await withCodes(service, user);
    const right = await sendCode(await step(), codeFor(again.secret));
    assert.notEqual(tokenIn(right), null, 'and on again');
  });

  it('are not passed by a step that began with a password that was changed since', async () => {
    const { user, secret } = await withCodes(service, await makeUser(service));
    const token = fieldOf(await signIn(user.email), 'token');
    await setPassword(service.deps.db, user, 'another one, quite as long', { actor: 'test' });
    const answer = await sendCode(token, codeFor(secret));
    assert.equal(answer.status, 404);
    assert.match(answer.text, /Please sign in again/);
  });
});

describe('Wrong one-time codes, where mails are sent', function () {
  this.timeout(60_000);
  let mails: MailServer;
  let service: TestService;
  before(async () => {
    mails = await startMailServer();
    service = await startTestService({
      ...{ TRUST_PROXY: '127.0.0.1', SMTP_URL: mails.url, MAIL_FROM: 'signoff@example.com' },
    });
  });
  after(async () => {
    await service.close();
    await mails.close();
  });

  const signIn = (email: string, password = goodPassword) =>
    sendForm(service, '/console/sign-in', { email, password }, somewhere());
  /** After a right password, each by itself. */
  async function typeWrong(email: string, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      const token = fieldOf(await signIn(email), 'token');
      const fields = { token, code: i % 2 === 0 ? '000000' : 'aaaaa-aaaaa', next: '' };
      const answer = await sendForm(service, '/console/sign-in/code', fields, somewhere());
      assert.equal(answer.status, 422, answer.text);
    }
  }
  const noted = async (id: number) =>
    (
      (await service.deps.db('history').where({ action: 'user.wrong-codes' }).pluck('details')) as string[]
    ).filter((details) => (JSON.parse(details) as { user: number }).user === id).length;
  const mailsTo = (email: string) => mails.received.filter(({ recipients }) => recipients.includes(email));

  it('are told to the user by mail from the fifth on, once a day, in the own language', async () => {
    const { user } = await withCodes(service, await makeUser(service));
    await service.deps.db('users').where({ id: user.id }).update({ language: 'ja' });
    await typeWrong(user.email, 4);
    assert.equal(await noted(user.id), 0);
    await typeWrong(user.email, 1);
    await until('the mail has come', () => mailsTo(user.email).length === 1);
    assert.match(mailsTo(user.email)[0]?.text ?? '', /正しいパスワードが入力された後/);
    assert.doesNotMatch(mailsTo(user.email)[0]?.text ?? '', /Hello/);
    await forgetQuarter();
    await typeWrong(user.email, 5);
    assert.equal(await noted(user.id), 1);
    assert.equal(mailsTo(user.email).length, 1);
  });

  it('are told in all languages where none is chosen', async () => {
    const { user } = await withCodes(service, await makeUser(service));
    await typeWrong(user.email, 5);
    await until('the mail has come', () => mailsTo(user.email).length === 1);
    assert.match(mailsTo(user.email)[0]?.text ?? '', /Hello,[^]*choose another one now[^]*正しいパスワード/);
  });

  it('cannot be brought about by who does not know the password', async () => {
    const { user, secret } = await withCodes(service, await makeUser(service));
    for (let i = 0; i < 6; i++) {
      assert.equal((await signIn(user.email, 'not the one at all')).status, 422);
      const fields = { token: 'x'.repeat(43), code: '000000', email: user.email, next: '' };
      assert.equal((await sendForm(service, '/console/sign-in/code', fields, somewhere())).status, 404);
    }
    assert.equal(await isToBeTold(service.deps.db, user), false);
    const token = fieldOf(await signIn(user.email), 'token');
    const right = { token, code: codeFor(secret), next: '' };
    assert.equal((await sendForm(service, '/console/sign-in/code', right, somewhere())).status, 303);
    assert.equal(await noted(user.id), 0);
    assert.deepEqual(mailsTo(user.email), []);
  });

  /** As if a quarter of an hour had passed: what counts for the day stays. */
  async function forgetQuarter(): Promise<void> {
    await service.deps.db('sign_in_tries').where('since', '<=', Date.now()).delete();
  }
});
