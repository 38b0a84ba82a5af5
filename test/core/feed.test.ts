import assert from 'node:assert/strict';
import fc from 'fast-check';
import { md5Of } from '../../src/core/address.js';
import {
  cursorText,
  getCounts,
  getFeed,
  hasPendingChanges,
  markFeed,
  numberBefore,
  readCursor,
  type Feed,
} from '../../src/core/feed.js';
import { numberChanges } from '../../src/core/numbering.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf } from '../../src/core/opt-outs.js';
import { retrying, type Db } from '../../src/db/connect.js';
import { CursorGone, Invalid } from '../../src/errors.js';
import {
  countsByKind,
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  rowsOfList,
  untilLockWait,
  type PlantedRow,
  type TestDatabase,
} from '../support/core.js';
import { engine } from '../support/engine.js';

describe('The feed', () => {
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
    list = await newList(db);
  });

  const record = (to: Db, ...emails: string[]) =>
    writeOptOuts(
      to,
      emails.map((email) => rowOf(optOutOf(list, email))),
    );
  const emails = (count: number) => Array.from({ length: count }, (_, i) => `p${i}@example.com`);
  const numbersOf = async (...lists: number[]) => {
    const rows = (await Promise.all(lists.map((id) => rowsOfList(db, id)))).flat();
    return rows.map((row) => row.feed_number ?? -1).sort((a, b) => a - b);
  };
  const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);

  it('gives each row one number, over all lists, a limited number of rows a call', async () => {
    const other = await newList(db);
    await record(db, ...emails(25));
    await plant(db, other, emails(10).map(rowKinds.md5Only));
    assert.equal(await hasPendingChanges(db, other), true);
    assert.deepEqual([await numberChanges(db, 1, 20), await numberChanges(db, 1, 20)], [20, 15]);
    assert.equal(await numberChanges(db, 1, 20), 0);
    assert.deepEqual(await numbersOf(list, other), upTo(35));
    assert.equal((await getFeed(db)).lastNumber, 35);
    assert.deepEqual([await hasPendingChanges(db, list), await hasPendingChanges(db, other)], [false, false]);
    const last = Math.max(...(await numbersOf(list)));
    assert.equal((await getCounts(db, list)).last_number, last);
  });

  it('gives a row that changes another number, above all that were given', async () => {
    await record(db, ...emails(3));
    await numberAll(db, [list]);
    await removeOptOuts(db, list, 'p1@example.com');
    await numberAll(db, [list]);
    const [row] = await db<{ feed_number: number; address_key: Buffer }>('opt_outs')
      .where('address_key', '=', md5Of('p1@example.com'))
      .select('feed_number');
    assert.equal(row?.feed_number, 4);
  });

  it('takes nothing from a keeper with a lower fencing number than the last one', async () => {
    await record(db, ...emails(3));
    await numberChanges(db, 7, 1);
    assert.equal(await numberChanges(db, 6), 0);
    assert.deepEqual(await numbersOf(list), [-1, -1, 1]);
    assert.equal(await numberChanges(db, 7), 2);
  });

  it('numbers nothing twice where several work at once, and counts each row once', async () => {
    await record(db, ...emails(1000));
    const pools = [db, test.another(), test.another(), test.another()];
    await Promise.all(
      pools.map(async (pool) => {
        const hasMore = () => hasPendingChanges(pool, list);
        while (await hasMore()) await retrying(pool, 10_000, () => numberChanges(pool, 1, 50));
      }),
    );
    assert.deepEqual(await numbersOf(list), upTo(1000));
    assert.equal((await getFeed(db)).lastNumber, 1000);
    assert.equal((await getCounts(db, list)).addresses, 1000);
  });

  it('counts what suppresses by kind, whatever happens in whatever order', async () => {
    const kind = fc.constantFrom(...(['plain', 'md5Only', 'sha256Only', 'erased'] as const));
    const start = fc.array(fc.tuple(kind, fc.constantFrom('*', 'a', 'b')), { maxLength: 8 });
    const change = fc.tuple(fc.constantFrom('record', 'remove', 'number'), fc.nat(7));
    await fc.assert(
      fc.asyncProperty(start, fc.array(change, { maxLength: 10 }), async (rows, changes) => {
        list = await newList(db);
        const planted = rows.map(([of, tag], i): PlantedRow => {
          return { ...rowKinds[of](`p${i}@example.com`), tag: Buffer.from(tag) };
        });
        await plant(db, list, planted);
        for (const [what, i] of changes) {
          if (what === 'record') await record(db, `p${i}@example.com`);
          if (what === 'remove') await removeOptOuts(db, list, `p${i}@example.com`);
          if (what === 'number') await numberChanges(db, 1, 3);
        }
        await numberAll(db, [list]);
        const { last_number, ...counts } = await getCounts(db, list);
        const standing = await rowsOfList(db, list);
        const { addresses, md5_only, sha256_only, erased } = counts;
        assert.deepEqual({ addresses, md5_only, sha256_only, erased }, countsByKind(standing));
        assert.equal(last_number, Math.max(0, ...standing.map((row) => row.feed_number ?? -1)));
      }),
      { numRuns: 60 },
    );
  });

  if (engine === 'mysql') {
    it('numbers a row that commits late above those that committed before it', async () => {
      const late = await test.begin();
      await record(late, 'late@example.com');
      await record(db, ...emails(3));
      assert.equal(await numberChanges(db, 1), 3);
      await late.commit();
      assert.equal(await numberChanges(db, 1), 1);
      const rows = await rowsOfList(db, list);
      assert.equal(rows.find((row) => String(row.address) === 'late@example.com')?.feed_number, 4);
    });

    it('leaves a row alone that changes while it is being numbered', async () => {
      await record(db, 'ann@example.com');
      const other = await test.begin();
      await other('feed').where({ id: 1 }).forUpdate().first();
      const numbering = numberChanges(db, 1);
      await untilLockWait(db);
      await removeOptOuts(other, list, 'ann@example.com');
      await other.commit();
      assert.equal(await numbering, 0);
      assert.deepEqual([await numbersOf(list), (await getFeed(db)).lastNumber], [[-1], 0]);
      await numberAll(db, [list]);
      assert.equal((await getCounts(db, list)).addresses, 0);
    });

    it('takes nothing from a keeper that is overtaken in the middle of its numbering', async () => {
      await record(db, ...emails(3));
      const newer = await test.begin();
      await newer('feed').where({ id: 1 }).forUpdate().first();
      const numbering = numberChanges(db, 1);
      await untilLockWait(db);
      await numberChanges(newer, 2, 1);
      await newer.commit();
      assert.equal(await numbering, 0);
      assert.deepEqual(await numbersOf(list), [-1, -1, 1]);
    });
  }

  it('ties itself to the clock after it has been read, so that no row is behind a mark of an earlier time', async () => {
    await record(db, 'ann@example.com');
    await numberAll(db, [list]);
    const seen: string[] = [];
    db.on('query', ({ sql }: { sql: string }) => seen.push(sql));
    await markFeed(db, () => (assert.match(seen.join(), /from `feed`/), 1_000_000));
    db.removeAllListeners('query');
    const skewMs = 10 * 60_000;
    assert.equal(await numberBefore(db, 1_000_000 + skewMs - 1), 0, 'clocks of nodes may differ');
    assert.equal(await numberBefore(db, 1_000_000 + skewMs), 1);
  });

  it('is marked every ten minutes at most, and only where it has moved on', async () => {
    const marks = async () => (await db<{ at: number }>('feed_marks').orderBy('at')).map((row) => row.at);
    const minutes = (count: number) => () => count * 60_000;
    await markFeed(db, minutes(100));
    await markFeed(db, minutes(200));
    await record(db, 'ann@example.com');
    await numberAll(db, [list]);
    await markFeed(db, minutes(201));
    await record(db, 'bob@example.com');
    await numberAll(db, [list]);
    await markFeed(db, minutes(210));
    await markFeed(db, minutes(211));
    assert.deepEqual(await marks(), [100 * 60_000, 201 * 60_000, 211 * 60_000]);
  });
});

describe("A feed's cursor", () => {
  const feed: Feed = { epoch: 'epoch-of_12', lastNumber: 50, purgedNumber: 10 };

  it('leads back to the number at which it was given, from the last purged one on', () => {
    assert.equal(readCursor(feed, cursorText(feed)), 50);
    assert.equal(readCursor(feed, 'epoch-of_12.10'), 10);
  });

  for (const text of ['', 'x', '.5', 'epoch-of_12', 'epoch-of_12.', 'epoch-of_12.-1', 'epoch-of_12.5x']) {
    it(`is refused as malformed where it is ${JSON.stringify(text)}`, () => {
      assert.throws(() => readCursor(feed, text), Invalid);
    });
  }

  for (const [text, why] of [
    ['epoch-of_13.20', 'of another epoch: a backup was restored'],
    ['epoch-of_12.51', 'from the future'],
    ['epoch-of_12.9', 'from before what was purged'],
  ] as const) {
    it(`is gone where it is ${why}`, () => {
      assert.throws(() => readCursor(feed, text), CursorGone);
    });
  }
});
