import assert from 'node:assert/strict';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { audit } from '../../src/core/audit.js';
import {
  bulkRemovalsOfAccount,
  bulkRemovalsOfList,
  getBulkRemoval,
  removeAll,
  type BulkRemoval,
} from '../../src/core/bulk-removals.js';
import { createList, editList, getListById, type List } from '../../src/core/lists.js';
import { erasePerson } from '../../src/core/erasure.js';
import { getCounts, getFeed, workWaitsSince } from '../../src/core/feed.js';
import { expireOptOuts } from '../../src/core/numbering.js';
import { searchByAddress } from '../../src/core/opt-out-search.js';
import { optOutsBetween } from '../../src/core/opt-outs-by-time.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { carryOnRemovals } from '../../src/core/removal-slices.js';
import { removeAddresses, removeMany } from '../../src/core/removals.js';
import { restoreRemoval, takeBackMs } from '../../src/core/restore-removal.js';
import { retainOptOuts } from '../../src/core/retention.js';
import { findOptOuts, findSuppressed, isSuppressed } from '../../src/core/suppressed.js';
import { retrying } from '../../src/db/connect.js';
import { migratedDatabase, numberAll, optOutOf, rowsOfList, type TestDatabase } from '../support/core.js';

const actor = 'test';
const day = 24 * 3_600_000;

