import assert from 'node:assert/strict';
import { countTry, forgiveTry } from '../../src/core/sign-in-limit.js';
import { TooMany } from '../../src/errors.js';
import { goodPassword } from '../support/console.js';
import { startTestService, type TestService } from '../support/service.js';
import { makeUser, sendForm, signInByForm, tokenIn } from './strangers.js';

const password = goodPassword;
const home = { 'X-Forwarded-For': '2001:db8:aaaa:1200::7' };

describe('Who is locked out by strangers', function () {
  this.timeout(60_000);
  let service: TestService;
  before(async () => {
    service = await startTestService({ TRUST_PROXY: '127.0.0.1' });
  });
  after(() => service.close());

  /** Ten from each network, until no more are looked at from anywhere. */
  async function tryFromEverywhere(email: string): Promise<number> {
    let taken = 0;
    for (let i = 0; i < 120; i++) {
      const ip = `2001:db8:${(i / 10) | 0}:100::${i}`;
      try {
        await countTry(service.deps.db, 'password', email, ip);
        taken++;
      } catch (error) {
        assert.ok(error instanceof TooMany);
      }
    }
    return taken;
  }

  it('gives the password again where a session stands, whatever strangers try', async () => {
    const user = await makeUser(service);
    const visitor = await signInByForm(service, user, home);
    assert.equal(await tryFromEverywhere(user.email), 100);
    const kept = await visitor.post('/console/profile/email', { email: user.email, password });
    assert.equal(kept.status, 303, kept.text);
    const wrong = await visitor.post('/console/profile/email', { email: user.email, password: 'not it' });
    assert.equal(wrong.status, 422);
  });

  it('signs in all the same from a network of which that user has signed in, and from no other', async () => {
    const user = await makeUser(service);
    const fields = { email: user.email, password };
    await signInByForm(service, user, home);
    await tryFromEverywhere(user.email);
    const elsewhere = { 'X-Forwarded-For': '198.51.100.9' };
    assert.equal((await sendForm(service, '/console/sign-in', fields, elsewhere)).status, 429);
    const again = await sendForm(service, '/console/sign-in', fields, home);
    assert.equal(again.status, 303, again.text);
    assert.notEqual(tokenIn(again), null);
    const stranger = await makeUser(service);
    await tryFromEverywhere(stranger.email);
    const other = await sendForm(
      service,
      '/console/sign-in',
      { ...fields, email: stranger.email },
      { ...home },
    );
    assert.equal(other.status, 429, 'it is known for one user, and not for another');
  });

  it('tries few passwords there as well', async () => {
    const user = await makeUser(service);
    await forgiveTry(service.deps.db, 'password', user.email, '203.0.113.50');
    await tryFromEverywhere(user.email);
    let looked = 0;
    for (let i = 0; i < 15; i++) {
      const tried = countTry(service.deps.db, 'password', user.email, '203.0.113.50');
      await tried.then(
        () => looked++,
        (error: unknown) => assert.ok(error instanceof TooMany),
      );
    }
    assert.equal(looked, 10);
  });
});
