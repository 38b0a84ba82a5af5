import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { audit } from '../../src/core/audit.js';
import { findErased } from '../../src/core/erased-people.js';
import { erasePerson } from '../../src/core/erasure.js';
import { getCounts } from '../../src/core/feed.js';
import { createList, type List } from '../../src/core/lists.js';
import { removeOptOuts, type OptOutRecord } from '../../src/core/opt-outs.js';
import { heldByLists, historyOfPerson } from '../../src/core/people.js';
import { noteReason, receiptOf, undoOptOut } from '../../src/core/receipts.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import type { Db } from '../../src/db/connect.js';
import { optOutOf, plant, rowKinds, rowsOfList } from '../support/core.js';
import { download, listOf } from '../support/downloads.js';
import { makeList, startTestService, until, untilNumbered, type TestService } from '../support/service.js';

const actor = 'test';
const ann = 'ann@example.com';
const hex = (octets: Buffer) => octets.toString('hex');

/** @returns what was erased: how many entries by the list's id. */
async function erase(db: Db, accountId: number, address: string): Promise<Map<number, number>> {
  const erased = new Map<number, number>();
  for await (const { list, optOuts } of erasePerson(db, accountId, address, { actor, retryMs: 10_000 })) {
    erased.set(list.id, optOuts);
  }
  return erased;
}

/** Everything that an account holds of an address. */
async function heldOf(db: Db, accountId: number, address: string): Promise<OptOutRecord[]> {
  const rows: OptOutRecord[] = [];
  for await (const held of heldByLists(db, accountId, address)) rows.push(...held.rows);
  return rows;
}

async function breachesOf(db: Db): Promise<string[]> {
  const found: string[] = [];
  for await (const { table, description } of audit(db)) found.push(`${table}: ${description}`);
  return found;
}

function holdsNothingPersonal(row: OptOutRecord): boolean {
  const { address, given, reason, ip, mailer_id, receipt } = row;
  const { credential_id } = row as OptOutRecord & { credential_id: number | null };
  return [address, given, reason, ip, mailer_id, receipt, credential_id].every((value) => value === null);
}

/** All there is to know about an opt-out. */
const whole = {
  address: { normalised: ann, given: 'Ann@Example.com' },
  reason: 'Ann asked on the phone',
  ip: '198.51.100.7',
  receipt: Buffer.alloc(8, 7),
  credentialId: 5,
};

