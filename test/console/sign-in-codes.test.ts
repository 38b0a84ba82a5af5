import assert from 'node:assert/strict';
import { sessionsOf } from '../../src/core/sessions.js';
import { setPassword } from '../../src/core/user-passwords.js';
import { fieldOf, goodPassword } from '../support/console.js';
import { startTestService, type TestService } from '../support/service.js';
import { codeFor, makeUser, sendForm, tokenIn, withCodes } from './strangers.js';

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
    assert.match(wrong.text, /This code does not count now/);
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

  it('are not passed by a step that began with a password that was changed since', async () => {
    const { user, secret } = await withCodes(service, await makeUser(service));
    const token = fieldOf(await signIn(user.email), 'token');
    await setPassword(service.deps.db, user, 'another one, quite as long', { actor: 'test' });
    const answer = await sendCode(token, codeFor(secret));
    assert.equal(answer.status, 404);
    assert.match(answer.text, /Please sign in again/);
  });
});