describe('Bulk removals', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor });
  });

  const people = (count: number) => Array.from({ length: count }, (_, i) => `p${i}@example.com`);
  async function record(emails: readonly string[], more: Partial<OptOut> = {}): Promise<void> {
    const rows = emails.map((email) => rowOf(optOutOf(list.id, email, more))).sort(compareRows);
    for (let i = 0; i < rows.length; i += 500) await writeOptOuts(test.db, rows.slice(i, i + 500));
  }
  /** Who is suppressed, by each way of reading. */
  async function suppressed(emails: readonly string[], at = Date.now()): Promise<string[]> {
    const { db } = test;
    const found = [...(await findSuppressed(db, list.id, emails, { at })).keys()].sort();
    const page = await searchByAddress(db, [list.id], { limit: 1000, at });
    assert.deepEqual(page.map(({ address }) => address).sort(), found);
    const between = new Set<string>();
    for await (const rows of optOutsBetween(db, list.id, { from: 0, to: Infinity, at })) {
      for (const row of rows) between.add(row.address?.toString() ?? '');
    }
    assert.deepEqual([...between].sort(), found);
    for (const email of emails.slice(0, 20)) {
      const isLive = (await findOptOuts(db, list.id, email)).some((row) => row.removed_at === null);
      assert.equal(isLive, found.includes(email));
    }
    return found;
  }
  async function carryOn(now = Date.now()): Promise<void> {
    for (let call = 0; call < 1000; call++) if (!(await carryOnRemovals(test.db, now))) return;
    throw new Error('it comes to no end');
  }
  async function breaches(): Promise<string[]> {
    const found: string[] = [];
    for await (const { description } of audit(test.db)) found.push(description);
    return found;
  }
  const refusal = (reason: string) => (error: unknown) => (error as { reason?: string }).reason === reason;

  it('remove all that a list holds, and bring all of it back', async () => {
    const emails = people(700);
    await record(emails);
    await record(['p0@example.com'], { tag: 'news' });
    await numberAll(test.db, [list.id], 0);
    const removal = await removeAll(test.db, list, { actor, credentialId: 7 });
    assert.deepEqual(
      [removal.kind, removal.state, removal.optOuts, removal.actor, removal.credentialId],
      ['all', 'removed', 701, actor, 7],
    );
    assert.ok(removal.finishedAt !== null);
    assert.deepEqual(await suppressed(emails), []);
    await numberAll(test.db, [list.id], 0);
    assert.equal((await getCounts(test.db, list.id)).addresses, 0);
    assert.deepEqual(await breaches(), []);

    const back = await restoreRemoval(test.db, removal, { actor: 'somebody' });
    assert.deepEqual([back.state, back.restored, back.restoredBy], ['restored', 701, 'somebody']);
    assert.deepEqual(await suppressed(emails), emails.toSorted());
    await numberAll(test.db, [list.id], 0);
    assert.equal((await getCounts(test.db, list.id)).addresses, 701);
    assert.deepEqual(await breaches(), []);
    assert.deepEqual(
      (await bulkRemovalsOfList(test.db, list.id)).map(({ id }) => id),
      [removal.id],
    );
    assert.equal((await bulkRemovalsOfAccount(test.db, 1))[0]?.id, removal.id);
    const noted = (await test.db('history').where({ list_id: list.id }).pluck('action')) as string[];
    assert.deepEqual(
      noted.filter((action) => action.startsWith('opt-out')),
      ['opt-outs.removed', 'opt-outs.restored'],
    );
  });

  it('can be taken back once, and for 30 days', async () => {
    await record(['ann@example.com', 'bob@example.com'], { recordedAt: 2000 });
    const removal = await removeAll(test.db, list, { actor, at: 3000 });
    const late = { actor, now: 3000 + takeBackMs + 1 };
    await assert.rejects(restoreRemoval(test.db, removal, late), refusal('too-late'));
    assert.equal((await restoreRemoval(test.db, removal, { actor, now: late.now - 1 })).restored, 2);
    await assert.rejects(restoreRemoval(test.db, removal, { actor, now: 4000 }), refusal('taken-back'));
    await assert.rejects(getBulkRemoval(test.db, 999_999), /There is no removal 999999/);
  });

  it('count as carried out before they are, whoever asks and however', async () => {
    const emails = people(30);
    await record(emails, { recordedAt: 1000 });
    await record(['early@example.com'], { recordedAt: 1000, expiresAt: 1500 });
    await numberAll(test.db, [list.id], 0);
    const removal = await removalWithoutCaller(2000);
    assert.deepEqual(await suppressed(emails, 2500), []);
    assert.equal((await getCounts(test.db, list.id)).addresses, 31, 'the rows are still there');
    assert.equal((await removeAddresses(test.db, list, emails, { actor, at: 2500 })).size, 0);

    // Who leaves anew meanwhile stays, on a row that was there before and on one that was not.
    await record(['p3@example.com', 'new@example.com'], { recordedAt: 2600 });
    await record(['p4@example.com'], { recordedAt: 2000 });
    const staying = ['new@example.com', 'p3@example.com', 'p4@example.com'];
    assert.deepEqual(await suppressed([...emails, 'new@example.com'], 2700), staying);
    await carryOn(3000);
    assert.deepEqual(await suppressed([...emails, 'new@example.com'], 3000), staying);
    const { state, optOuts, finishedAt } = await getBulkRemoval(test.db, removal.id);
    assert.deepEqual([state, optOuts, finishedAt], ['removed', 28, 3000]);

    // What has gone otherwise since, or has come again, is no longer the removal's.
    await record(['p5@example.com', 'p6@example.com'], { recordedAt: 3100 });
    await removeOptOuts(test.db, list.id, 'p6@example.com', { at: 3200 });
    const { restored } = await restoreRemoval(test.db, removal, { actor, now: 4000 });
    assert.equal(restored, 26);
    const back = [...emails.filter((email) => email !== 'p6@example.com'), 'new@example.com'];
    assert.deepEqual(await suppressed([...emails, 'new@example.com'], 4000), back.sort());
  });

  /** As it is found by the keeper where the process that began it was killed before its first slice. */
  async function removalWithoutCaller(at: number): Promise<BulkRemoval> {
    const row = {
      account_id: 1,
      list_id: list.id,
      kind: 'all',
      at,
      actor,
      state: 'removing',
      carried_at: at,
    };
    const [id = 0] = await test.db('bulk_removals').insert(row);
    return getBulkRemoval(test.db, id);
  }

  it('leave what has run out before, and do not bring back what runs out meanwhile', async () => {
    await record(['ann@example.com'], { expiresAt: 1500 });
    await record(['bob@example.com'], { expiresAt: 5000 });
    await record(['eve@example.com'], { expiresAt: 9000 });
    await numberAll(test.db, [list.id], 0);
    const removal = await removeAll(test.db, list, { actor, at: 2000 });
    assert.equal(removal.optOuts, 2);
    await expireOptOuts(test.db, 6000);
    await numberAll(test.db, [list.id], 0);
    assert.equal((await restoreRemoval(test.db, removal, { actor, now: 6000 })).restored, 1);
    assert.deepEqual(await suppressed(['ann@example.com', 'bob@example.com', 'eve@example.com'], 6000), [
      'eve@example.com',
    ]);
    await numberAll(test.db, [list.id], 0);
    assert.deepEqual(await breaches(), []);
    await expireOptOuts(test.db, 9000);
    assert.deepEqual(await suppressed(['eve@example.com'], 9000), []);
    const row = (await rowsOfList(test.db, list.id)).find(
      ({ address }) => String(address) === 'eve@example.com',
    );
    assert.equal(row?.removed_at, 9000, 'its end was noted again');
  });

  it('bring an erased person back as the hashes that are left', async () => {
    const ascii = 'eve@xn--bcher-kva.example';
    await record(['ann@example.com', ascii]);
    const removal = await removeAll(test.db, list, { actor });
    for (const person of ['ann@example.com', ascii]) {
      for await (const done of erasePerson(test.db, 1, person, { actor, retryMs: 1000 })) assert.ok(done);
    }
    const { restored } = await restoreRemoval(test.db, removal, { actor });
    const rows = await rowsOfList(test.db, list.id);
    assert.ok(rows.every((row) => row.address === null && row.removed_at === null));
    assert.equal(restored, rows.length);
    assert.equal(await isSuppressed(test.db, list.id, ascii), true);
    const ann = rows.find((row) => row.address_key.equals(md5Of('ann@example.com')));
    assert.deepEqual(ann?.sha256, sha256Of('ann@example.com'));
    await numberAll(test.db, [list.id], 0);
    assert.deepEqual(await breaches(), []);
  });

  it('are carried out one after the other, and none is taken back while a later one goes on', async () => {
    await record(['ann@example.com'], { recordedAt: 1000 });
    const first = await removalWithoutCaller(2000);
    await record(['bob@example.com'], { recordedAt: 2500 });
    const second = await removalWithoutCaller(3000);
    assert.deepEqual(await suppressed(['ann@example.com', 'bob@example.com'], 3500), []);
    await assert.rejects(restoreRemoval(test.db, first, { actor, now: 3600 }), refusal('removal-under-way'));
    await carryOn();
    const counts = async ({ id }: BulkRemoval) => (await getBulkRemoval(test.db, id)).optOuts;
    assert.deepEqual([await counts(first), await counts(second)], [1, 1]);
    await restoreRemoval(test.db, first, { actor, now: 3600 });
    assert.deepEqual(await suppressed(['ann@example.com', 'bob@example.com'], 3700), ['ann@example.com']);
  });

  it('can be taken back while they are carried out', async () => {
    await record(people(20), { recordedAt: 1000 });
    const removal = await removalWithoutCaller(2000);
    await restoreRemoval(test.db, removal, { actor, now: 2500 });
    assert.equal((await suppressed(people(20), 2600)).length, 20);
    const { state, optOuts, restored } = await getBulkRemoval(test.db, removal.id);
    assert.deepEqual([state, optOuts, restored], ['restored', 0, 0]);
  });

  it('are begun no more where too many of a list are under way', async () => {
    for (let i = 0; i < 20; i++) await removalWithoutCaller(2000 + i);
    await assert.rejects(removeAll(test.db, list, { actor }), { name: 'Unavailable' });
    await carryOn();
    assert.equal((await removeAll(test.db, list, { actor })).state, 'removed');
  });

  it('remove what came before them in the same millisecond, and nothing that comes after', async () => {
    for (let round = 0; round < 50; round++) {
      await record(['ann@example.com'], { recordedAt: Date.now() });
      await removeAll(test.db, list, { actor });
      const after = Date.now();
      assert.deepEqual(await suppressed(['ann@example.com']), [], 'it came before');
      await record(['ann@example.com'], { recordedAt: after });
      await carryOn();
      assert.deepEqual(await suppressed(['ann@example.com']), ['ann@example.com'], 'it came after');
    }
  });

  it('lose no opt-out that arrives while they are carried out', async function () {
    this.timeout(30_000);
    const emails = people(3000);
    await record(emails, { recordedAt: Date.now() - 10 });
    const before = await removalWithoutCaller(Date.now());
    const other = test.another();
    const acked: string[] = [];
    const again = async () => {
      for (let i = 0; i < 300; i++) {
        const email = `p${(i * 37) % 3000}@example.com`;
        const optOut = optOutOf(list.id, email, { recordedAt: Date.now() });
        await retrying(other, 5000, () => writeOptOuts(other, [rowOf(optOut)]));
        acked.push(email);
      }
    };
    await Promise.all([again(), carryOn()]);
    assert.deepEqual(await suppressed(emails), acked.toSorted());
    const { optOuts } = await getBulkRemoval(test.db, before.id);
    assert.ok(optOuts >= 2700 && optOuts <= 3000, String(optOuts));
  });

  it('are carried out once where several do it at once', async function () {
    this.timeout(30_000);
    await record(people(3000), { recordedAt: 1000 });
    const removal = await removalWithoutCaller(2000);
    const keepers = [test.db, test.another(), test.another()];
    const work = async (db: typeof test.db, now: number) => {
      for (;;) if (!(await retrying(db, 5000, () => carryOnRemovals(db, now)))) return;
    };
    await Promise.all(keepers.map((db) => work(db, 3000)));
    assert.equal((await getBulkRemoval(test.db, removal.id)).optOuts, 3000);
    await test.db('bulk_removals').where({ id: removal.id }).update({ state: 'restoring', position: null });
    await Promise.all(keepers.map((db) => work(db, 4000)));
    assert.equal((await getBulkRemoval(test.db, removal.id)).restored, 3000);
    await numberAll(test.db, [list.id], 0);
    assert.equal((await getCounts(test.db, list.id)).addresses, 3000);
  });

  it('do not make the keeper seem late, however long they take', async () => {
    await record(['ann@example.com'], { recordedAt: 1000 });
    await numberAll(test.db, [list.id], 0);
    const removal = await removalWithoutCaller(2000);
    await carryOnRemovals(test.db, 60_000);
    assert.equal(await workWaitsSince(test.db, 0), 60_000);
    await numberAll(test.db, [list.id], 0);
    await restoreRemoval(test.db, removal, { actor, now: 90_000 });
    assert.ok((await workWaitsSince(test.db, 0)) ?? 0 >= 90_000);
  });

  it('are not taken back beyond the cap of their list', async () => {
    const capped = await createList(test.db, 1, { name: 'Capped', cap: 1000 }, { actor });
    list = await getListById(test.db, capped.id);
    await record(people(1000));
    await numberAll(test.db, [list.id], 0);
    const removal = await removeAll(test.db, list, { actor });
    await record(['new@example.com'], { recordedAt: Date.now() });
    await assert.rejects(restoreRemoval(test.db, removal, { actor }), refusal('cap'));
    await editList(test.db, list, { cap: 1001 }, { actor });
    assert.equal((await restoreRemoval(test.db, removal, { actor })).restored, 1000);
    await numberAll(test.db, [list.id], 0);
    assert.equal((await getCounts(test.db, list.id)).addresses, 1001);
  });

  it('keep what they took for as long as it can be taken back, and forget it then', async () => {
    await record(['ann@example.com'], { recordedAt: 100 * day });
    await numberAll(test.db, [list.id], 0);
    await removeAll(test.db, list, { actor, at: 100 * day + 5 });
    await numberAll(test.db, [list.id], 0);
    await test.db('feed_marks').insert({ at: 100 * day + 10, number: (await getFeed(test.db)).lastNumber });
    const retention = { ipMs: 30 * day, tombstonesMs: 30 * day, historyMs: null };
    const retain = async (at: number) => {
      while (await retainOptOuts(test.db, at, retention));
      return (await rowsOfList(test.db, list.id)).length;
    };
    assert.equal(await retain(130 * day + 3_600_000), 1);
    assert.equal(await retain(131 * day + 7_200_000), 0);
  });

  it('remove many addresses by slices as one, what comes meanwhile excepted', async () => {
    const emails = people(250);
    await record(emails, { recordedAt: 1000 });
    await record(['p7@example.com'], { tag: 'news', recordedAt: 1000 });
    async function* batches() {
      yield emails.slice(0, 150);
      await record(['p200@example.com'], { recordedAt: Date.now() + 10 });
      yield [...emails.slice(140), 'nobody@example.com'];
    }
    const { removal, addresses } = await removeMany(test.db, list, batches(), { actor, retryMs: 1000 });
    assert.equal(addresses, 249);
    assert.deepEqual([removal?.kind, removal?.state, removal?.optOuts], ['some', 'removed', 250]);
    assert.deepEqual(await suppressed(emails), ['p200@example.com']);
    assert.ok(removal !== null);
    assert.equal((await restoreRemoval(test.db, removal, { actor })).restored, 250);
    assert.deepEqual(await suppressed(emails), emails.toSorted());

    async function* none() {
      yield await Promise.resolve(['nobody@example.com']);
    }
    assert.deepEqual(await removeMany(test.db, list, none(), { actor, retryMs: 1000 }), {
      ...{ removal: null, addresses: 0 },
    });
  });

  it('stop removing many where somebody takes it back meanwhile', async () => {
    const emails = people(20);
    await record(emails, { recordedAt: 1000 });
    async function* batches() {
      yield emails.slice(0, 10);
      const [removal] = await bulkRemovalsOfList(test.db, list.id);
      assert.ok(removal !== undefined);
      await restoreRemoval(test.db, removal, { actor });
      yield emails.slice(10);
    }
    await assert.rejects(
      removeMany(test.db, list, batches(), { actor, retryMs: 1000 }),
      refusal('taken-back'),
    );
    assert.equal((await suppressed(emails)).length, 20);
  });

  it('are what removes several addresses in one transaction as well', async () => {
    await record(people(3), { recordedAt: 1000 });
    assert.equal((await removeAddresses(test.db, list, ['p0@example.com'], { actor })).size, 1);
    assert.equal(
      (await removeAddresses(test.db, list, ['a@example.com', 'b@example.com'], { actor })).size,
      0,
    );
    assert.deepEqual(await bulkRemovalsOfList(test.db, list.id), []);
    assert.equal((await removeAddresses(test.db, list, people(3), { actor })).size, 2);
    const [removal] = await bulkRemovalsOfList(test.db, list.id);
    assert.ok(removal !== undefined);
    assert.equal((await restoreRemoval(test.db, removal, { actor })).restored, 2);
    assert.deepEqual(await suppressed(people(3)), ['p1@example.com', 'p2@example.com']);
  });
});
