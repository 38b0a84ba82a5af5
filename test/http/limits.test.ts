import assert from 'node:assert/strict';
import request, { type Test } from 'supertest';
import type { List } from '../../src/core/lists.js';
import { forwarded } from '../support/doors.js';
import { textOf } from '../support/html.js';
import { addressesOf } from '../support/records.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import { browser, imageOfBrowser } from '../support/visitors.js';

const most = 10;

describe('The brake on the recipients’ doors', () => {
  let service: TestService;
  let list: List;
  let next = 0;
  before(async () => {
    service = await startTestService({
      RECIPIENT_REQUESTS_PER_MINUTE: String(most),
      DOWNLOADS_AT_ONCE: '100',
    });
    list = await makeList(service, { directLink: 'instant' });
  });
  after(() => service.close());

  /** An address that nobody has come from yet. */
  const newAddress = () => `198.51.100.${++next}`;
  const page = (from: string, more = '') =>
    forwarded(request(service.url).get(`/l/${list.publicId}${more}`), from).set(browser);
  const form = (from: string) =>
    forwarded(request(service.url).post(`/l/${list.publicId}/opt-out`), from)
      .set(browser)
      .type('form')
      .send({ email: 'ann@example.com' });

  async function statusesOf(ask: (from: string) => Test, addresses: readonly string[]): Promise<number[]> {
    const statuses: number[] = [];
    for (const from of addresses) statuses.push((await ask(from)).status);
    return statuses;
  }
  const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

  it('slows an address that asks too often, and no other', async () => {
    const [busy, calm] = [newAddress(), newAddress()];
    assert.deepEqual(await statusesOf(page, times(most, busy)), times(most, 200));
    assert.deepEqual(await statusesOf(page, [busy, busy, calm]), [429, 429, 200]);
  });

  it('says so on a page in the asker’s language, with when to come again', async () => {
    const busy = newAddress();
    await statusesOf(page, times(most, busy));
    const answer = await page(busy).set('Accept-Language', 'ja');
    assert.equal(answer.status, 429);
    assert.equal(answer.get('Retry-After'), '60');
    assert.equal(answer.get('Cache-Control'), 'no-store, no-transform');
    assert.match(String(answer.get('Content-Security-Policy')), /style-src 'self'/);
    assert.ok(answer.text.includes(textOf('ja', 'problem.too-many-requests.title')));
    assert.equal(answer.get('X-RateLimit-Limit'), undefined);
  });

  it('counts the page, the form and the instant link together, and records nothing beyond', async () => {
    const busy = newAddress();
    await statusesOf(page, times(most, busy));
    assert.equal((await form(busy)).status, 429);
    assert.equal((await page(busy, '?email=bob@example.com')).status, 429);
    assert.deepEqual(await addressesOf(service, list), []);
    assert.equal((await form(newAddress())).status, 200);
    assert.deepEqual(await addressesOf(service, list), ['ann@example.com']);
  });

  it('takes an IPv6 /56 as one', async () => {
    const one = ['2001:db8:0:100::1', '2001:db8:0:1ff::2', '2001:db8:0:1ab:1:2:3:4'];
    const mixed = Array.from({ length: most }, (_, i) => one[i % one.length] ?? '');
    assert.deepEqual(await statusesOf(page, mixed), times(most, 200));
    assert.deepEqual(await statusesOf(page, one), times(3, 429));
    assert.deepEqual(await statusesOf(page, ['2001:db8:0:200::1', '2001:db8:0:ff::1']), [200, 200]);
  });

  it('leaves alone who has a private address or none: that says nothing about who asks', async () => {
    for (const from of ['10.1.2.3', '192.168.0.1', 'fd00::1', '127.0.0.1', 'unknown']) {
      assert.deepEqual(await statusesOf(page, times(most + 2, from)), times(most + 2, 200), from);
    }
    const direct = () => request(service.url).get(`/l/${list.publicId}`).set(browser);
    assert.deepEqual(await statusesOf(direct, times(most + 2, '')), times(most + 2, 200));
  });

  it('is not to be got past by what a client writes in front of its proxy’s header', async () => {
    const busy = newAddress();
    await statusesOf(page, times(most, busy));
    assert.equal((await page(`203.0.113.99, ${busy}`)).status, 429);
    assert.equal(
      (await page(busy).set('X-Real-IP', '203.0.113.99').set('Forwarded', 'for=1.1.1.1')).status,
      429,
    );
  });

  it('is none of the machines’: one-click, pixel, server and download go on', async () => {
    const busy = newAddress();
    const own = await makeList(service, { ipWhitelist: busy });
    const { key } = await makeMailer(service, own);
    await statusesOf(page, times(most + 1, busy));
    const at = `/l/${own.publicId}`;
    const machines: Record<string, () => Test> = {
      'one-click': () =>
        request(service.url)
          .post(`${at}?email=ann@example.com`)
          .type('form')
          .send('List-Unsubscribe=One-Click'),
      pixel: () => request(service.url).get(`${at}/pixel.gif?email=ann@example.com`),
      'pixel on the link': () => request(service.url).get(`${at}?email=ann@example.com`).set(imageOfBrowser),
      server: () => request(service.url).get(`${at}/notify?email=ann@example.com`),
      'server on the link': () => request(service.url).get(`${at}?email=ann@example.com`),
      download: () => request(service.url).get(`${at}/download?key=${key}`),
    };
    for (const [what, ask] of Object.entries(machines)) {
      const answers = await Promise.all(times(most + 2, null).map(() => forwarded(ask(), busy)));
      assert.ok(
        answers.every(({ status }) => status === 200),
        what,
      );
    }
    assert.equal((await page(busy)).status, 429);
  });
});
