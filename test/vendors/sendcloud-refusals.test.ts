import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import request from 'supertest';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { createCredential } from '../../src/core/credentials.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { nameList } from '../../src/core/list-names.js';
import { createList, type List } from '../../src/core/lists.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import { endOf } from '../../src/vendors/sendcloud/times.js';
import { optOutOf } from '../support/core.js';
import { startTestService, type TestService } from '../support/service.js';

interface Envelope {
  result: boolean;
  statusCode: number;
  message: string;
  info: { dataList?: { email: string; apiUser: string }[]; count?: number };
}

const dayMs = 24 * 3_600_000;

describe("What SendCloud's unsubscribe calls must not do", () => {
  let service: TestService;
  let account: Account;
  let apiUser: string;
  let apiKey: string;
  let made = 0;
  before(async () => {
    service = await startTestService({ API_REQUESTS_PER_MINUTE: '20' });
  });
  after(() => service.close());
  beforeEach(async () => {
    account = await createAccount(service.deps.db, 'Acme');
    apiUser = `acme_${++made}`;
    apiKey = await keyFor();
  });

  const makeList = (name: string) =>
    createList(service.deps.db, account.id, { name }, { actor: 'test', confirmPrivate: true });
  const named = async (name: string) => {
    const list = await makeList(name);
    await nameList(service.deps.db, list, 'sendcloud', name, { actor: 'test' });
    return list;
  };
  const keyFor = async (lists: List[] = []) =>
    createCredential(
      service.deps.db,
      account.id,
      { surface: 'sendcloud', name: 'Shop', login: apiUser, rights: ['read', 'record', 'remove'], lists },
      { actor: 'test' },
    ).then(({ key }) => key);
  const record = (list: List, email: string, more = {}) =>
    service.deps.recorder.record([
      optOutOf(list.id, email, { createdAt: Date.now(), recordedAt: Date.now(), ...more }),
    ]);
  async function call(door: string, fields: Record<string, string>): Promise<Envelope> {
    const answer = await request(service.url)
      .get(`/apiv2/unsubscribe/${door}`)
      .query({ apiUser, apiKey, ...fields });
    assert.equal(answer.status, 200);
    return answer.body as Envelope;
  }
  const listed = async (fields: Record<string, string>) => {
    const { statusCode, info } = await call('list', fields);
    assert.equal(statusCode, 200);
    return (info.dataList ?? []).map((one) => `${one.email} ${one.apiUser}`).sort();
  };

  it('is to remove by days what an address left on other days', async () => {
    const list = await named(apiUser);
    const { db } = service.deps;
    await addTags(db, list.id, ['news', 'offers']);
    const longAgo = { createdAt: Date.now() - 200 * dayMs };
    await record(list, 'ann@example.com', longAgo);
    await record(list, 'ann@example.com', { tag: 'news' });
    await record(list, 'bob@example.com', { tag: 'offers' });
    await record(list, 'cat@example.com', longAgo);
    const shown = await listed({ days: '1' });
    assert.deepEqual(shown, [`ann@example.com ${apiUser}`, `bob@example.com ${apiUser}`]);
    assert.deepEqual((await call('delete', { days: '1' })).info, { count: shown.length });
    const live = async (email: string) =>
      (await findOptOuts(db, list.id, email))
        .filter((row) => row.removed_at === null)
        .map(({ tag }) => tag.toString());
    assert.deepEqual(await live('ann@example.com'), ['*']);
    assert.deepEqual(await live('bob@example.com'), []);
    assert.deepEqual(await live('cat@example.com'), ['*']);
    assert.equal(await isSuppressed(db, list.id, 'ann@example.com'), true);
  });

  it('is to leave out a list that has no name, where all of them are asked for', async () => {
    const [a, b] = [await named(`${apiUser}_a`), await makeList('Unnamed')];
    await record(a, 'ann@example.com');
    await record(b, 'bob@example.com');
    const both = [`ann@example.com ${apiUser}_a`, `bob@example.com ${b.publicId}`];
    assert.deepEqual(await listed({ days: '1' }), both);
    apiKey = await keyFor([b]);
    assert.deepEqual(await listed({ days: '1' }), both.slice(1));
    assert.deepEqual(await listed({ email: 'bob@example.com' }), both.slice(1));
    apiKey = await keyFor([a, b]);
    assert.deepEqual(await listed({ days: '1' }), both);
    assert.equal((await call('add', { email: 'eve@example.com' })).statusCode, 6001);
  });

  it('is to show what the global list holds twice, or to remove it, where nobody named it', async () => {
    const { db } = service.deps;
    const [own, never] = [await makeList('News'), await makeList('Never')];
    await setGlobalList(db, account, never, { actor: 'test' });
    await record(never, 'ann@example.com');
    await record(own, 'bob@example.com');
    const id = own.publicId;
    assert.deepEqual(await listed({ days: '1' }), [`ann@example.com ${id}`, `bob@example.com ${id}`]);
    assert.deepEqual((await call('delete', { days: '1' })).info, { count: 1 });
    assert.deepEqual(await listed({ days: '1' }), [`ann@example.com ${id}`]);
    assert.equal((await call('add', { email: 'cat@example.com' })).statusCode, 40401);
    assert.equal((await findOptOuts(db, own.id, 'cat@example.com')).length, 1);
  });

  it('is to tell that nobody has left where there is no list', async () => {
    const { result, statusCode, info } = await call('list', { days: '1' });
    assert.deepEqual([result, statusCode, info], [false, 6001, {}]);
    assert.equal((await call('add', { email: 'ann@example.com' })).statusCode, 6001);
  });

  it('is to take another list for the one that an apiUser is called after', async () => {
    const [mine, other] = [await named(apiUser), await named(`${apiUser}_b`)];
    apiKey = await keyFor([other]);
    assert.equal((await call('add', { email: 'ann@example.com' })).statusCode, 6001);
    assert.equal((await call('list', { days: '1' })).statusCode, 6001);
    assert.equal((await call('delete', { days: '1' })).statusCode, 6001);
    for (const { id } of [mine, other]) {
      assert.deepEqual(await findOptOuts(service.deps.db, id, 'ann@example.com'), []);
    }
  });

  it('is to do anything by another method', async () => {
    const list = await named(apiUser);
    await record(list, 'ann@example.com');
    for (const method of ['head', 'options', 'put', 'patch', 'delete'] as const) {
      for (const [door, fields] of [
        ['add', { email: 'bob@example.com' }],
        ['delete', { days: '1' }],
      ] as const) {
        const asking = request(service.url);
        const answer = await asking[method](`/apiv2/unsubscribe/${door}`).query({
          apiUser,
          apiKey,
          ...fields,
        });
        assert.equal(answer.headers.allow, 'GET, POST, OPTIONS');
        assert.equal(answer.status, method === 'options' ? 204 : 200);
        if (method === 'head' || method === 'options') continue;
        const { result, statusCode } = answer.body as Envelope;
        assert.deepEqual([result, statusCode], [false, 6001]);
      }
    }
    assert.deepEqual(await listed({ days: '1' }), [`ann@example.com ${apiUser}`]);
  });

  for (const expireTime of [
    '2021-07-01',
    '2020 01 31',
    '0001-01-01',
    '2099-12-31garbage',
    '2099-12-31 25:00',
  ]) {
    it(`is to tell that an opt-out until ${expireTime} was created`, async () => {
      const list = await named(apiUser);
      const { result, statusCode, message } = await call('add', { email: 'ann@example.com', expireTime });
      assert.deepEqual([result, statusCode], [false, 40402]);
      assert.match(message, /: expireTime: /);
      assert.deepEqual(await findOptOuts(service.deps.db, list.id, 'ann@example.com'), []);
    });
  }

  it('is to end an opt-out before the day of its expireTime', () => {
    // 2026-03-10 00:30 in UTC+8.
    const now = Date.UTC(2026, 2, 9, 16, 30);
    const ends: [text: string, end: number | 'past' | null][] = [
      ['2026-03-10', Date.UTC(2026, 2, 10, 16) - 1],
      ['2026 3 10 00:10:00', Date.UTC(2026, 2, 10, 16) - 1],
      ['2026-03-11', Date.UTC(2026, 2, 10, 16)],
      ['2026-03-11 08:00:05', Date.UTC(2026, 2, 11, 0, 0, 5)],
      ['2026-03-11T08:00', Date.UTC(2026, 2, 11)],
      ['2026-03-09', 'past'],
      ['2026-03-09 23:59:59', 'past'],
      ['1969-12-31', null],
      ['2026-02-30', null],
      ['08:00:00', null],
    ];
    for (const [text, end] of ends) assert.equal(endOf(text, now), end, text);
  });

  it('is to look for more entries than a page is worth', async () => {
    await named(apiUser);
    assert.equal((await call('list', { days: '1', start: '100001' })).statusCode, 40002);
    assert.equal((await call('list', { days: '1', start: '100000' })).statusCode, 200);
    const apiUserList = Array.from({ length: 1001 }, (_, i) => `a${i}`).join(';');
    assert.equal((await call('list', { days: '1', apiUserList })).statusCode, 40016);
  });

  it('is to serve a program that runs wild: it is told to wait', async () => {
    const list = await named(apiUser);
    // A minute may be over in between: then it takes up to as many once more.
    let limited: request.Response | undefined;
    for (let i = 0; i < 50 && limited === undefined; i++) {
      const answer = await request(service.url)
        .get('/apiv2/unsubscribe/add')
        .query({ apiUser, apiKey, email: `p${i}@example.com` });
      if ((answer.body as Envelope).statusCode !== 40401) limited = answer;
    }
    assert.ok(limited !== undefined);
    const { result, statusCode, message } = limited.body as Envelope;
    assert.deepEqual([limited.status, result, statusCode], [200, false, 6001]);
    assert.match(message, /Too many requests/);
    assert.match(String(limited.headers['retry-after']), /^([1-9]|[1-5]\d|60)$/);
    const held = (await service.deps.db('opt_outs').where({ list_id: list.id }).pluck('tag')).length;
    assert.ok(held >= 20 && held < 50, String(held));
  });

  const form = 'application/x-www-form-urlencoded';
  const unreadable: [what: string, headers: Record<string, string>, body: (fields: string) => Buffer][] = [
    ['too large', { 'Content-Type': form }, (fields) => Buffer.from(`${fields}&x=${'x'.repeat(20_000)}`)],
    ['compressed', { 'Content-Type': form, 'Content-Encoding': 'gzip' }, (fields) => gzipSync(fields)],
    ['in another charset', { 'Content-Type': `${form}; charset=gb2312` }, (fields) => Buffer.from(fields)],
    ['of another type', { 'Content-Type': 'application/json' }, () => Buffer.from('{"email":')],
    [
      'multipart without an end',
      { 'Content-Type': 'multipart/form-data; boundary=b' },
      () => Buffer.from('--b\r\nContent-Disposition: form-data; name="email"\r\n\r\nann@exa'),
    ],
  ];
  for (const [what, headers, bodyOf] of unreadable) {
    it(`is to call a body that is ${what} a matter of permission`, async () => {
      const list = await named(apiUser);
      const fields = new URLSearchParams({ apiUser, apiKey, email: 'ann@example.com' }).toString();
      for (const [door, code] of [
        ['add', 40402],
        ['list', 40011],
        ['delete', 40011],
      ] as const) {
        const sent = request(service.url).post(`/apiv2/unsubscribe/${door}`).set(headers);
        const answer = await sent.serialize((body: unknown) => body as string).send(bodyOf(fields));
        const { result, statusCode, message } = answer.body as Envelope;
        assert.deepEqual([answer.status, result, statusCode], [200, false, code], answer.text);
        assert.match(message, /: .*\b(body|form)\b/);
      }
      assert.deepEqual(await findOptOuts(service.deps.db, list.id, 'ann@example.com'), []);
    });
  }
});
