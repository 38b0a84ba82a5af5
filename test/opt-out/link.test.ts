import assert from 'node:assert/strict';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { forwarded, mailersNetwork, mailersServer } from '../support/doors.js';
import { formOf } from '../support/html.js';
import { addressesOf, onlyRowOf, problemIn } from '../support/records.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import {
  browser,
  imageOfBrowser,
  oldJava,
  prefetches,
  program,
  scanners,
  type Headers,
} from '../support/visitors.js';

const somebody = '198.51.100.7';

describe("A list's one link", () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  /** Links as they stand in mails and on mailers' pages. */
  const links = (list: List) => [
    `/l/${list.publicId}`,
    `/l/${list.publicId}?email=ann@example.com`,
    `/l/${list.publicId}/?item=ann@example.com&tag=offers&mailer=1&lang=ja`,
    `/L/${list.publicId.toUpperCase()}?email=ann@example.com`,
  ];
  const machineLinks = (list: List) => [
    `/l/${list.publicId}/pixel.gif?email=ann@example.com`,
    `/l/${list.publicId}/notify?email=ann@example.com`,
  ];
  const open = (path: string, headers: Headers, from = somebody) =>
    forwarded(request(service.url).get(path), from).set(headers);
  const isEmpty = async (list: List) => assert.deepEqual(await addressesOf(service, list), []);

  // Rows 1 to 8 of the design's table of doors, in their order.

  it('records nothing for HEAD and OPTIONS, whoever asks and wherever', async () => {
    for (const settings of [{}, { directLink: 'instant' }]) {
      const list = await makeList(service, { ...settings, ipWhitelist: mailersNetwork });
      for (const path of [...links(list), ...machineLinks(list)]) {
        for (const headers of [browser, imageOfBrowser, program]) {
          const head = await forwarded(request(service.url).head(path), mailersServer).set(headers);
          assert.ok([200, 405].includes(head.status), `${head.status} ${path}`);
          const options = await forwarded(request(service.url).options(path), mailersServer).set(headers);
          assert.equal(options.status, 204, path);
          assert.match(String(options.get('Allow')), /GET.*OPTIONS/);
        }
      }
      await isEmpty(list);
    }
  });

  for (const [who, headers] of Object.entries(prefetches)) {
    it(`records nothing for ${who}, wherever`, async () => {
      const list = await makeList(service, { directLink: 'instant', ipWhitelist: mailersNetwork });
      for (const path of [...links(list), ...machineLinks(list)]) {
        const { status } = await open(path, headers, mailersServer);
        assert.ok([200, 204].includes(status), `${status} ${path}`);
      }
      await isEmpty(list);
    });
  }

  for (const [who, headers] of Object.entries(scanners)) {
    it(`in its default settings, opts nobody out for ${who}`, async () => {
      const list = await makeList(service);
      for (const path of links(list)) await open(path, headers);
      await forwarded(
        request(service.url).get(`/l/${list.publicId}/opt-out?email=ann@example.com`),
        somebody,
      );
      await open(machineLinks(list)[1] ?? '', headers);
      await isEmpty(list);
    });
  }

  it('takes a one-click POST before all else, with no redirect and no cookie', async () => {
    const list = await makeList(service, {
      redirectTemplate: 'https://acme.example/',
      directLink: 'instant',
    });
    const answer = await forwarded(request(service.url).post(`${links(list)[1]}`), somebody)
      .set(browser)
      .type('form')
      .send('List-Unsubscribe=One-Click');
    assert.equal(answer.status, 200);
    assert.equal(answer.get('Set-Cookie'), undefined);
    assert.equal((await onlyRowOf(service, list)).source, 'one-click');
  });

  it('takes an image request as the pixel, even from a server on the whitelist', async () => {
    const onlyAccept = { Accept: 'image/gif' };
    const onlyDestination = { 'Sec-Fetch-Dest': 'image', Accept: '*/*' };
    for (const headers of [imageOfBrowser, onlyAccept, onlyDestination]) {
      const list = await makeList(service, { ipWhitelist: mailersNetwork });
      const answer = await open(`${links(list)[1]}`, headers, mailersServer);
      assert.equal(answer.type, 'image/gif');
      assert.equal((await onlyRowOf(service, list)).source, 'pixel');
    }
  });

  it('takes no image request where the pixel is off, not even from the whitelist', async () => {
    const list = await makeList(service, { pixel: false, ipWhitelist: mailersNetwork });
    const answer = await open(`${links(list)[1]}`, imageOfBrowser, mailersServer);
    assert.equal(answer.status, 403);
    assert.equal(problemIn(answer).code, 'pixel-off');
    await isEmpty(list);
  });

  it('takes an address from a program on the whitelist, old Java included', async () => {
    for (const headers of [program, oldJava, {}, { Accept: 'application/json' }]) {
      const list = await makeList(service, { ipWhitelist: mailersNetwork });
      const answer = await open(`${links(list)[1]}`, headers, mailersServer);
      assert.deepEqual(answer.body, { status: 'opted-out', taken: 1, refused: [] });
      assert.equal((await onlyRowOf(service, list)).source, 'server');
    }
  });

  it("takes an address from a program with a mailer's key, wherever it is", async () => {
    const list = await makeList(service, { ipWhitelist: '' });
    const { key, mailer } = await makeMailer(service, list);
    const answer = await open(`${links(list)[1]}&key=${key}`, program);
    assert.equal(answer.status, 200);
    assert.equal((await onlyRowOf(service, list)).mailer_id, mailer.id);
  });

  it('tells a program that is not on the whitelist so, and with which address it came', async () => {
    for (const headers of [program, oldJava, {}]) {
      const list = await makeList(service, { ipWhitelist: mailersNetwork });
      const answer = await open(`${links(list)[1]}`, headers, somebody);
      assert.equal(answer.status, 403);
      const { code, detail } = problemIn(answer);
      assert.equal(code, 'not-whitelisted');
      assert.match(String(detail), /198\.51\.100\.7/);
      assert.match(String(detail), /Nothing was recorded/);
      await isEmpty(list);
    }
  });

  it('shows a person the address and one button, and nothing to type', async () => {
    const list = await makeList(service);
    const page = await open(`/l/${list.publicId}?email=ann%40example.com&mailer=12`, browser);
    assert.equal(page.status, 200);
    const form = formOf(page.text);
    assert.equal(form?.action, `/l/${list.publicId}/opt-out`);
    assert.equal(form.isComplete, true);
    assert.deepEqual(form.fields, [
      ['lang', 'en'],
      ['mailer', '12'],
      ['email', 'ann@example.com'],
    ]);
    assert.equal(form.buttons, 1);
    assert.match(page.text, /<bdi>ann@example\.com<\/bdi>/);
    await isEmpty(list);
  });

  it('shows a person on the whitelist the same: a browser is no server', async () => {
    const list = await makeList(service, { ipWhitelist: mailersNetwork });
    const page = await open(`${links(list)[1]}`, browser, mailersServer);
    assert.equal(formOf(page.text)?.isComplete, true);
    await isEmpty(list);
  });

  it("keeps a plus that the mailer's program forgot to encode, on the page and behind its button", async () => {
    const list = await makeList(service);
    const page = await open(`/l/${list.publicId}?email=Ann+news@example.com`, browser);
    assert.match(page.text, /<bdi>Ann\+news@example\.com<\/bdi>/);
    const form = formOf(page.text);
    assert.ok(form);
    const answer = await forwarded(request(service.url).post(form.action), somebody)
      .set(browser)
      .type('form')
      .send(new URLSearchParams(form.fields).toString());
    assert.equal(answer.status, 200);
    assert.deepEqual(await addressesOf(service, list), ['ann+news@example.com']);
  });

  it('opts out at once where the owner chose instant links, but only a browser that opens it', async () => {
    const list = await makeList(service, { directLink: 'instant', ipWhitelist: '' });
    for (const headers of [program, oldJava]) await open(`${links(list)[1]}`, headers);
    await isEmpty(list);
    const withoutFetchMetadata = { Accept: 'text/html', 'Accept-Language': 'ja' };
    for (const headers of [browser, withoutFetchMetadata, { 'Sec-Fetch-Mode': 'navigate' }]) {
      const own = await makeList(service, { directLink: 'instant', ipWhitelist: '' });
      const answer = await open(`${links(own)[1]}`, headers);
      assert.equal(answer.status, 200);
      assert.equal((await onlyRowOf(service, own)).source, 'direct-link');
    }
  });

  it('is the page with a form for whoever brings no address, and a program that brings half of one is told', async () => {
    const list = await makeList(service, { directLink: 'instant', ipWhitelist: mailersNetwork });
    for (const headers of [browser, program, imageOfBrowser, {}]) {
      const answer = await open(`/l/${list.publicId}`, headers, mailersServer);
      assert.equal(answer.status, 200);
      assert.equal(formOf(answer.text)?.isComplete, false);
    }
    for (const query of ['email=', 'item=', 'email={{email}}', 'email=%25recipient%25']) {
      const person = await open(`/l/${list.publicId}?${query}`, browser, mailersServer);
      assert.equal(formOf(person.text)?.isComplete, false, 'a merge tag is no address');
      const told = await open(`/l/${list.publicId}?${query}`, program, mailersServer);
      assert.deepEqual([told.status, problemIn(told).field], [400, 'email']);
    }
    await isEmpty(list);
  });

  it('takes no other method', async () => {
    const list = await makeList(service);
    for (const method of ['put', 'delete', 'patch'] as const) {
      for (const path of [...links(list), ...machineLinks(list), `/l/${list.publicId}/opt-out`]) {
        const answer = await forwarded(request(service.url)[method](path), somebody).set(browser);
        assert.equal(answer.status, 405, `${method} ${path}`);
        assert.match(String(answer.get('Allow')), /GET/);
      }
    }
    await isEmpty(list);
  });
});
