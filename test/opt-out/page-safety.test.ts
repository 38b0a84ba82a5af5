import assert from 'node:assert/strict';
import request, { type Response } from 'supertest';
import type { List } from '../../src/core/lists.js';
import { escaped } from '../support/html.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';
import { payloads, skeleton } from '../views/pages.js';

/** As UTF-8 carries it: half a surrogate pair does not get that far. */
const typed = payloads.map((payload) => Buffer.from(payload).toString());
const inHeaders = typed.filter((payload) => /^[\x20-\x7e]+$/.test(payload));

describe('What anyone types, nowhere on the hosted pages', () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
  });
  after(() => service.close());

  const get = (query: Record<string, string>, path = `/l/${list.publicId}`) =>
    request(service.url).get(path).query(query).set(browser);
  const send = (fields: Record<string, string>) =>
    request(service.url).post(`/l/${list.publicId}/opt-out`).set(browser).type('form').send(fields);

  /** The page is built of the same elements and attributes as with a harmless value, and fails nowhere. */
  function isAsHarmless(answer: Response, harmless: Response, payload: string): void {
    assert.equal(answer.status, harmless.status, payload);
    assert.deepEqual(skeleton(answer.text), skeleton(harmless.text), payload);
    assert.equal(answer.get('Content-Security-Policy'), harmless.get('Content-Security-Policy'));
    assert.equal(answer.get('X-Content-Type-Options'), 'nosniff');
    assert.deepEqual(Object.keys(answer.headers as object), Object.keys(harmless.headers as object));
    for (const header of Object.values(answer.headers as Record<string, string>)) {
      assert.ok(!header.includes('broken'), header);
    }
  }

  it('breaks out of the address', async () => {
    const linked = await get({ email: 'x' });
    const sent = await send({ email: 'x' });
    for (const payload of typed) {
      isAsHarmless(await get({ email: payload }), linked, payload);
      isAsHarmless(await send({ email: payload }), sent, payload);
    }
  });

  it('breaks out of an address that is one', async () => {
    const confirm = await get({ email: '"x"@example.com' });
    const thanks = await send({ email: '"x"@example.com' });
    assert.deepEqual([confirm.status, thanks.status], [200, 200]);
    for (const local of [
      '<script>window.broken=1</script>',
      '<img src=x onerror=window.broken=1>',
      "'><b>",
    ]) {
      const email = `"${local}"@example.com`;
      const shown = await get({ email });
      isAsHarmless(shown, confirm, email);
      assert.ok(shown.text.includes(escaped(email)));
      isAsHarmless(await send({ email }), thanks, email);
    }
  });

  for (const name of ['tag', 'mailer', 'lang', 'item', 'scope', 'unknown', 'email[]']) {
    it(`breaks out of the parameter ${name}`, async () => {
      const email = name.startsWith('email') ? {} : { email: 'ann@example.com' };
      const linked = await get({ ...email, [name]: 'x' });
      const sent = await send({ ...email, [name]: 'x' });
      for (const payload of typed) {
        isAsHarmless(await get({ ...email, [name]: payload }), linked, payload);
        isAsHarmless(await send({ ...email, [name]: payload }), sent, payload);
      }
    });
  }

  it('breaks out of the path', async () => {
    for (const path of ['/l/@', '/l/@/opt-out', '/@', `/l/${list.publicId}/@`]) {
      const isForm = path.endsWith('opt-out');
      const open = (text: string) =>
        get(
          {},
          path.replace('@', () => encodeURIComponent(text)),
        );
      const harmless = await open('x');
      assert.equal(harmless.status, isForm ? 303 : 404);
      for (const payload of typed) {
        const answer = await open(payload);
        assert.equal(answer.status, harmless.status, payload);
        assert.deepEqual(skeleton(answer.text), skeleton(harmless.text), payload);
      }
    }
  });

  it('breaks out of a header', async () => {
    const names = ['User-Agent', 'Referer', 'Origin', 'Cookie', 'Accept-Language', 'X-Forwarded-For'];
    const harmless = await get({ email: 'ann@example.com' });
    for (const name of [...names, 'X-Forwarded-Host', 'X-Original-URL', 'Sec-Fetch-Site', 'Host']) {
      for (const payload of inHeaders) {
        isAsHarmless(
          await get({ email: 'ann@example.com' }).set(name, payload),
          harmless,
          `${name}: ${payload}`,
        );
      }
    }
  });

  it('breaks out of what the owner typed', async () => {
    for (const payload of typed.filter((text) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text))) {
      const named = (text: string) =>
        makeList(service, { name: text, operatorName: text, postalAddress: text, contact: text });
      const [harmless, broken] = [await named('x'), await named(payload)];
      for (const query of [{}, { email: 'x' }, { email: 'ann@example.com' }]) {
        const page = (of: List) => get(query, `/l/${of.publicId}`);
        isAsHarmless(await page(broken), await page(harmless), payload);
      }
    }
  });

  it('is followed to another host, whatever the request says of its own', async () => {
    for (const [name, value] of [
      ['Host', 'evil.example'],
      ['X-Forwarded-Host', 'evil.example'],
      ['Forwarded', 'host=evil.example'],
      ['X-Forwarded-Proto', 'javascript'],
    ] as const) {
      const answers = [
        await get({ email: 'ann@example.com' }).set(name, value),
        await get({}, `/l/${list.publicId}/opt-out`).set(name, value),
        await get({}, '/nowhere').set(name, value),
      ];
      for (const answer of answers) {
        assert.ok(answer.status < 500);
        assert.doesNotMatch(answer.text + JSON.stringify(answer.headers), /evil|javascript/);
      }
    }
  });
});
