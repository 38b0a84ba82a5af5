import assert from 'node:assert/strict';
import { createSession, findSession } from '../../src/core/sessions.js';
import { createLink } from '../../src/core/one-time-links.js';
import { endUser, reviveUser } from '../../src/core/user-ends.js';
import { fieldOf, goodPassword, pageOf, visitorOf } from '../support/console.js';
import { startTestService, type TestService } from '../support/service.js';
import { codeFor, makeUser, sendForm, signInByForm, tokenIn, withCodes } from './strangers.js';

/** Addresses of their own, so that no test is refused for what another one tried: TRUST_PROXY names this peer. */
let hosts = 0;
const somewhere = () => ({ 'X-Forwarded-For': `198.51.100.${(hosts++ % 250) + 1}` });

describe('Signing in', function () {
  this.timeout(60_000);
  let service: TestService;
  before(async () => {
    service = await startTestService({ TRUST_PROXY: '127.0.0.1' });
  });
  after(() => service.close());

  const signIn = (
    email: string,
    password = goodPassword,
    more: Record<string, string> = {},
    from = somewhere(),
  ) => sendForm(service, '/console/sign-in', { email, password, ...more }, from);

  it('opens the console with address and password, however the address is spelt', async () => {
    const user = await makeUser(service, { email: 'spelt@sign-in.example' });
    for (const email of [user.email, ' SPELT@Sign-In.example ', 'spelt＠sign-in.example']) {
      const answer = await signIn(email);
      assert.equal(answer.status, 303);
      assert.equal(answer.location, '/console');
      const visitor = visitorOf(service, user, tokenIn(answer) ?? '');
      assert.match((await visitor.get(`/console/accounts/${service.accountId}/lists`)).text, /Sam Signer/);
    }
  });

  it('says the same of a wrong password, an unknown address, somebody invited and somebody ended', async () => {
    const user = await makeUser(service);
    const ended = await makeUser(service);
    await endUser(service.deps.db, ended, { actor: 'test', evenLast: true });
    const wrong = await signIn(user.email, 'not the one at all');
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /Address and password do not belong together/);
    assert.equal(tokenIn(wrong), null);
    const said = ({ text }: { text: string }, email: string) => text.replaceAll(email, '');
    for (const email of [ended.email, 'nobody@sign-in.example']) {
      const answer = await signIn(email);
      assert.equal(answer.status, 422);
      assert.equal(answer.html.replaceAll(email, ''), wrong.html.replaceAll(user.email, ''));
      assert.equal(said(answer, email), said(wrong, user.email));
    }
  });

  it('takes the same time for whoever there is and is not', async () => {
    const user = await makeUser(service);
    const times: Record<string, number[]> = { known: [], unknown: [] };
    for (let i = 0; i < 8; i++) {
      for (const [who, email] of [
        ['known', user.email],
        ['unknown', `nobody${i}@sign-in.example`],
      ] as const) {
        const startedAt = performance.now();
        await signIn(email, 'not the one at all');
        times[who]?.push(performance.now() - startedAt);
      }
    }
    const middle = (all: number[] = []) => all.sort((a, b) => a - b)[all.length >> 1] ?? 0;
    const [known, unknown] = [middle(times.known), middle(times.unknown)];
    assert.ok(unknown > known * 0.6 && known > unknown * 0.6, `${known} ms and ${unknown} ms`);
  });

  it('gives a new token each time, and the one before opens nothing', async () => {
    const user = await makeUser(service);
    const first = await signInByForm(service, user, somewhere());
    const again = await first.post('/console/sign-in', { email: user.email, password: goodPassword });
    const second = tokenIn(again);
    assert.ok(second !== null && !first.cookie.includes(second));
    assert.match((await first.get('/console/profile')).location ?? '', /^\/console\/sign-in/);
    assert.equal((await visitorOf(service, user, second).get('/console/profile')).status, 200);
    const planted = 'A'.repeat(43);
    const fixed = await sendForm(
      service,
      '/console/sign-in',
      { email: user.email, password: goodPassword },
      { Cookie: `signoff=${planted}`, ...somewhere() },
    );
    assert.notEqual(tokenIn(fixed), planted);
    assert.equal(await findSession(service.deps.db, planted), null);
  });

  it('ends with the sign-out, for whoever has kept the cookie as well', async () => {
    const user = await makeUser(service);
    const visitor = await signInByForm(service, user, somewhere());
    const out = await visitor.post('/console/sign-out');
    assert.match(
      out.headers.getSetCookie()[0] ?? '',
      /^signoff=; Path=\/; Max-Age=0; HttpOnly; SameSite=Lax$/,
    );
    assert.match((await visitor.get('/console/profile')).location ?? '', /^\/console\/sign-in/);
  });

  it('ends half a day after the last page, and after a week', async () => {
    const { db } = service.deps;
    const user = await makeUser(service);
    const token = await createSession(db, user, { ip: null, browser: '' });
    const hour = 3_600_000;
    const now = Date.now();
    assert.notEqual(await findSession(db, token, now + 11 * hour), null);
    assert.notEqual(
      await findSession(db, token, now + 22 * hour),
      null,
      'each page begins the half day anew',
    );
    assert.equal(await findSession(db, token, now + 35 * hour), null);
    const busy = await createSession(db, user, { ip: null, browser: '' });
    for (let at = now; at < now + 7 * 24 * hour - 60_000; at += 6 * hour) {
      assert.notEqual(await findSession(db, busy, at), null);
    }
    assert.equal(await findSession(db, busy, now + 7 * 24 * hour + 1000), null);
  });

  it('is over at once, everywhere, for who is ended, and stays over when revived', async () => {
    const { db } = service.deps;
    const user = await makeUser(service);
    const visitors = [
      await signInByForm(service, user, somewhere()),
      await signInByForm(service, user, somewhere()),
    ];
    await endUser(db, user, { actor: 'test', evenLast: true });
    for (const visitor of visitors) {
      assert.match((await visitor.get('/console/profile')).location ?? '', /sign-in/);
    }
    await reviveUser(db, user, { actor: 'test' });
    for (const visitor of visitors) {
      assert.match((await visitor.get('/console/profile')).location ?? '', /sign-in/);
    }
    assert.equal((await signIn(user.email)).status, 422, 'the password of before is gone');
  });

  it('leads back to the page that was asked for, and to no other site', async () => {
    const user = await makeUser(service);
    const wanted = `/console/accounts/${service.accountId}/lists?beyond=3`;
    const asked = await pageOf(await fetch(`${service.url}${wanted}`, { redirect: 'manual' }));
    assert.equal(asked.location, `/console/sign-in?next=${encodeURIComponent(wanted)}`);
    const form = await pageOf(await fetch(`${service.url}${asked.location}`));
    assert.equal(fieldOf(form, 'next'), wanted);
    assert.equal((await signIn(user.email, goodPassword, { next: wanted })).location, wanted);
    for (const next of [
      '/console/../l/abc?email=ann@example.com',
      '/console/../l/abc?email=ann%40example.com',
      '/console/./profile',
      '/console/profile/..',
      '/console/.',
      '/console//evil.example',
      '/console/profile//',
      '/console/%2e%2e/l/abc',
      '/console/..%2fl/abc',
      '/console/..\\l',
      '/console/%5c..%5cl',
      '/console/.../x',
      ...[
        '//evil.example',
        '/\\evil.example',
        'https://evil.example',
        '/%2f%2fevil.example',
        '\\\\evil.example',
      ],
      ...[
        '/console//evil.example/%0d%0aX: y',
        'javascript:alert(1)',
        '/console@evil.example',
        '/console.evil.example',
      ],
      ...[
        '/console\r\nSet-Cookie: a=b',
        '/console\n',
        '/consolex',
        ' /console',
        '/console/\t/evil.example',
        '/l/x',
      ],
    ]) {
      const answer = await signIn(user.email, goodPassword, { next });
      assert.equal(answer.location, '/console', JSON.stringify(next));
      const shown = await pageOf(
        await fetch(`${service.url}/console/sign-in?${String(new URLSearchParams({ next }))}`),
      );
      assert.equal(fieldOf(shown, 'next'), '/console', JSON.stringify(next));
    }
  });

  it('takes no form that another site sends, so that nobody is signed in as somebody else', async () => {
    const user = await makeUser(service);
    const fields = { email: user.email, password: goodPassword };
    const send = async (headers: Record<string, string>) =>
      pageOf(
        await fetch(`${service.url}/console/sign-in`, {
          method: 'POST',
          redirect: 'manual',
          headers: { ...headers, ...somewhere() },
          body: new URLSearchParams(fields),
        }),
      );
    const forged: Record<string, string>[] = [
      { 'Sec-Fetch-Site': 'cross-site', Origin: 'http://signoff.test' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'none' },
      { Origin: 'https://evil.example' },
      { Origin: 'null' },
      { Origin: 'http://signoff.test.evil.example' },
      { Origin: 'https://signoff.test' },
      { Origin: '' },
      {},
    ];
    for (const headers of forged) {
      const answer = await send(headers);
      assert.equal(answer.status, 403, JSON.stringify(headers));
      assert.equal(tokenIn(answer), null);
    }
    for (const headers of [{ 'Sec-Fetch-Site': 'same-origin' }, { Origin: 'http://signoff.test' }]) {
      assert.equal((await send(headers as Record<string, string>)).status, 303);
    }
  });

  it('keeps passwords, codes, tokens and addresses out of the log and the history', async () => {
    const user = await makeUser(service);
    const { secret } = await withCodes(service, user);
    const step = await signIn(user.email);
    const token = fieldOf(step, 'token');
    const code = codeFor(secret);
    const answer = await sendForm(service, '/console/sign-in/code', { token, code }, somewhere());
    const session = tokenIn(answer) ?? '';
    assert.notEqual(session, '');
    const link = await createLink(service.deps.db, 'password', user);
    await fetch(`${service.url}/console/password/${link}`);
    await sendForm(service, `/console/password/${link}`, { password: 'short', again: 'short' }, somewhere());
    const history = JSON.stringify(await service.deps.db('history').select('actor', 'action', 'details'));
    const logged = service.logged.join('');
    assert.match(logged, /"path":"\(other\)"/, 'requests are logged');
    assert.match(history, /user\.signed-in/);
    for (const secretText of [goodPassword, token, session, link, user.email, secret, `"${code}"`]) {
      assert.ok(!logged.includes(secretText), 'in the log');
      assert.ok(!history.includes(secretText), 'in the history');
    }
  });
});
