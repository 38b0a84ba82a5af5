import assert from 'node:assert/strict';
import { findKeyHolder } from '../../src/core/access-keys.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { checkItems } from '../../src/core/check.js';
import { evictOverCap } from '../../src/core/cap.js';
import { downloadsOfList } from '../../src/core/downloads.js';
import { readEntriesSince } from '../../src/core/entries-since.js';
import { readChanges, readEntries } from '../../src/core/entries.js';
import { getCounts, hasPendingChanges, numberBefore } from '../../src/core/feed.js';
import { readJoined } from '../../src/core/joined-entries.js';
import { expireOptOuts, numberChanges } from '../../src/core/numbering.js';
import { findList, getListById, type List } from '../../src/core/lists.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf } from '../../src/core/opt-outs.js';
import { retainOptOuts } from '../../src/core/retention.js';
import { findOptOuts, findSuppressed, isSuppressed } from '../../src/core/suppressed.js';
import type { Db } from '../../src/db/connect.js';
import { migratedDatabase, newList, optOutOf, plant, rowKinds, type TestDatabase } from '../support/core.js';
import { engine } from '../support/engine.js';
import { plansOf } from '../support/plans.js';

const rowsAList = 20_000;
const many = <T>(count: number, make: (n: number) => T) => Array.from({ length: count }, (_, n) => make(n));
const key = `so_${'x'.repeat(43)}`;

