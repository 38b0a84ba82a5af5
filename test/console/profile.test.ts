import assert from 'node:assert/strict';
import { createSession, sessionsOf } from '../../src/core/sessions.js';
import { findUserByEmail, getUser } from '../../src/core/users.js';
import { browserIn } from '../../src/console/browser-names.js';
import { fieldOf, goodPassword, signInAs, visitorOf, type ConsolePage } from '../support/console.js';
import { startMailServer } from '../support/mail-server.js';
import { startTestService, until, type TestService } from '../support/service.js';
import { codeFor, makeUser, sendForm, signInByForm, tokenIn, withCodes } from './strangers.js';

const password = goodPassword;
const another = 'another one, quite as long';
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';

describe("A user's profile", function () {
  this.timeout(60_000);
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('changes the name and the language', async () => {
    const olive = await signInAs(service, 'owner');
    const saved = await olive.post('/console/profile', { name: 'Olive <O>', language: 'ja' });
    assert.equal(saved.location, '/console/profile?done=saved');
    const page = await olive.get('/console/profile?done=saved');
    assert.match(page.html, /<html lang="ja">/);
    assert.match(page.text, /保存しました/);
    assert.equal(fieldOf(page, 'name'), 'Olive <O>');
    await olive.post('/console/profile', { name: 'Olive', language: '' });
    assert.equal((await getUser(service.deps.db, olive.user.id)).language, null);
    assert.match(
      (await olive.post('/console/profile', { name: '', language: '' })).text,
      /Please fill this in/,
    );
    assert.equal((await olive.post('/console/profile', { name: 'O', language: 'xx' })).status, 422);
  });

  it('changes the address with the password alone, which the links of before do not outlive', async () => {
    const user = await makeUser(service);
    const olive = await signInByForm(service, user);
    const email = 'olive.new@example.com';
    assert.match((await olive.get('/console/profile/email')).text, /sends no mail.*it counts at once/);
    const wrong = await olive.post('/console/profile/email', { email, password: 'not the one at all' });
    assert.equal(wrong.status, 422);
    assert.equal(await findUserByEmail(service.deps.db, email), null);
    const taken = (await makeUser(service)).email;
    assert.match(
      (await olive.post('/console/profile/email', { email: taken, password })).text,
      /Somebody signs in/,
    );
    assert.equal((await olive.post('/console/profile/email', { email, password })).status, 303);
    const now = await sendForm(service, '/console/sign-in', { email, password });
    assert.notEqual(tokenIn(now), null);
    assert.equal((await sendForm(service, '/console/sign-in', { email: user.email, password })).status, 422);
  });

  it('ends the other sessions with a new address, and keeps this one', async () => {
    const user = await makeUser(service);
    const [here, elsewhere] = [await signInByForm(service, user), await signInByForm(service, user)];
    await here.post('/console/profile/email', { email: user.email, password });
    assert.equal((await elsewhere.get('/console/profile')).status, 200, 'the address is the one of before');
    const fields = { email: `new.${user.email}`, password };
    assert.equal((await here.post('/console/profile/email', fields)).status, 303);
    assert.match((await elsewhere.get('/console/profile')).location ?? '', /sign-in/);
    assert.equal((await here.get('/console/profile')).status, 200);
    const actions = await service.deps
      .db('history')
      .where({ actor: `user:${user.id}` })
      .pluck('action');
    assert.ok((actions as string[]).includes('user.sessions-ended'));
  });

  it('ends the other sessions when one-time codes are switched on, and keeps this one', async () => {
    const user = await makeUser(service);
    const [here, elsewhere] = [await signInByForm(service, user), await signInByForm(service, user)];
    const secret = fieldOf(await here.get('/console/profile/codes'), 'secret');
    await here.post('/console/profile/codes', { secret, code: '000000', password });
    assert.equal((await elsewhere.get('/console/profile')).status, 200, 'nothing is switched on yet');
    const on = await here.post('/console/profile/codes', { secret, code: codeFor(secret), password });
    assert.equal(on.status, 200);
    assert.match((await elsewhere.get('/console/profile')).location ?? '', /sign-in/);
    assert.equal((await here.get('/console/profile')).status, 200);
  });

  it('changes the password: elsewhere the user is signed out, and here there is a new session', async () => {
    const user = await makeUser(service);
    const [here, elsewhere] = [await signInByForm(service, user), await signInByForm(service, user)];
    const fields = { current: password, password: another, again: another };
    const wrong = await here.post('/console/profile/password', { ...fields, current: 'not the one at all' });
    assert.match(wrong.text, /This is not your password/);
    assert.match((await here.post('/console/profile/password', { ...fields, again: 'x' })).text, /differ/);
    const short = { ...fields, password: 'short', again: 'short' };
    assert.match((await here.post('/console/profile/password', short)).text, /At least 12 characters/);
    const changed = await here.post('/console/profile/password', fields);
    assert.equal(changed.location, '/console/profile?done=password-changed');
    for (const old of [here, elsewhere]) {
      assert.match((await old.get('/console/profile')).location ?? '', /sign-in/);
    }
    const token = tokenIn(changed) ?? '';
    assert.equal((await visitorOf(service, user, token).get('/console/profile')).status, 200);
    const old = await sendForm(service, '/console/sign-in', { email: user.email, password });
    assert.equal(old.status, 422);
  });

  it('tries few passwords, whichever of its forms asks', async () => {
    const user = await makeUser(service);
    const olive = await signInByForm(service, user, {});
    const statuses: number[] = [];
    for (let i = 0; i < 12; i++) {
      const path = i % 2 === 0 ? '/console/profile/email' : '/console/profile/codes';
      statuses.push((await olive.post(path, { email: 'x@example.com', password: 'wrong one' })).status);
    }
    assert.deepEqual(statuses, [...Array.from({ length: 10 }, () => 422), 429, 429]);
    assert.equal(
      (await olive.post('/console/profile/email', { email: 'x@example.com', password })).status,
      429,
    );
  });

  it('switches one-time codes on with a picture, a key and a code, and shows the recovery codes once', async () => {
    const user = await makeUser(service);
    const olive = await signInByForm(service, user);
    const offered = await olive.get('/console/profile/codes');
    const secret = fieldOf(offered, 'secret');
    assert.match(secret, /^[A-Z2-7]{32}$/);
    assert.match(offered.html, /<svg class="qr" role="img"[^>]*><rect[^>]*\/><path d="M0 0h7v1h-7z/);
    assert.ok(offered.text.includes(secret.replace(/(.{4})(?=.)/g, '$1 ')), 'the key as text');
    const wrong = await olive.post('/console/profile/codes', { secret, code: '000000', password });
    assert.equal(wrong.status, 422);
    assert.equal(fieldOf(wrong, 'secret'), secret, 'nothing has to be scanned again');
    const noPassword = await olive.post('/console/profile/codes', {
      secret,
      code: codeFor(secret),
      password: 'x',
    });
    assert.equal(noPassword.status, 422);
    const own = await olive.post('/console/profile/codes', { secret: 'A', code: '123456', password });
    assert.equal(own.status, 422);
    assert.equal((await getUser(service.deps.db, user.id)).hasOneTimeCodes, false);
    const on = await olive.post('/console/profile/codes', { secret, code: codeFor(secret), password });
    const codes = recoveryCodesIn(on);
    assert.equal(codes.length, 8);
    const page = await olive.get('/console/profile/codes');
    assert.match(page.text, /8 recovery codes are left/);
    assert.ok(!page.html.includes(codes[0] ?? '') && !page.html.includes(secret));
    const stored = (await service.deps.db('users').where({ id: user.id }).first()) as { totp_secret: Buffer };
    assert.ok(!stored.totp_secret.includes(secret));
  });

  it('makes new recovery codes, and switches codes off, with the password and a code', async () => {
    const made = await makeUser(service);
    const olive = await signInByForm(service, made);
    const { user, secret, recovery } = await withCodes(service, made);
    const [first = '', second = ''] = recovery;
    for (const path of ['/console/profile/codes/off', '/console/profile/codes/recovery']) {
      assert.equal((await olive.post(path, { password, code: '000000' })).status, 422);
      assert.equal((await olive.post(path, { password: 'x', code: codeFor(secret) })).status, 422);
      assert.equal((await olive.post(path, { password })).status, 422);
    }
    const renewed = recoveryCodesIn(
      await olive.post('/console/profile/codes/recovery', { password, code: first }),
    );
    assert.equal(renewed.length, 8);
    assert.equal((await olive.post('/console/profile/codes/off', { password, code: second })).status, 422);
    const off = await olive.post('/console/profile/codes/off', { password, code: codeFor(secret) });
    assert.equal(off.location, '/console/profile?done=codes-off');
    assert.equal((await service.deps.db('recovery_codes').where({ user_id: user.id })).length, 0);
    assert.notEqual(
      tokenIn(await sendForm(service, '/console/sign-in', { email: user.email, password })),
      null,
    );
  });

  it('shows where the user is signed in, and ends one session or all others', async () => {
    const { db } = service.deps;
    const user = await makeUser(service);
    const here = await signInByForm(service, user, { 'User-Agent': firefox });
    const [phone, old] = [
      await createSession(db, user, { ip: '2001:db8::1', browser: '<b>Mozilla' }),
      await createSession(db, user, { ip: null, browser: '' }),
    ].map((token) => visitorOf(service, user, token));
    assert.ok(phone !== undefined && old !== undefined);
    const page = await here.get('/console/profile/sessions');
    assert.match(page.text, /Firefox on Linux This browser 127\.0\.0\.1/);
    assert.match(page.text, /Some browser 2001:db8::1/);
    assert.ok(!page.html.includes(here.cookie.slice('signoff='.length)), 'no token stands in the page');
    const stranger = await signInAs(service, 'owner');
    const phoneId = (await sessionsOf(db, user)).find(({ ip }) => ip === '2001:db8::1')?.id ?? '';
    await stranger.post('/console/profile/sessions/end', { session: phoneId });
    assert.equal((await phone.get('/console/profile')).status, 200, "nobody ends another one's");
    await here.post('/console/profile/sessions/end', { session: 'nonsense' });
    await here.post('/console/profile/sessions/end', { session: phoneId });
    assert.match((await phone.get('/console/profile')).location ?? '', /sign-in/);
    assert.equal((await old.get('/console/profile')).status, 200);
    const others = await here.post('/console/profile/sessions/end-others');
    assert.equal(others.location, '/console/profile/sessions?done=sessions-ended');
    assert.match((await old.get('/console/profile')).location ?? '', /sign-in/);
    assert.equal((await here.get('/console/profile')).status, 200);
  });

  it('tells browsers by the names that people call them', () => {
    const chrome =
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36';
    const safari =
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1';
    const edge =
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0';
    assert.deepEqual(browserIn(firefox), { browser: 'Firefox', system: 'Linux' });
    assert.deepEqual(browserIn(chrome), { browser: 'Chrome', system: 'Android' });
    assert.deepEqual(browserIn(safari), { browser: 'Safari', system: 'iPhone' });
    assert.deepEqual(browserIn(edge), { browser: 'Edge', system: 'Windows' });
    assert.deepEqual(browserIn('x'), { browser: null, system: null });
  });
});

describe("A user's profile, where mails are sent", function () {
  this.timeout(60_000);
  it('tells of a new password', async () => {
    const mails = await startMailServer();
    const service = await startTestService({ SMTP_URL: mails.url, MAIL_FROM: 'signoff@example.com' });
    try {
      const user = await makeUser(service);
      const olive = await signInByForm(service, user);
      await olive.post('/console/profile/password', { current: password, password: another, again: another });
      await until('the mail has come', () => mails.received.length === 1);
      assert.deepEqual(mails.received[0]?.recipients, [user.email]);
    } finally {
      await service.close();
      await mails.close();
    }
  });
});

function recoveryCodesIn({ text }: ConsolePage): string[] {
  return text.match(/\b[a-z2-9]{5}-[a-z2-9]{5}\b/g) ?? [];
}
