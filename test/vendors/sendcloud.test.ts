import assert from 'node:assert/strict';
import request from 'supertest';
import { createAccount } from '../../src/core/accounts.js';
import { bulkRemovalsOfList } from '../../src/core/bulk-removals.js';
import { createCredential } from '../../src/core/credentials.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { nameList } from '../../src/core/list-names.js';
import { createList, type List } from '../../src/core/lists.js';
import { restoreRemoval } from '../../src/core/restore-removal.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf } from '../support/core.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';

interface Envelope {
  result: boolean;
  statusCode: number;
  message: string;
  info: { dataList?: Record<string, unknown>[]; data?: Record<string, unknown>; count?: number };
}

const hourMs = 3_600_000;

describe("SendCloud's unsubscribe calls", () => {
  let service: TestService;
  let list: List;
  let apiUser: string;
  let apiKey: string;
  let made = 0;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    apiUser = `acme_${++made}`;
    list = await makeList(service);
    await nameList(service.deps.db, list, 'sendcloud', apiUser, { actor: 'test' });
    ({ key: apiKey } = await credentialFor(apiUser));
  });

  const credentialFor = (login: string, more = {}) =>
    createCredential(
      service.deps.db,
      service.accountId,
      { surface: 'sendcloud', name: 'Shop', login, rights: ['read', 'record', 'remove'], ...more },
      { actor: 'test', confirmPrivate: true },
    );

  type Fields = Record<string, string>;
  async function call(
    door: string,
    fields: Fields,
    method: 'get' | 'post' | 'multipart' = 'get',
  ): Promise<Envelope> {
    const path = `/apiv2/unsubscribe/${door}`;
    const all = { apiUser, apiKey, ...fields };
    const sent =
      method === 'get'
        ? request(service.url).get(path).query(new URLSearchParams(all).toString())
        : method === 'post'
          ? request(service.url).post(path).type('form').send(all)
          : Object.entries(all).reduce(
              (test, [name, value]) => test.field(name, value),
              request(service.url).post(path),
            );
    const answer = await sent;
    assert.deepEqual([answer.status, answer.type], [200, 'application/json']);
    return answer.body as Envelope;
  }
  async function listed(fields: Fields): Promise<string[]> {
    const { statusCode, info } = await call('list', fields);
    assert.equal(statusCode, 200);
    assert.equal(info.count, info.dataList?.length);
    return (info.dataList ?? []).map(({ email }) => String(email));
  }
  const record = (email: string, more = {}) => service.deps.recorder.record([optOutOf(list.id, email, more)]);

  it('add, by GET and POST, urlencoded and multipart, and the opt-out suppresses at every door', async () => {
    for (const [i, method] of (['get', 'post', 'multipart'] as const).entries()) {
      const email = `Ann${i}@Example.com`;
      const { result, statusCode, message, info } = await call('add', { email }, method);
      assert.deepEqual([result, statusCode, message], [true, 40401, '取消订阅记录创建成功']);
      const { unsubscribeTime, ...data } = info.data ?? {};
      assert.match(String(unsubscribeTime), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
      assert.deepEqual(data, {
        ...{ email: email.toLowerCase(), domain: 'example.com', labelId: 0, labelName: '', apiUser },
        ...{
          expireTime: '2099-12-31 00:00:00',
          unsubscribeType: 0,
          unsubscribeTypeDesc: '我不想再收到此类邮件',
        },
      });
      assert.equal(await isSuppressed(service.deps.db, list.id, email.toLowerCase()), true);
    }
    const [row] = await findOptOuts(service.deps.db, list.id, 'ann0@example.com');
    assert.equal(row?.source, 'api');
    const credential = await service.deps
      .db<{ login: string; id: number }>('credentials')
      .where({ login: apiUser })
      .first('id');
    assert.equal((row as unknown as { credential_id: number }).credential_id, credential?.id);
    await untilNumbered(service, list);
    const { key } = await makeMailer(service, list);
    const file = await request(service.url).get(`/l/${list.publicId}/download?format=plain&key=${key}`);
    assert.deepEqual(file.text.trim().split('\n').sort(), [
      'ann0@example.com',
      'ann1@example.com',
      'ann2@example.com',
    ]);
  });

  it('read a plus that came as a space', async () => {
    const { statusCode } = await call('add', { email: 'ann sale@example.com' });
    assert.equal(statusCode, 40401);
    assert.deepEqual(await listed({ email: 'ann+sale@example.com' }), ['ann+sale@example.com']);
  });

  it('keep to expireTime: an expired entry suppresses nobody, and leaves the feed', async () => {
    const expireTime = '2098 01 31';
    const { statusCode, info } = await call('add', { email: 'ann@example.com', expireTime });
    assert.deepEqual([statusCode, info.data?.expireTime], [40401, '2098-01-31 00:00:00']);
    assert.equal(await isSuppressed(service.deps.db, list.id, 'ann@example.com'), true);
    const past = Date.now() - 1;
    await record('bob@example.com', { createdAt: past, recordedAt: past, expiresAt: past });
    assert.equal(await isSuppressed(service.deps.db, list.id, 'bob@example.com'), false);
    assert.deepEqual(await listed({ email: 'bob@example.com' }), []);
    await until('the keeper has removed it', async () => {
      const [row] = await findOptOuts(service.deps.db, list.id, 'bob@example.com');
      return row?.removed_at !== null && row?.feed_number !== null;
    });
    const wrong = await call('add', { email: 'cat@example.com', expireTime: '2098-02-31' });
    assert.deepEqual([wrong.result, wrong.statusCode], [false, 40402]);
    assert.equal(await isSuppressed(service.deps.db, list.id, 'cat@example.com'), false);
  });

  it('list what was added in a span of days of UTC+8, both ends included', async () => {
    // 2026-03-10 00:30 in UTC+8.
    const at = Date.UTC(2026, 2, 9, 16, 30);
    await record('ann@example.com', { createdAt: at, recordedAt: at });
    await record('bob@example.com', { createdAt: at - hourMs, recordedAt: at - hourMs });
    const day = (startDate: string, endDate: string) => listed({ startDate, endDate });
    assert.deepEqual(await day('2026-03-10', '2026-03-10'), ['ann@example.com']);
    assert.deepEqual(await day('2026-03-09', '2026-03-09'), ['bob@example.com']);
    assert.deepEqual((await day('2026-03-09', '2026-03-10')).sort(), ['ann@example.com', 'bob@example.com']);
    await record('cat@example.com', { createdAt: Date.now(), recordedAt: Date.now() });
    assert.deepEqual(await listed({ days: '1' }), ['cat@example.com']);
    // With an address, the days are passed over.
    assert.deepEqual(await listed({ email: 'ann@example.com', days: '1' }), ['ann@example.com']);
  });

  it('list by label, and page by start and limit', async () => {
    await addTags(service.deps.db, list.id, ['offers', '促销']);
    const now = { createdAt: Date.now(), recordedAt: Date.now() };
    await record('ann@example.com', { ...now, tag: '促销' });
    await record('bob@example.com', { ...now, tag: 'offers' });
    await record('cat@example.com', now);
    const { info } = await call('list', { days: '1', labelNameList: '[促销;nothing]' });
    assert.deepEqual(
      info.dataList?.map(({ email, labelName }) => [email, labelName]),
      [['ann@example.com', '促销']],
    );
    const labelId = String(info.dataList?.[0]?.labelId);
    assert.match(labelId, /^[1-9]\d*$/);
    assert.deepEqual(await listed({ days: '1', labelIdList: `${labelId};0` }).then((all) => all.sort()), [
      'ann@example.com',
      'cat@example.com',
    ]);

    const pages = [];
    for (const start of ['0', '1', '2', '3']) pages.push(...(await listed({ days: '1', start, limit: '1' })));
    assert.deepEqual(pages.sort(), ['ann@example.com', 'bob@example.com', 'cat@example.com']);
    assert.deepEqual(await listed({ days: '1', limit: '0' }), []);
  });

  it('span the apiUsers that are named, and no other account', async () => {
    const other = await makeList(service);
    await nameList(service.deps.db, other, 'sendcloud', `${apiUser}_b`, { actor: 'test' });
    await record('ann@example.com', { createdAt: Date.now(), recordedAt: Date.now() });
    await service.deps.recorder.record([
      optOutOf(other.id, 'bob@example.com', { createdAt: Date.now(), recordedAt: Date.now() }),
    ]);
    const apiUserList = `[${apiUser};${apiUser}_b]`;
    const { info } = await call('list', { days: '1', apiUserList });
    assert.deepEqual(info.dataList?.map((one) => [one.email, one.apiUser]).sort(), [
      ['ann@example.com', apiUser],
      ['bob@example.com', `${apiUser}_b`],
    ]);
    assert.equal((await call('list', { days: '1', apiUserList: 'somebody_else' })).statusCode, 6001);
  });

  it('delete an address, or what came in some days, and tell how many went', async () => {
    for (const email of ['ann@example.com', 'bob@example.com', 'cat@example.com']) {
      await record(email, { createdAt: Date.now(), recordedAt: Date.now() });
    }
    assert.deepEqual((await call('delete', { email: 'ANN@example.com' }, 'post')).info, { count: 1 });
    assert.deepEqual((await call('delete', { email: 'ann@example.com' })).info, { count: 0 });
    assert.equal(await isSuppressed(service.deps.db, list.id, 'ann@example.com'), false);
    assert.deepEqual((await call('delete', { days: '1' })).info, { count: 2 });
    assert.deepEqual(await listed({ days: '1' }), []);
    const noted = (await service.deps.db('history').where({ list_id: list.id }).pluck('action')) as string[];
    assert.deepEqual(
      noted.filter((action) => action.endsWith('.removed')),
      ['opt-out.removed', 'opt-outs.removed'],
    );
  });

  it('delete what came in some days as one removal of each list, which can be taken back', async () => {
    const { db } = service.deps;
    const other = await makeList(service);
    await nameList(db, other, 'sendcloud', `${apiUser}_b`, { actor: 'test' });
    const now = Date.now();
    const emails = Array.from({ length: 250 }, (_, i) => `p${i}@example.com`);
    for (const { id } of [list, other]) {
      await service.deps.recorder.record(
        emails.map((email) => optOutOf(id, email, { createdAt: now, recordedAt: now })),
      );
    }
    await record('old@example.com', { createdAt: now - 72 * hourMs, recordedAt: now });
    const apiUserList = `${apiUser};${apiUser}_b`;
    assert.deepEqual((await call('delete', { days: '1', apiUserList })).info, { count: 500 });
    assert.deepEqual(await listed({ days: '1' }), []);
    for (const { id } of [list, other]) {
      const [removal, ...others] = await bulkRemovalsOfList(db, id);
      assert.ok(removal !== undefined && others.length === 0);
      assert.deepEqual([removal.kind, removal.state, removal.optOuts], ['some', 'removed', 250]);
      assert.match(removal.actor, /^credential \d+$/);
      assert.equal((await restoreRemoval(db, removal, { actor: 'test' })).restored, 250);
    }
    await record('p0@example.com', { createdAt: Date.now(), recordedAt: Date.now() });
    assert.equal((await call('list', { days: '1', limit: '100', start: '200' })).info.count, 50);
    assert.equal(await isSuppressed(db, list.id, 'old@example.com'), true);
  });

  it('list what the global list of the account holds under each apiUser, and leave it there', async () => {
    const { db } = service.deps;
    const account = await createAccount(db, 'Acme & Sons');
    const own = await createList(db, account.id, { name: 'News' }, { actor: 'test' });
    const never = await createList(db, account.id, { name: 'Never' }, { actor: 'test' });
    await nameList(db, own, 'sendcloud', apiUser, { actor: 'test' });
    await setGlobalList(db, account, never, { actor: 'test' });
    ({ key: apiKey } = await createCredential(
      db,
      account.id,
      { surface: 'sendcloud', name: 'Shop', login: apiUser, rights: ['read', 'remove'] },
      { actor: 'test', confirmPrivate: true },
    ));
    const now = Date.now();
    const times = { createdAt: now, recordedAt: now };
    await service.deps.recorder.record([
      optOutOf(own.id, 'ann@example.com', times),
      optOutOf(never.id, 'ann@example.com', times),
      optOutOf(never.id, 'bob@example.com', times),
      optOutOf(never.id, 'eve@example.com', { ...times, expiresAt: now + 1 }),
    ]);
    await until('one has run out', () => Date.now() > now + 1);
    const shown = (fields: Fields) =>
      call('list', fields).then(({ info }) =>
        info.dataList?.map((one) => `${String(one.email)} ${String(one.apiUser)}`).sort(),
      );
    assert.deepEqual(await shown({ days: '1' }), [
      `ann@example.com ${apiUser}`,
      `bob@example.com ${apiUser}`,
    ]);
    assert.deepEqual(await shown({ email: 'ann@example.com' }), [`ann@example.com ${apiUser}`]);
    assert.deepEqual(await shown({ email: 'bob@example.com' }), [`bob@example.com ${apiUser}`]);

    assert.deepEqual((await call('delete', { days: '1' })).info, { count: 1 });
    assert.deepEqual((await call('delete', { email: 'bob@example.com' })).info, { count: 0 });
    assert.deepEqual(await shown({ days: '1' }), [
      `ann@example.com ${apiUser}`,
      `bob@example.com ${apiUser}`,
    ]);
  });

  const refused: [what: string, door: string, fields: Fields, code: number][] = [
    ['no address and no days', 'list', {}, 40011],
    ['no address and no days to delete', 'delete', {}, 40011],
    ['no address to add', 'add', {}, 40011],
    ['an address that is none', 'add', { email: 'ann.example.com' }, 40012],
    ['days that are no number', 'list', { days: 'x' }, 40006],
    ['no days', 'list', { days: '0' }, 40006],
    ['too many days', 'list', { days: '101' }, 40006],
    ['a start date that is none', 'list', { startDate: '2026-13-01', endDate: '2026-12-01' }, 40007],
    ['an end date that is none', 'list', { startDate: '2026-12-01', endDate: 'x' }, 40008],
    ['an end before the start', 'list', { startDate: '2026-12-02', endDate: '2026-12-01' }, 40008],
    ['over three months', 'list', { startDate: '2026-01-01', endDate: '2026-06-01' }, 40008],
    ['a start that is no number', 'list', { days: '1', start: '-1' }, 40002],
    ['a limit over 100', 'list', { days: '1', limit: '101' }, 40004],
    ['label ids that are no numbers', 'list', { days: '1', labelIdList: 'a;b' }, 40015],
    ['a wrong key', 'list', { days: '1', apiKey: 'x'.repeat(40) }, 40005],
    ["another user's name", 'list', { days: '1', apiUser: 'somebody' }, 40005],
    ['no key', 'list', { days: '1', apiKey: '' }, 40005],
  ];
  for (const [what, door, fields, code] of refused) {
    it(`refuse ${what} with ${code}, and record nothing`, async () => {
      const answer = await call(door, fields);
      assert.deepEqual([answer.result, answer.statusCode, answer.info], [false, code, {}]);
      assert.notEqual(answer.message, '');
      assert.deepEqual(await service.deps.db('opt_outs').where({ list_id: list.id }).select('tag'), []);
    });
  }

  it('speak English where it is asked for', async () => {
    const answer = await request(service.url)
      .get('/apiv2/unsubscribe/list')
      .query({ apiUser, apiKey: 'wrong' })
      .set('Accept-Language', 'en-US');
    assert.equal((answer.body as Envelope).message, 'authentication failed');
  });

  it('keep to the rights, lists and networks of their credential', async () => {
    ({ key: apiKey } = await credentialFor(apiUser, { rights: ['read'] }));
    assert.equal((await call('list', { days: '1' })).statusCode, 200);
    assert.equal((await call('add', { email: 'ann@example.com' })).statusCode, 6001);
    assert.equal((await call('delete', { days: '1' })).statusCode, 6001);
    ({ key: apiKey } = await credentialFor(apiUser, { ipWhitelist: '203.0.113.7' }));
    const elsewhere = await call('list', { days: '1' });
    assert.equal(elsewhere.statusCode, 6001);
    assert.match(elsewhere.message, /127\.0\.0\.1/);
    const other = await makeList(service);
    ({ key: apiKey } = await credentialFor(apiUser, { lists: [other] }));
    assert.equal((await call('add', { email: 'ann@example.com' })).statusCode, 6001);
  });

  it('answer in their envelope where there is no such call, or it comes by another method', async () => {
    const asked = request(service.url);
    for (const sent of [
      asked.get('/apiv2/unsubscribe/count'),
      asked.post('/apiv2/mail/send').type('form').send({ apiUser, apiKey }),
      asked.get('/apiv2/%'),
      asked.delete('/apiv2/unsubscribe/list').query({ apiUser, apiKey, days: '1' }),
      asked.put('/apiv2/unsubscribe/delete').query({ apiUser, apiKey, days: '1' }),
    ]) {
      const answer = await sent;
      assert.deepEqual([answer.status, answer.type], [200, 'application/json'], answer.text);
      const { result, statusCode, message } = answer.body as Envelope;
      assert.deepEqual([result, statusCode], [false, 6001]);
      assert.match(message, /: (There is no such call|This is called by GET or POST)\.$/);
    }
  });
});
