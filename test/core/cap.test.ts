import assert from 'node:assert/strict';
import { sha256Of } from '../../src/core/address.js';
import { audit } from '../../src/core/audit.js';
import { evictOverCap } from '../../src/core/cap.js';
import { readChanges } from '../../src/core/entries.js';
import { getCounts, getFeed } from '../../src/core/feed.js';
import { editList, getListById } from '../../src/core/lists.js';
import { numberChanges } from '../../src/core/numbering.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { retrying, type Db } from '../../src/db/connect.js';
import { Invalid } from '../../src/errors.js';
import {
  collect,
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';

/** The time of the test, long after all that was recorded at 1000. */
const now = 10_000_000;

describe('The cap of a list', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let db: Db;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    await test.clear();
    await db('history').delete();
    await db('lists').update({ cap: null });
    await db('leases').update({ fencing: 10 });
    list = await newList(db);
  });

  const people = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `p${from + i}@example.com`);
  const record = async (emails: readonly string[], more: Partial<OptOut> = {}, on = db) => {
    const rows = emails.map((email) => rowOf(optOutOf(list, email, more))).sort(compareRows);
    for (let i = 0; i < rows.length; i += 1000) {
      await retrying(on, 10_000, () => writeOptOuts(on, rows.slice(i, i + 1000)));
    }
  };
  /** Numbered in this order: the first of them is the oldest. */
  const recordInOrder = async (emails: readonly string[]) => {
    await record(emails);
    await numberAll(db, [list]);
    const places = new Map(emails.map((email, i) => [email, i]));
    const ours = (await rowsOfList(db, list)).filter(
      (row) => row.removed_at === null && row.tag.toString() === '*' && places.has(String(row.address)),
    );
    const numbers = ours.map((row) => row.feed_number ?? 0).sort((a, b) => a - b);
    await db.transaction(async (trx) => {
      for (const { address_key, tag, address } of ours) {
        const feed_number = numbers[places.get(String(address)) ?? -1] ?? null;
        await trx('opt_outs').where({ list_id: list, address_key, tag }).update({ feed_number });
      }
    });
  };
  const setCap = async (cap: number | null) =>
    editList(db, await getListById(db, list), { cap }, { actor: 'test' });
  const live = async () =>
    (await rowsOfList(db, list)).filter((row) => row.removed_at === null).map((row) => String(row.address));
  const count = async () => {
    const { addresses, md5_only, sha256_only } = await getCounts(db, list);
    return addresses + md5_only + sha256_only;
  };
  const place = async () => {
    const row = await db<{ list_id: number; evicted_number: number }>('list_counts')
      .where({ list_id: list })
      .first('evicted_number');
    return row?.evicted_number ?? 0;
  };
  /** As the keeper does. @returns how many calls it took. */
  const evict = async () => {
    for (let calls = 1; ; calls++) {
      if (!(await evictOverCap(db, now))) return calls;
      await numberAll(db, [list]);
    }
  };
  const evictions = () =>
    db<{ subject: Buffer; actor: string; action: string; details: string; list_id: number }>('history').where(
      {
        action: 'opt-out.evicted',
      },
    );
  const breaches = async () => {
    const found: string[] = [];
    for await (const { description } of audit(db)) found.push(description);
    return found;
  };
  const sorted = (texts: readonly string[]) => [...texts].sort();

  it('is off by default: as many stay as come', async () => {
    await recordInOrder(people(0, 1500));
    assert.equal((await getListById(db, list)).cap, null);
    assert.equal(await evict(), 1);
    assert.equal((await live()).length, 1500);
    assert.deepEqual(await evictions(), []);
  });

  it('leaves exactly the newest, as removals in the feed and in the history', async () => {
    await recordInOrder(people(0, 3500));
    const before = (await getFeed(db)).lastNumber;
    await setCap(1000);
    assert.equal(await evict(), 14, 'twelve slices of 200, and a hundred; and one that finds nothing');
    assert.deepEqual(sorted(await live()), sorted(people(2500, 3500)));
    assert.equal(await count(), 1000);
    assert.equal(await evict(), 1);

    const { lastNumber } = await getFeed(db);
    assert.equal(lastNumber, before + 2500);
    const range = { from: before, to: lastNumber };
    const changes = await collect(readChanges(db, [list], range, { at: now }));
    assert.deepEqual(sorted(changes), sorted(people(0, 2500).map((email) => `-${email}`)));
    const told = await evictions();
    const gone = (await rowsOfList(db, list)).filter((row) => row.removed_at !== null);
    assert.deepEqual(
      sorted(told.map((row) => row.subject.toString('hex'))),
      sorted(gone.map((row) => row.address_key.toString('hex'))),
    );
    assert.ok(gone.every((row) => row.removed_at === now));
    for (const row of told) {
      assert.deepEqual([row.list_id, row.actor, row.details], [list, 'keeper', '{"tag":"*"}']);
    }
    assert.deepEqual(await breaches(), []);
  });

  it('lets the oldest leave as new ones come, also those that came back', async () => {
    await recordInOrder(people(0, 1000));
    await setCap(1000);
    assert.equal(await evict(), 1, 'it is full, and no more than that');
    await recordInOrder(people(1000, 1500));
    await evict();
    assert.deepEqual(sorted(await live()), sorted(people(500, 1500)));
    await numberAll(db, [list]);
    // Who had left is new again, and the next oldest leaves.
    await record(people(0, 1), { recordedAt: now });
    await numberAll(db, [list]);
    await evict();
    assert.deepEqual(sorted(await live()), sorted([...people(0, 1), ...people(501, 1500)]));
    await numberAll(db, [list]);
    assert.deepEqual(await breaches(), []);
  });

  it('says in a delta that an address stays where another tag still suppresses it', async () => {
    await record(people(0, 1), { tag: 'sale' });
    await numberAll(db, [list]);
    await recordInOrder(people(0, 1000));
    const { lastNumber } = await getFeed(db);
    await setCap(1000);
    await evict();
    await numberAll(db, [list]);
    const to = (await getFeed(db)).lastNumber;
    assert.equal(to, lastNumber + 1);
    const changes = await collect(readChanges(db, [list], { from: lastNumber, to }, { at: now }));
    assert.deepEqual(changes, ['+p0@example.com']);
    assert.equal((await evictions())[0]?.details, '{"tag":"sale"}');
  });

  it('can be lowered, raised and taken off again', async () => {
    await recordInOrder(people(0, 2500));
    for (const [cap, left] of [
      [2000, 2000],
      [1500, 1500],
      [2000, 1500],
      [null, 1500],
      [1000, 1000],
    ] as const) {
      await setCap(cap);
      await evict();
      await numberAll(db, [list]);
      assert.equal((await live()).length, left, `with ${cap}`);
    }
    await setCap(null);
    await recordInOrder(people(0, 500));
    assert.equal(await evict(), 1);
    assert.equal((await live()).length, 1500);
    for (const wrong of [0, 999, 100_000_001, 1000.5, NaN, -1]) {
      await assert.rejects(
        setCap(wrong),
        (error: unknown) => error instanceof Invalid && error.field === 'cap',
      );
    }
  });

  it('neither counts erased persons nor lets them leave; imported hashes leave', async () => {
    await plant(db, list, [
      ...people(0, 50).map((email) => rowKinds.erased(email)),
      ...people(50, 100).map((email) => rowKinds.md5Only(email)),
      ...people(100, 150).map((email) => rowKinds.sha256Only(email)),
    ]);
    await numberAll(db, [list]);
    // One who was known by the SHA-256 alone, and was erased: nothing of the entry has changed.
    await db('erased_people').insert({
      ...{ account_id: 1, address_key: Buffer.alloc(16, 7), sha256: sha256Of('p100@example.com'), at: 1 },
    });
    await recordInOrder(people(1000, 2000));
    assert.deepEqual([await count(), (await getCounts(db, list)).erased], [1100, 50]);
    await setCap(1000);
    await evict();
    await numberAll(db, [list]);
    const { addresses, md5_only, sha256_only, erased } = await getCounts(db, list);
    assert.deepEqual([addresses, md5_only, sha256_only, erased], [999, 0, 1, 50]);
    const [kept] = (await rowsOfList(db, list)).filter((row) => row.removed_at === null && row.counted === 3);
    assert.deepEqual(kept?.sha256, sha256Of('p100@example.com'));
    await recordInOrder(people(2000, 2010));
    await evict();
    await numberAll(db, [list]);
    assert.equal((await getCounts(db, list)).erased, 50);
    assert.equal(await count(), 1000);
    assert.deepEqual(await breaches(), []);
  });

  it('sends to the end who has opted out again since', async () => {
    await recordInOrder(people(0, 1000));
    const { lastNumber } = await getFeed(db);
    await db('feed_marks').insert({ at: 2000, number: lastNumber });
    await record(people(0, 3), { recordedAt: now });
    // Within the time by which clocks may differ, nobody can tell.
    await record(people(3, 4), { recordedAt: 3000 });
    await setCap(1000);
    await recordInOrder(people(1000, 1002));
    await evict();
    await numberAll(db, [list]);
    assert.deepEqual(sorted(await live()), sorted([...people(0, 3), ...people(5, 1002)]));
    const newest = (await rowsOfList(db, list))
      .filter((row) => row.removed_at === null)
      .sort((a, b) => (b.feed_number ?? 0) - (a.feed_number ?? 0))
      .slice(0, 3);
    assert.deepEqual(sorted(newest.map((row) => String(row.address))), people(0, 3));
    assert.deepEqual(await breaches(), []);
  });

  it('does not take for entries what has been removed, but not numbered yet', async () => {
    await recordInOrder(people(0, 1100));
    await setCap(1000);
    for (const email of people(1000, 1060)) await removeOptOuts(db, list, email, { at: now });
    await evict();
    await numberAll(db, [list]);
    await evict();
    assert.deepEqual(sorted(await live()), sorted([...people(40, 1000), ...people(1060, 1100)]));
  });

  it('counts what has left at once, whenever the feed is told of it', async () => {
    await recordInOrder(people(0, 1500));
    await setCap(1000);
    let calls = 0;
    while (await evictOverCap(db, now)) calls++;
    assert.equal(calls, 3, 'of 200, 200 and 100');
    assert.deepEqual([(await live()).length, await count()], [1000, 1000]);
    await numberAll(db, [list]);
    assert.deepEqual([(await live()).length, await count()], [1000, 1000]);
  });

  it('waits where more is unnumbered than can be looked through', async () => {
    await recordInOrder(people(0, 1100));
    await setCap(1000);
    await record(people(2000, 3001));
    assert.equal(await evict(), 1);
    assert.equal(await place(), 0);
    assert.equal(await numberChanges(db, 1, 1), 1);
    assert.equal(await evictOverCap(db, now), true);
    assert.equal((await live()).length, 1000 + 1000);
  });

  it('goes by what is removed or erased once, and not again', async () => {
    const removed = people(5000, 9000).map((email) => ({ ...rowKinds.plain(email), removed_at: 2000 }));
    await plant(db, list, removed);
    await numberAll(db, [list]);
    const last = (await getFeed(db)).lastNumber;
    await recordInOrder(people(0, 1200));
    await setCap(1000);
    assert.equal(await evict(), 4000 / 200 + 1 + 1);
    assert.equal(await place(), last + 200);
    await numberAll(db, [list]);
    await recordInOrder(people(2000, 2100));
    assert.equal(await evict(), 2);
    assert.equal(await place(), last + 300);
    assert.deepEqual(await breaches(), []);
  });

  it('holds while all goes on at once: two keepers, recording, removals', async () => {
    await recordInOrder(people(0, 1800));
    await db('feed_marks').insert({ at: 2000, number: (await getFeed(db)).lastNumber });
    await setCap(1000);
    let isOver = false;
    const atWork = Promise.all(
      [db, test.another()].map(async (own, i) => {
        for (let rounds = 0; rounds < 10_000; rounds++) {
          await retrying(own, 20_000, () => numberChanges(own, 1 + i));
          const isMore = await retrying(own, 20_000, () => evictOverCap(own, now, 50));
          assert.ok((await live()).length >= 1000, 'it never falls below the cap');
          if (isOver && !isMore && (await count()) === 1000) return;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        throw new Error('it comes to no end');
      }),
    );
    const own = test.another();
    // Just those who are about to leave opt out again, one by one.
    const again = people(0, 800).filter((_, i) => i % 10 === 0);
    for (const email of again) await record([email], { recordedAt: now }, own);
    await record(people(4000, 4100), { recordedAt: now }, own);
    isOver = true;
    await atWork;
    await numberAll(db, [list], 3);
    assert.equal(await count(), 1000);
    const standing = new Set(await live());
    assert.equal(standing.size, 1000);
    const lost = [...again, ...people(4000, 4100)].filter((email) => !standing.has(email));
    assert.deepEqual(lost, [], 'nobody whose opt-out was acknowledged meanwhile has left');
    assert.deepEqual(await breaches(), []);
  });
});
