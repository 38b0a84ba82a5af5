import assert from 'node:assert/strict';
import request from 'supertest';
import { getAccount } from '../../src/core/accounts.js';
import { md5Of } from '../../src/core/address.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf } from '../support/core.js';
import { forwarded, mailersServer } from '../support/doors.js';
import { accessLogOf, download } from '../support/downloads.js';
import { formOf } from '../support/html.js';
import { problemIn, rowsOf } from '../support/records.js';
import { scrub } from '../support/scrubs.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';
import { browser } from '../support/visitors.js';

const actor = 'test';
const md5s = (...emails: string[]) => emails.map((email) => `${md5Of(email).toString('hex')}\n`).sort();

/** Goes through its opt-out process and its list service as its partners' programs and pages do. */
describe('A partner who comes from SuppressionList.app', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('notifies by item from its whitelisted server, names the campaign by c, and downloads MD5s by key', async () => {
    const list = await makeList(service, { ipWhitelist: ',,203.0.113.7' });
    const { mailer, key } = await makeMailer(service, list, { plainAllowed: false });
    await addTags(service.deps.db, list.id, ['4711', '4712'], { actor });
    const path = `/l/${list.publicId}`;
    const get = (query: string, from = mailersServer) =>
      forwarded(request(service.url).get(path + query), from);

    assert.equal((await get('?item=ann%40example.com&c=4711')).status, 200);
    assert.equal((await get('?c=9999&item=bob@example.com')).status, 200);
    assert.equal((await get('/notify?item=cat@example.com')).status, 200);
    const posted = await forwarded(request(service.url).post(`${path}/notify`), mailersServer)
      .type('form')
      .send('item=dan@example.com&item=eva@example.com&c=4711');
    assert.equal(posted.status, 200);
    const json = await forwarded(request(service.url).post(`${path}/notify`), mailersServer).send([
      { item: 'fay@example.com', c: '4711' },
    ]);
    assert.equal(json.status, 200);
    assert.deepEqual(
      (await rowsOf(service, list)).map(({ address, tag }) => [String(address), String(tag)]),
      [
        ['ann@example.com', '4711'],
        ['bob@example.com', '*'],
        ['cat@example.com', '*'],
        ['dan@example.com', '4711'],
        ['eva@example.com', '4711'],
        ['fay@example.com', '4711'],
      ],
    );
    // The whitelist is that of the download as well: "also the GET service will be bounded to those IP".
    assert.equal((await get('?item=gil@example.com', '198.51.100.7')).status, 403);
    assert.equal((await get(`/download?key=${key}`, '198.51.100.7')).status, 403);

    await untilNumbered(service, list);
    const linesOf = async (query: string) => {
      const answer = await get(`/download?key=${key}${query}`);
      assert.equal(answer.status, 200, answer.text);
      return answer.text.match(/.+\n/g)?.sort() ?? [];
    };
    const everyone = ['ann', 'bob', 'cat', 'dan', 'eva', 'fay'].map((name) => `${name}@example.com`);
    assert.deepEqual(await linesOf(''), md5s(...everyone));
    assert.deepEqual(await linesOf('&c=4711'), md5s(...everyone), 'the campaign, and everything');
    assert.deepEqual(await linesOf('&c=9999'), md5s(...everyone), 'of an unknown campaign, all');
    assert.deepEqual(await linesOf('&c=4712'), md5s('bob@example.com', 'cat@example.com'));
    const plain = await get(`/download?key=${key}&format=plain`);
    assert.deepEqual([plain.status, problemIn(plain).code], [403, 'plain']);
    const readLog = () => accessLogOf(service, { list, key });
    await until('all have ended', async () => (await readLog()).every((row) => row.finished_at !== null));
    const log = await readLog();
    assert.deepEqual(
      log.map(({ mailer_id, ip, format, entries }) => [mailer_id, ip, format, entries]),
      [6, 6, 6, 2].map((entries) => [mailer.id, mailersServer, 'md5', entries]),
    );
    assert.ok(log.every(({ at }) => Math.abs(at - Date.now()) < 60_000));
  });

  it('sends recipients by links with item and c: the page, the direct link, the pixel, the redirect', async () => {
    const list = await makeList(service, {
      directLink: 'instant',
      pixel: true,
      redirectTemplate: 'https://mailer.example/bye?item={email}',
    });
    await addTags(service.deps.db, list.id, ['4711'], { actor });
    const path = `/l/${list.publicId}`;
    const form = formOf((await request(service.url).get(path).set(browser)).text);
    assert.notEqual(form, null, 'without an item, they are asked for it');
    const direct = await request(service.url).get(`${path}?c=4711&item=ann@example.com`).set(browser);
    assert.equal(direct.get('Location'), 'https://mailer.example/bye?item=ann%40example.com');
    const pixel = await request(service.url).get(`${path}/pixel.gif?c=4711&item=bob@example.com`);
    assert.deepEqual([pixel.status, pixel.type], [200, 'image/gif']);
    const typed = await request(service.url)
      .post(`${path}/opt-out`)
      .type('form')
      .send({ item: 'cat@example.com' });
    assert.equal(typed.status, 303);
    assert.deepEqual(
      (await rowsOf(service, list)).map(({ address, tag }) => [String(address), String(tag)]),
      [
        ['ann@example.com', '4711'],
        ['bob@example.com', '4711'],
        ['cat@example.com', '*'],
      ],
    );
  });

  it('gets the global list with every list, and what came since a date', async () => {
    const { db, recorder } = service.deps;
    const [list, global] = [await makeList(service), await makeList(service)];
    const { key } = await makeMailer(service, list);
    const account = await getAccount(db, service.accountId);
    await setGlobalList(db, account, global, { actor });
    try {
      const recordedAt = Date.parse('2026-01-31T12:00:00Z');
      await recorder.record([
        optOutOf(list.id, 'ann@example.com', { recordedAt }),
        optOutOf(list.id, 'bob@example.com', { recordedAt: Date.now() }),
        optOutOf(global.id, 'cat@example.com', { recordedAt: Date.now() }),
      ]);
      for (const one of [list, global]) await untilNumbered(service, one);
      const linesOf = async (query: Record<string, string>) =>
        (await download(service, { list, key }, query)).text.match(/.+\n/g)?.sort() ?? [];
      assert.deepEqual(await linesOf({}), md5s('ann@example.com', 'bob@example.com', 'cat@example.com'));
      assert.deepEqual(await linesOf({ since: '2026-02-01' }), md5s('bob@example.com', 'cat@example.com'));
      const file = 'ann@example.com\ndan@example.com\ncat@example.com\n';
      assert.equal(
        (await scrub(service, { list, key }, file, { return: 'white' })).text,
        'dan@example.com\n',
      );
    } finally {
      await setGlobalList(db, account, null, { actor });
    }
  });

  it('is told that a deactivated list gives no more downloads, while its page takes opt-outs on', async () => {
    const list = await makeList(service, { state: 'closed' });
    const { key } = await makeMailer(service, list);
    const refused = [
      await download(service, { list, key }),
      await scrub(service, { list, key }, 'a@b.example\n'),
    ];
    assert.deepEqual(
      refused.map((answer) => [answer.status, problemIn(answer).code]),
      refused.map(() => [403, 'closed']),
    );
    const left = await request(service.url)
      .post(`/l/${list.publicId}/opt-out`)
      .type('form')
      .send({ item: 'ann@example.com' });
    assert.equal(left.status, 200);
    assert.equal((await rowsOf(service, list)).length, 1);
  });
});
