import assert from 'node:assert/strict';
import { createSession, findSession, sessionsOf } from '../../src/core/sessions.js';
import { createLink } from '../../src/core/one-time-links.js';
import { endUser, reviveUser } from '../../src/core/user-ends.js';
import { setPassword } from '../../src/core/user-passwords.js';
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

describe('The door of the sign-in', function () {
  this.timeout(60_000);

  it('keeps its cookie to itself over https', async () => {
    const service = await startTestService({ BASE_URL: 'https://out.example.com' });
    try {
      const user = await makeUser(service);
      const answer = await sendForm(service, '/console/sign-in', {
        email: user.email,
        password: goodPassword,
      });
      const [cookie = ''] = answer.headers.getSetCookie();
      assert.match(
        cookie,
        /^__Host-signoff=[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure$/,
      );
      const profile = (name: string) =>
        fetch(`${service.url}/console/profile`, {
          redirect: 'manual',
          headers: { Cookie: `${name}=${tokenIn(answer) ?? ''}` },
        });
      assert.equal((await profile('__Host-signoff')).status, 200);
      assert.equal((await profile('signoff')).status, 303, 'a neighbour could have planted that one');
      const two = await fetch(`${service.url}/console/profile`, {
        redirect: 'manual',
        headers: { Cookie: `__Host-signoff=${'A'.repeat(43)}; __Host-signoff=${tokenIn(answer) ?? ''}` },
      });
      assert.equal(two.status, 303);
    } finally {
      await service.close();
    }
  });

  it('is closed while the database is away', async () => {
    const service = await startTestService({ DATABASE_TIMEOUT_MS: '500' });
    const user = await makeUser(service);
    const visitor = await signInByForm(service, user);
    await service.deps.db.schema.renameTable('sign_in_tries', 'sign_in_tries_away');
    const uncounted = await sendForm(service, '/console/sign-in', {
      email: user.email,
      password: goodPassword,
    });
    assert.equal(uncounted.status, 500, 'whoever cannot be counted is not let in');
    assert.equal(tokenIn(uncounted), null);
    await service.deps.db.destroy();
    const shown = await pageOf(await fetch(`${service.url}/console/sign-in`));
    assert.equal(shown.status, 200);
    const answer = await sendForm(service, '/console/sign-in', { email: user.email, password: goodPassword });
    assert.equal(answer.status, 503);
    assert.equal(tokenIn(answer), null);
    assert.equal(answer.headers.get('retry-after'), '5');
    assert.equal((await visitor.get('/console/profile')).status, 503);
    await service.deps.db.initialize();
    await service.close();
  });

  it('refuses a flood before it reaches the database', async () => {
    const service = await startTestService();
    try {
      const fields = { email: 'nobody@example.com', password: 'not the one at all' };
      const statuses = new Map<number, number>();
      for (let i = 0; i < 130; i++) {
        const { status } = await sendForm(service, '/console/sign-in', fields);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
      assert.deepEqual(Object.fromEntries(statuses), { 422: 10, 429: 120 });
      await service.deps.db('sign_in_tries').delete();
      assert.equal((await sendForm(service, '/console/sign-in', fields)).status, 429);
      assert.equal((await service.deps.db('sign_in_tries')).length, 0, 'nothing was written');
    } finally {
      await service.close();
    }
  });

  it('holds its limits over two services on one database', async () => {
    const one = await startTestService();
    const two = await startTestService({ DATABASE_URL: one.databaseUrl });
    try {
      const user = await makeUser(one);
      const wrong = { email: user.email, password: 'not the one at all' };
      const answers = await Promise.all(
        Array.from({ length: 30 }, (_, i) => sendForm(i % 2 === 0 ? one : two, '/console/sign-in', wrong)),
      );
      const looked = answers.filter(({ status }) => status === 422).length;
      assert.ok(looked <= 10, `${looked} were looked at`);
      assert.ok(answers.every(({ status }) => [422, 429, 503].includes(status)));
      const rest = [];
      for (let i = 0; i < 12; i++)
        rest.push((await sendForm(i % 2 === 0 ? one : two, '/console/sign-in', wrong)).status);
      assert.equal(looked + rest.filter((status) => status === 422).length, 10);
    } finally {
      await two.close();
      await one.close();
    }
  });
});

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