describe('Erasing a person', () => {
  let service: TestService;
  let db: Db;
  before(async function () {
    this.timeout(60_000);
    service = await startTestService();
    ({ db } = service.deps);
  });
  after(() => service.close());

  afterEach('leaves no breach of the rules', async () => {
    assert.deepEqual(await breachesOf(db), []);
  });

  it('takes all but hashes, tags and times off every list of the account, and off no other', async () => {
    const news = await makeList(service);
    const offers = await makeList(service);
    const empty = await makeList(service);
    const other = await createAccount(db, 'Other');
    const strange = await createList(db, other.id, { name: 'Strange' }, { actor });
    await service.deps.recorder.record([
      optOutOf(news.id, ann, { ...whole, recordedAt: 5000, createdAt: 4000 }),
      optOutOf(news.id, ann, { ...whole, tag: 'sale', recordedAt: 6000 }),
      optOutOf(offers.id, ann, whole),
      optOutOf(offers.id, 'joann@example.com', { ip: '198.51.100.8' }),
      optOutOf(strange.id, ann, whole),
    ]);
    await removeOptOuts(db, offers.id, ann, { at: 7000 });
    for (const list of [news, offers]) await untilNumbered(service, list);

    const erased = await erase(db, service.accountId, ann);
    assert.deepEqual(
      [...erased],
      [
        [news.id, 2],
        [offers.id, 1],
      ],
    );
    const rows = await heldOf(db, service.accountId, ann);
    assert.deepEqual(
      rows.map((row) => [String(row.tag), row.created_at, row.recorded_at, row.source, row.removed_at]),
      [
        ['*', 4000, 5000, 'server', null],
        ['sale', 6000, 6000, 'server', null],
        ['*', 1000, 1000, 'server', 7000],
      ],
    );
    for (const row of rows) {
      assert.ok(holdsNothingPersonal(row), JSON.stringify(row));
      assert.deepEqual(
        [hex(row.address_key), hex(row.sha256 as Buffer)],
        [hex(md5Of(ann)), hex(sha256Of(ann))],
      );
    }
    const untouched = [...(await rowsOfList(db, strange.id)), ...(await rowsOfList(db, offers.id))]
      .filter(({ address }) => address !== null)
      .map((row) => [String(row.address), row.ip]);
    assert.deepEqual(untouched, [
      [ann, '198.51.100.7'],
      ['joann@example.com', '198.51.100.8'],
    ]);

    const noted = await historyOfPerson(db, service.accountId, ann);
    assert.deepEqual(
      noted.map(({ listId, action }) => [listId, action]),
      [
        [news.id, 'person.erased'],
        [offers.id, 'person.erased'],
      ],
    );
    const known = await findErased(db, service.accountId, [md5Of(ann), md5Of('joann@example.com')]);
    assert.deepEqual(
      [...known].map(([key, { sha256 }]) => [key, hex(sha256)]),
      [[hex(md5Of(ann)), hex(sha256Of(ann))]],
    );
    assert.equal((await findErased(db, other.id, [md5Of(ann)])).size, 0);
    assert.deepEqual(await rowsOfList(db, empty.id), []);
  });

  it('leaves the address suppressed, and in files of hashes; the plain file counts it as not expressed', async () => {
    const one = await listOf(service, [ann, 'bob@example.com']);
    const take = async (format: string, query: Record<string, string> = {}) => {
      const answer = await download(service, one, { format, ...query }).expect(200);
      const { 'signoff-cursor': cursor, 'signoff-entries-not-expressed': left } = answer.headers as Record<
        string,
        string
      >;
      return { lines: answer.text.split('\n').filter(Boolean).sort(), cursor: cursor ?? '', left };
    };
    const before = { md5: await take('md5'), sha256: await take('sha256'), plain: await take('plain') };
    assert.deepEqual([before.md5.left, before.sha256.left, before.plain.left], ['0', '0', '0']);

    await erase(db, service.accountId, ann);
    await untilNumbered(service, one.list);
    assert.equal(await isSuppressed(db, one.list.id, ann), true);
    const after = { md5: await take('md5'), sha256: await take('sha256'), plain: await take('plain') };
    assert.deepEqual(after.md5.lines, before.md5.lines);
    assert.deepEqual(after.sha256.lines, before.sha256.lines);
    assert.deepEqual(after.plain.lines, ['bob@example.com']);
    assert.deepEqual([after.md5.left, after.sha256.left, after.plain.left], ['0', '0', '1']);
    const { addresses, erased } = await getCounts(db, one.list.id);
    assert.deepEqual([addresses, erased], [1, 1]);

    const since = { cursor: before.md5.cursor };
    assert.deepEqual((await take('md5', since)).lines, [`+${hex(md5Of(ann))}`]);
    assert.deepEqual((await take('sha256', since)).lines, [`+${hex(sha256Of(ann))}`]);
    assert.deepEqual((await take('plain', since)).lines, []);
  });

  it('keeps the hashes of both forms of a domain, for each tag, until the address is taken off the list', async () => {
    const [ascii, unicode] = ['eve@xn--bcher-kva.example', 'eve@bücher.example'];
    const one = await listOf(service, []);
    const { list } = one;
    await addTags(db, list.id, ['sale']);
    const add = (tag: string) =>
      service.deps.recorder.record([optOutOf(list.id, unicode, { ip: '198.51.100.7', tag })]);
    const hashes = async (format: string, query: Record<string, string> = {}) =>
      (await download(service, one, { format, ...query }).expect(200)).text
        .split('\n')
        .filter(Boolean)
        .sort();
    const both = (hash: (text: string) => Buffer, sign = '') =>
      [ascii, unicode].map((form) => `${sign}${hex(hash(form))}`).sort();
    await add('*');
    await add('sale');
    await untilNumbered(service, list);

    assert.deepEqual([...(await erase(db, service.accountId, ascii))], [[list.id, 2]]);
    await untilNumbered(service, list);
    assert.deepEqual(await hashes('md5'), both(md5Of));
    assert.deepEqual(await hashes('sha256'), both(sha256Of));
    assert.deepEqual(await hashes('md5', { tag: 'sale' }), both(md5Of));
    assert.deepEqual(await hashes('plain'), []);
    assert.equal((await getCounts(db, list.id)).erased, 4);
    assert.equal((await rowsOfList(db, list.id)).every(holdsNothingPersonal), true);
    assert.equal((await findErased(db, service.accountId, [md5Of(ascii), md5Of(unicode)])).size, 2);
    assert.equal((await erase(db, service.accountId, ascii)).size, 0, 'once is enough');

    const { headers } = await download(service, one, { format: 'md5' }).expect(200);
    const cursor = (headers as Record<string, string>)['signoff-cursor'] ?? '';
    await removeOptOuts(db, list.id, ascii);
    await untilNumbered(service, list);
    assert.deepEqual(await hashes('md5'), []);
    const removals = await hashes('md5', { cursor });
    assert.deepEqual([...new Set(removals)], both(md5Of, '-'));
    assert.equal((await getCounts(db, list.id)).erased, 0);

    await add('*');
    await untilNumbered(service, list);
    assert.deepEqual(await hashes('md5'), both(md5Of), 'who opts out again stands there as anybody does');
  });

  it('carries a removal of both forms to readers who had not seen it yet', async () => {
    const [ascii, unicode] = ['fay@xn--bcher-kva.example', 'fay@bücher.example'];
    const one = await listOf(service, [unicode]);
    const { headers } = await download(service, one, { format: 'md5' }).expect(200);
    const cursor = (headers as Record<string, string>)['signoff-cursor'] ?? '';
    await removeOptOuts(db, one.list.id, ascii);
    await untilNumbered(service, one.list);
    await erase(db, service.accountId, ascii);
    await untilNumbered(service, one.list);
    const delta = await download(service, one, { format: 'md5', cursor }).expect(200);
    assert.deepEqual(
      delta.text.split('\n').filter(Boolean).sort(),
      [ascii, unicode].map((form) => `-${hex(md5Of(form))}`).sort(),
    );
  });

  it('makes hashes that were imported those of an erased person, and adds no second one', async () => {
    const list = await makeList(service);
    const unicode = 'gus@bücher.example';
    await plant(db, list.id, [
      { ...rowKinds.md5Only(ann), reason: Buffer.from('from the old provider') },
      { ...rowKinds.sha256Only('hal@example.com'), reason: Buffer.from('hal asked') },
      rowKinds.md5Only('jim@example.com'),
      rowKinds.md5Only(unicode),
      rowKinds.plain('gus@xn--bcher-kva.example'),
    ]);
    await untilNumbered(service, list);
    for (const address of [ann, 'jim@example.com', 'hal@example.com', 'gus@xn--bcher-kva.example']) {
      await erase(db, service.accountId, address);
    }
    await untilNumbered(service, list);
    const rows = await rowsOfList(db, list.id);
    assert.equal(rows.length, 5);
    assert.ok(rows.every(holdsNothingPersonal));
    const { addresses, md5_only, sha256_only, erased } = await getCounts(db, list.id);
    assert.deepEqual([addresses, md5_only, sha256_only, erased], [0, 0, 1, 4]);
    assert.equal(await isSuppressed(db, list.id, 'hal@example.com'), true);
  });

  it('is not undone by whatever door brings the address again', async () => {
    const list = await makeList(service);
    const first = optOutOf(list.id, ann, whole);
    await service.deps.recorder.record([first]);
    await erase(db, service.accountId, ann);
    const [erasedRow] = await rowsOfList(db, list.id);
    const again = { ...whole, receipt: Buffer.alloc(8, 9), ip: '198.51.100.9', recordedAt: Date.now() };
    for (const source of ['page', 'direct-link', 'one-click', 'pixel', 'server', 'api', 'console'] as const) {
      await service.deps.recorder.record([optOutOf(list.id, ann, { ...again, source })]);
    }
    await untilNumbered(service, list);
    const [row, ...others] = await rowsOfList(db, list.id);
    assert.deepEqual(others, []);
    assert.ok(row !== undefined && holdsNothingPersonal(row), JSON.stringify(row));
    assert.equal(row.repeats, 7);
    assert.deepEqual(
      [row.sha256, row.recorded_at, row.source],
      [sha256Of(ann), erasedRow?.recorded_at, 'server'],
    );

    const receipt = receiptOf(first, whole.receipt);
    await noteReason(db, list, receipt, 'spam');
    assert.equal(
      await undoOptOut(db, list, { ...receipt, at: Date.now() }),
      false,
      'its receipt opens nothing',
    );
    assert.deepEqual(await rowsOfList(db, list.id), [row]);
  });

  it('is made good by the keeper where an import had looked for erased people just before', async () => {
    const list = await makeList(service);
    await erase(db, service.accountId, 'mia@example.com');
    const lines = [optOutOf(list.id, 'mia@example.com', { source: 'import', reason: 'Mia' })];
    await service.deps.recorder.record([
      ...lines,
      optOutOf(list.id, 'ned@example.com', { source: 'import' }),
    ]);
    const missed = (await breachesOf(db)).filter((text) => text.includes('its person was erased'));
    assert.equal(missed.length, 0, 'not before the keeper has had its time');
    const later: string[] = [];
    for await (const { code } of audit(db, Date.now() + 8 * 24 * 3_600_000)) later.push(code);
    assert.deepEqual(later, ['erased']);

    await db('passes').delete();
    const isErased = async () =>
      (await rowsOfList(db, list.id)).filter(({ address }) => address === null).length === 1;
    await until('the keeper has come by', isErased);
    const rows = await rowsOfList(db, list.id);
    assert.deepEqual(rows.map(({ address }) => address && String(address)).sort(), ['ned@example.com', null]);
    assert.deepEqual(
      (await historyOfPerson(db, service.accountId, 'mia@example.com')).map((one) => one.actor),
      ['keeper'],
    );
    await untilNumbered(service, list);
  });

  it('may be repeated: nothing changes, and nothing is noted twice', async () => {
    const list = await makeList(service);
    await service.deps.recorder.record([optOutOf(list.id, 'ivy@example.com', { reason: 'Ivy asked' })]);
    assert.equal((await erase(db, service.accountId, 'ivy@example.com')).size, 1);
    await untilNumbered(service, list);
    const rows = await rowsOfList(db, list.id);
    assert.equal((await erase(db, service.accountId, 'ivy@example.com')).size, 0);
    assert.deepEqual(await rowsOfList(db, list.id), rows);
    assert.equal((await historyOfPerson(db, service.accountId, 'ivy@example.com')).length, 1);
    assert.equal(
      (await erase(db, service.accountId, 'never@example.com')).size,
      0,
      'nor is anything found of others',
    );
  });

  it('holds while the same address is recorded all the time: it stays suppressed, and no other is hurt', async function () {
    this.timeout(60_000);
    const kim = 'kim@example.com';
    const lists: List[] = await Promise.all(Array.from({ length: 8 }, () => makeList(service)));
    const record = (list: List) =>
      service.deps.recorder.record([
        optOutOf(list.id, kim, {
          ...whole,
          address: { normalised: kim, given: kim },
          recordedAt: Date.now(),
        }),
        optOutOf(list.id, 'leo@example.com', { recordedAt: Date.now() }),
      ]);
    for (const list of lists) await record(list);
    let isOver = false;
    let recorded = 0;
    const writers = lists.map(async (list) => {
      for (; !isOver; recorded++) await record(list);
    });
    const watcher = (async () => {
      while (!isOver) for (const list of lists) assert.equal(await isSuppressed(db, list.id, kim), true);
    })();
    try {
      for (let round = 0; round < 5; round++) await erase(db, service.accountId, kim);
    } finally {
      isOver = true;
      await Promise.all([...writers, watcher]);
    }
    assert.ok(recorded > 0);
    for (const list of lists) {
      const rows = await rowsOfList(db, list.id);
      assert.equal(rows.length, 2);
      for (const row of rows) {
        const isKim = row.address_key.equals(md5Of(kim));
        assert.equal(isKim ? holdsNothingPersonal(row) : String(row.address) === 'leo@example.com', true);
      }
      await untilNumbered(service, list);
    }
  });
});
