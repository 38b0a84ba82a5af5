import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { errorOf, formOf, textOf, typedIn } from '../support/html.js';
import { addressesOf, onlyRowOf } from '../support/records.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';

describe('The hosted page', () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
  });

  const get = (query = '') => request(service.url).get(`/l/${list.publicId}${query}`).set(browser);
  const send = (fields: Record<string, string>) =>
    request(service.url).post(`/l/${list.publicId}/opt-out`).set(browser).type('form').send(fields);
  const isEmpty = async () => assert.deepEqual(await addressesOf(service, list), []);

  it('is a form for one address, in HTML that nobody may keep', async () => {
    const page = await get();
    assert.equal(page.status, 200);
    assert.equal(page.get('Content-Type'), 'text/html; charset=utf-8');
    assert.equal(page.get('Cache-Control'), 'no-store, no-transform');
    assert.equal(page.get('Content-Length'), String(Buffer.byteLength(page.text)));
    const form = formOf(page.text);
    assert.equal(form?.action, `/l/${list.publicId}/opt-out`);
    assert.deepEqual(form.fields, [
      ['lang', 'en'],
      ['email', ''],
    ]);
    assert.match(page.text, /<title>Unsubscribe from Acme News<\/title>/);
    assert.match(page.text, /name="robots" content="noindex"/);
  });

  it('comes with its stylesheet in under 10 KB, and loads nothing else', async () => {
    await addTags(service.deps.db, list.id, ['offers']);
    const page = await get('?email=ann@example.com&tag=offers');
    const [, href = ''] = /<link rel="stylesheet" href="([^"]+)">/.exec(page.text) ?? [];
    const css = await request(service.url).get(href);
    assert.equal(css.type, 'text/css');
    assert.equal(css.get('Cache-Control'), 'public, max-age=31536000, immutable');
    const octets = Buffer.byteLength(page.text) + Buffer.byteLength(css.text);
    assert.ok(octets < 10_000, `${octets} octets`);
    assert.ok(gzipSync(page.text + css.text).length < 4000);
    assert.doesNotMatch(page.text, /<script|<img|<iframe|<object|<embed|@import|\bon\w+=/i);
    assert.doesNotMatch(css.text, /url\(|@import/);
    for (const [, link = ''] of page.text.matchAll(/(?:src|href|action)="([^"]*)"/g)) {
      assert.match(link, /^\/(?:l\/|signoff\.css)/, 'it stays here');
    }
  });

  it('shows who runs the list, as the law wants it', async () => {
    list = await makeList(service, {
      operatorName: 'Acme Ltd',
      postalAddress: '1 Acme Street\nAcme Town',
      contact: 'privacy@acme.example',
      privacyUrl: 'https://acme.example/privacy',
    });
    const { text } = await get();
    for (const shown of ['Acme Ltd', '1 Acme Street\nAcme Town', 'mailto:privacy@acme.example']) {
      assert.ok(text.includes(shown), shown);
    }
    assert.match(text, /<a href="https:\/\/acme\.example\/privacy" rel="noopener">/);
    const unnamed = await request(service.url).get(`/l/${(await makeList(service)).publicId}`);
    assert.match(unnamed.text, /<dd dir="auto">Acme News<\/dd>/, 'at least the name of the list');
  });

  it('thanks, and says what was recorded', async () => {
    const answer = await send({ email: ' Ann@Example.com ' });
    assert.equal(answer.status, 200);
    assert.match(answer.text, /<h1>You are unsubscribed<\/h1>/);
    assert.match(answer.text, /<bdi>ann@example\.com<\/bdi>/);
    assert.doesNotMatch(answer.text, /name="email"/, 'there is nothing more to be typed');
    assert.equal((await onlyRowOf(service, list)).source, 'page');
  });

  it('gives the form back with what was typed, and says what is wrong with it', async () => {
    for (const [typed, code] of [
      ['ann', 'no-at'],
      ['ann@example', 'bad-domain'],
      ['"ann" <ann@example.com>', 'bad-local-part'],
      ['', 'missing'],
      ['   ', 'missing'],
      ['an\u00adn@example.com', 'invisible-character'],
    ] as const) {
      const answer = await send({ email: typed, mailer: '12' });
      assert.equal(answer.status, 422, typed);
      assert.equal(errorOf(answer.text), textOf('en', `address.${code}`));
      assert.equal(typedIn(answer.text), typed.trim() === '' ? '' : typed);
      assert.match(answer.text, /aria-invalid="true" aria-describedby="error lead"/);
      assert.match(answer.text, /<title>Please check: /);
      assert.deepEqual(formOf(answer.text)?.fields.at(1), ['mailer', '12'], 'nothing else is lost');
    }
    await isEmpty();
  });

  it('asks for one address where the link brings two, and shows no one of them as meant', async () => {
    const answer = await get('?email=ann@example.com&email=bob@example.com');
    assert.equal(answer.status, 422);
    assert.equal(errorOf(answer.text), textOf('en', 'address.several'));
    assert.equal(
      (await get('?email=ann@example.com&email=ann@example.com')).status,
      200,
      'the same one twice',
    );
  });

  it('offers everything beside the tag that it was reached with', async () => {
    await addTags(service.deps.db, list.id, ['offers']);
    const page = await get('?email=ann@example.com&tag=offers');
    const form = formOf(page.text);
    assert.deepEqual(form?.fields, [
      ['lang', 'en'],
      ['tag', 'offers'],
      ['email', 'ann@example.com'],
      ['scope', 'tag'],
    ]);
    const fields = Object.fromEntries(form.fields);
    assert.match((await send(fields)).text, /“<bdi>offers<\/bdi>”/);
    assert.equal((await onlyRowOf(service, list)).tag.toString(), 'offers');

    list = await makeList(service);
    await addTags(service.deps.db, list.id, ['offers']);
    await send({ ...fields, scope: 'all' });
    assert.equal((await onlyRowOf(service, list)).tag.toString(), '*');
  });

  it('keeps the scope that was chosen while the address is mended', async () => {
    await addTags(service.deps.db, list.id, ['offers']);
    const answer = await send({ email: 'ann', tag: 'offers', scope: 'all' });
    assert.deepEqual(
      formOf(answer.text)?.fields.find(([name]) => name === 'scope'),
      ['scope', 'all'],
    );
    assert.match((await get('?tag=unknown')).text, /<form/);
    assert.doesNotMatch((await get('?tag=unknown')).text, /scope/, 'an unknown tag is no choice');
  });

  it('is where its own answer leads when it is loaded again', async () => {
    for (const method of ['get', 'head'] as const) {
      const again = await request(service.url)[method](`/l/${list.publicId}/opt-out`);
      assert.deepEqual([again.status, again.get('Location')], [303, `/l/${list.publicId}`]);
      assert.equal(again.get('Cache-Control'), 'no-store, no-transform');
    }
    const odd = await request(service.url).get('/l/%0d%0aX-Evil:%201/opt-out');
    assert.equal(odd.get('Location'), '/l/%0D%0AX-Evil%3A%201');
    assert.equal(odd.get('X-Evil'), undefined);
  });

  it('sets no cookie, whatever is asked', async () => {
    const answers = await Promise.all([
      get(),
      get('?email=ann@example.com'),
      get('?email=ann'),
      send({ email: 'ann@example.com' }),
      send({ email: 'ann' }),
      request(service.url).get('/l/none'),
      request(service.url).get('/signoff.css'),
      request(service.url).get('/robots.txt'),
    ]);
    for (const answer of answers) assert.equal(answer.get('Set-Cookie'), undefined);
  });

  it('takes its form as multipart as well, and as nothing else', async () => {
    const path = `/l/${list.publicId}/opt-out`;
    assert.equal((await request(service.url).post(path).field('email', 'ann@example.com')).status, 200);
    for (const type of ['application/json', 'text/plain', 'application/xml']) {
      const answer = await request(service.url)
        .post(path)
        .set(browser)
        .type(type)
        .send('{"email":"bob@example.com"}');
      assert.equal(answer.status, 415);
      assert.ok(answer.text.includes(textOf('en', 'problem.unsupported-type.text')));
    }
    const large = await send({ email: 'bob@example.com', junk: 'x'.repeat(20_000) });
    assert.equal(large.status, 413);
    assert.ok(large.text.includes(textOf('en', 'problem.too-large.text')));
    assert.deepEqual(await addressesOf(service, list), ['ann@example.com']);
  });
});