describe('The query plans', () => {
  let test: TestDatabase;
  let db: Db;
  let list: List;
  /** In which no row waits for its number. */
  let quietList: number;
  let now = 10_000;
  before(async function () {
    this.timeout(60_000);
    test = await migratedDatabase({ poolSize: 1 });
    db = test.db;
    await fill();
  });
  after(() => test.close());

  /** Two lists, and as much in all tables that are asked as makes a scan dearer than an index. */
  async function fill(): Promise<void> {
    list = await getListById(db, await newList(db));
    quietList = await newList(db);
    await db('accounts').update({ global_list_id: quietList });
    const ids = [list.id, quietList];
    for (const [i, id] of ids.entries()) {
      const rows = many(rowsAList, (n) => ({
        ...rowKinds.plain(`p${n}@example.com`),
        removed_at: n % 20 === 0 ? 2000 : null,
        feed_number: i * rowsAList + n,
        repeats: i * rowsAList + n,
      }));
      await plant(db, id, rows);
    }
    const listOf = (n: number) => ids[n % 2] ?? 0;
    const tables: Record<string, object[]> = {
      expiries: many(2000, (n) => ({
        ...{ list_id: listOf(n), address_key: md5Of(`p${n}@example.com`) },
        ...{ tag: Buffer.from('*'), expires_at: 10_000 + n },
      })),
      feed_marks: many(1000, (n) => ({ at: n * 600_000, number: n })),
      accounts: many(500, (n) => ({ name: `a${n}`, created_at: 1 })),
      tags: many(1000, (n) => ({ list_id: n % 50, tag: Buffer.from(`t${n}`), created_at: 1 })),
      mailers: many(500, (n) => ({ account_id: 1, name: `m${n}`, ip_whitelist: '', created_at: 1 })),
      grants: many(500, (n) => ({ mailer_id: n + 1, list_id: n === 0 ? list.id : n % 50, created_at: 1 })),
      access_keys: many(500, (n) => ({
        ...{ mailer_id: n + 1, key_hash: sha256Of(n === 0 ? key : `k${n}`), ending: 'xxxx', created_at: 1 },
      })),
      downloads: many(2000, (n) => ({
        ...{ list_id: n % 50, mailer_id: 1, access_key_id: 1, at: n, ip: '192.0.2.1' },
        ...{ extent: 'all', format: 'md5', status: 200 },
      })),
    };
    tables.passes = [
      // In the middle of a pass.
      {
        name: 'retention',
        list_id: list.id,
        address_key: Buffer.alloc(0),
        tag: Buffer.alloc(0),
        began_at: 1,
      },
    ];
    for (const [table, rows] of Object.entries(tables)) await db.batchInsert(table, rows, 500);
    await fillCapped();
  }

  /** A list that holds more than its cap, some of it by SHA-256 alone. */
  async function fillCapped(): Promise<void> {
    const id = await newList(db);
    const rows = many(4000, (n) => ({
      ...(n % 5 === 0 ? rowKinds.sha256Only(`q${n}@example.com`) : rowKinds.plain(`q${n}@example.com`)),
      counted: n % 5 === 0 ? 3 : 1,
      feed_number: 2 * rowsAList + n,
      repeats: 2 * rowsAList + n,
    }));
    await plant(db, id, rows);
    await db('list_counts').insert({ list_id: id, addresses: 3200, sha256_only: 800, last_number: 100_000 });
    const others = many(1000, (n) => ({ list_id: id + 1 + n, addresses: n, last_number: n }));
    await db.batchInsert('list_counts', others, 500);
    await db('lists').where({ id }).update({ cap: 1000 });
    const erased = many(2000, (n) => ({
      ...{ account_id: 1 + (n % 2), address_key: md5Of(`e${n}`), sha256: sha256Of(`e${n}`), at: 1 },
    }));
    await db.batchInsert('erased_people', erased, 500);
  }

  /** A few rows wait for their numbers, and some expiries are due. */
  async function stir(): Promise<void> {
    await db('opt_outs')
      .where({ list_id: list.id })
      .where('feed_number', '<', 20)
      .update({ feed_number: null });
    now += 5;
  }

  const all = async (slices: AsyncIterable<unknown>) => {
    for await (const slice of slices) assert.ok(slice);
  };
  const email = 'p77@example.com';

  /** What is asked, and the index by which each table has to be read. */
  const asked: [what: string, run: () => Promise<unknown>, indexes: Record<string, string[]>][] = [
    [
      'numbering',
      () => numberChanges(db, 1, 10),
      // The pending rows by their missing number, and each by its key when it gets one.
      { opt_outs: ['opt_outs_feed', 'PRIMARY'], feed: ['PRIMARY'], list_counts: ['PRIMARY'] },
    ],
    [
      'whether anything waits for its number',
      // At a time when nothing has expired yet: otherwise that is the answer already.
      () => hasPendingChanges(db, quietList, 0),
      { opt_outs: ['opt_outs_feed'], expiries: ['expiries_list'] },
    ],
    ['the counts', () => getCounts(db, list.id), { list_counts: ['PRIMARY'] }],
    ['a whole list', () => all(readEntries(db, [list.id], { at: 3000 })), { opt_outs: ['PRIMARY'] }],
    [
      'a whole list with the global one',
      () => all(readEntries(db, [list.id, quietList], { at: 3000 })),
      { opt_outs: ['PRIMARY'] },
    ],
    [
      'a whole list as the database joins it',
      () => all(readJoined(db, [list.id], { at: 3000, format: 'plain' })),
      { opt_outs: ['PRIMARY'] },
    ],
    [
      'the same with the global one, of a tag',
      () => all(readJoined(db, [list.id, quietList], { at: 3000, format: 'md5', tag: 't1' })),
      { opt_outs: ['PRIMARY'] },
    ],
    [
      "a whole list's tag",
      () => all(readEntries(db, [list.id], { at: 3000, tag: 't1' })),
      { opt_outs: ['PRIMARY'] },
    ],
    [
      'the changes after a cursor, and whether what is gone stands by another tag',
      () => all(readChanges(db, [list.id], { from: 1000, to: 9000 }, { at: 3000 })),
      { opt_outs: ['opt_outs_feed', 'PRIMARY'], bulk_removals: ['bulk_removals_list'] },
    ],
    [
      'the changes of a list and the global one',
      () => all(readChanges(db, [list.id, quietList], { from: 15_000, to: 25_000 }, { at: 3000 })),
      { opt_outs: ['opt_outs_feed', 'PRIMARY'], bulk_removals: ['bulk_removals_list'] },
    ],
    [
      'what was recorded since a date',
      () => all(readEntriesSince(db, [list.id], 1000, { at: 3000 })),
      { opt_outs: ['opt_outs_feed', 'PRIMARY'], feed_marks: ['PRIMARY'] },
    ],
    [
      'what was recorded since a date on a list or the global one',
      () => all(readEntriesSince(db, [list.id, quietList], 1000, { at: 3000 })),
      { opt_outs: ['opt_outs_feed', 'PRIMARY'], feed_marks: ['PRIMARY'] },
    ],
    [
      'the oldest entries of a list that is over its cap',
      () => evictOverCap(db, now, 20),
      {
        lists: ['PRIMARY', 'lists_cap'],
        list_counts: ['PRIMARY'],
        opt_outs: ['PRIMARY', 'opt_outs_feed'],
        feed: ['PRIMARY'],
        feed_marks: ['PRIMARY'],
        erased_people: ['erased_people_sha256'],
      },
    ],
    ['the mark before a date', () => numberBefore(db, 300_000_000), { feed_marks: ['PRIMARY'] }],
    [
      'whether an address is suppressed, by the list or the global one',
      () => isSuppressed(db, list.id, email),
      {
        opt_outs: ['PRIMARY'],
        lists: ['PRIMARY'],
        accounts: ['PRIMARY'],
        bulk_removals: ['bulk_removals_list'],
      },
    ],
    [
      'which of many addresses are suppressed',
      () =>
        findSuppressed(
          db,
          list.id,
          many(1000, (n) => `p${n}@example.com`),
        ),
      {
        opt_outs: ['PRIMARY'],
        lists: ['PRIMARY'],
        accounts: ['PRIMARY'],
        bulk_removals: ['bulk_removals_list'],
      },
    ],
    [
      'of many items those that are suppressed, by their keys, and by the Unicode form of a domain',
      () =>
        checkItems(
          db,
          list.id,
          many(1000, (n) => (n % 2 === 0 ? { normalised: `p${n}@example.com` } : { md5: md5Of(`x${n}`) })),
        ),
      {
        ...{ opt_outs: ['PRIMARY', 'opt_outs_domain'], lists: ['PRIMARY'], accounts: ['PRIMARY'] },
        bulk_removals: ['bulk_removals_list'],
        ...(engine === 'sqlite' ? { slice: [''] } : {}),
      },
    ],
    [
      'all opt-outs of an address',
      () => findOptOuts(db, list.id, email),
      { opt_outs: ['PRIMARY'], bulk_removals: ['bulk_removals_list'] },
    ],
    ['a removal', () => removeOptOuts(db, list.id, email), { opt_outs: ['PRIMARY'] }],
    [
      'a removal of one tag',
      () => removeOptOuts(db, list.id, 'p78@example.com', { tag: '*' }),
      { opt_outs: ['PRIMARY'] },
    ],
    [
      'the next slice for the keeper to look through',
      () => retainOptOuts(db, now, { ipMs: 1e15, tombstonesMs: 1e15, historyMs: null }, 10),
      // Each of them by its key, those included that an import brought of erased people.
      { opt_outs: ['PRIMARY'], passes: ['PRIMARY'], lists: ['PRIMARY'], erased_people: ['PRIMARY'] },
    ],
    [
      'expiries that are due',
      () => expireOptOuts(db, now),
      { expiries: ['expiries_expires_at', 'PRIMARY'], opt_outs: ['PRIMARY'] },
    ],
    [
      'a list by its public id',
      () => findList(db, list.publicId),
      { lists: ['lists_public_id'], tags: ['PRIMARY'], grants: ['grants_list'] },
    ],
    [
      'the holder of a key',
      () => findKeyHolder(db, list, key),
      { access_keys: ['access_keys_key_hash'], mailers: ['PRIMARY'], grants: ['PRIMARY'] },
    ],
    ["a list's downloads", () => downloadsOfList(db, list.id), { downloads: ['downloads_list'] }],
  ];

  for (const [state, prepare] of [
    ['as a database is that nobody has analysed', () => Promise.resolve()],
    ['with fresh statistics', () => analyse()],
    [
      'with statistics from when nothing had its number yet',
      async () => {
        await db('opt_outs').update({ feed_number: null });
        await analyse();
        await db('opt_outs').update({ feed_number: db.ref('repeats') });
        await stir();
      },
    ],
  ] as const) {
    describe(state, () => {
      before(async () => {
        await stir();
        await prepare();
      });

      for (const [what, run, indexes] of asked) {
        it(`find ${what} by an index`, async () => {
          const plans = await plansOf(db, run);
          const used: Record<string, Set<string>> = {};
          for (const { table, index, isScan, isSorted, sql } of plans) {
            const told = `${table} by ${index}: ${sql}`;
            // A slice is what its own query has read by an index.
            assert.ok(!isScan || ['lists', 'slice'].includes(table), `a scan of ${told}`);
            // Of one address: as many rows as it has tags.
            assert.ok(!isSorted || what === 'all opt-outs of an address', `a sort of ${told}`);
            if (table !== 'lists' || what !== 'numbering') (used[table] ??= new Set()).add(index);
          }
          const found = Object.entries(used).map(([table, names]) => [table, [...names].sort()]);
          assert.deepEqual(
            Object.fromEntries(found),
            Object.fromEntries(Object.entries(indexes).map(([table, names]) => [table, names.toSorted()])),
          );
        });
      }

      if (engine === 'mysql') {
        it('record an opt-out, new or repeated, by reading no more than its own row', async () => {
          const reads = async () => {
            const [rows] = (await db.raw("SHOW SESSION STATUS LIKE 'Handler_read%'")) as [
              { Value: string }[],
            ];
            return rows.reduce((sum, row) => sum + Number(row.Value), 0);
          };
          const overhead = -(await reads()) + (await reads());
          for (const which of ['new@example.com', 'new@example.com', email]) {
            const before = await reads();
            await writeOptOuts(db, [rowOf(optOutOf(list.id, which))]);
            assert.ok((await reads()) - before - overhead <= 2, which);
          }
        });
      }
    });
  }

  async function analyse(): Promise<void> {
    if (engine === 'sqlite') await db.raw('ANALYZE');
    else
      await db.raw(
        'ANALYZE TABLE opt_outs, expiries, feed_marks, grants, mailers, access_keys, downloads, tags',
      );
  }
});
