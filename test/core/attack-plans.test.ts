import assert from 'node:assert/strict';
import { arrivalsElsewhere, forgetArrivals } from '../../src/core/arrivals.js';
import { forgetBlocks, liftBlock, listBlocks, readBlocks, writeBlocks } from '../../src/core/blocks.js';
import { revertBurst, tallyBurst } from '../../src/core/burst-revert.js';
import { forgetBursts, getBurst, listBursts, noteBursts } from '../../src/core/bursts.js';
import type { Db } from '../../src/db/connect.js';
import { migratedDatabase, newList, plant, rowKinds, type TestDatabase } from '../support/core.js';
import { engine } from '../support/engine.js';
import { plansOf } from '../support/plans.js';

const many = <T>(count: number, make: (n: number) => T) => Array.from({ length: count }, (_, n) => make(n));
const networkOf = (n: number) => `198.${18 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
const now = 1_000_000;

describe('The attack rule’s query plans', () => {
  let test: TestDatabase;
  let db: Db;
  before(async function () {
    this.timeout(60_000);
    test = await migratedDatabase({ poolSize: 1 });
    db = test.db;
    const list = await newList(db);
    await newList(db);
    const rows = many(10_000, (n) => ({
      ...rowKinds.plain(`p${n}@example.com`),
      ...{ source: 'pixel' as const, ip: networkOf(n % 50), recorded_at: now, last_at: now },
      feed_number: n % 100 === 0 ? null : n,
    }));
    await plant(db, list, rows);
    const account = (n: number) => 1 + (n % 3);
    const tables: Record<string, object[]> = {
      arrivals: many(5000, (n) => ({
        ...{ account_id: account(n), network: networkOf(n >> 2), source: 'pixel', node: `node-${n % 4}` },
        ...{ recipients: Buffer.alloc(14), changed_at: n },
      })),
      blocks: many(5000, (n) => ({
        ...{ account_id: account(n), network: networkOf(n), started_at: 1, ends_at: n },
      })),
      bursts: many(5000, (n) => ({
        ...{
          account_id: account(n),
          network: networkOf(n),
          source: 'pixel',
          started_at: now,
          last_at: now + n,
        },
        ...{ recipients: 101, is_open: 1 },
      })),
    };
    for (const [table, all] of Object.entries(tables)) await db.batchInsert(table, all, 500);
    if (engine === 'sqlite') await db.raw('ANALYZE');
    else await db.raw('ANALYZE TABLE arrivals, blocks, bursts, opt_outs');
  });
  after(() => test.close());

  const clients = many(10, (n) => ({ accountId: 1 + (n % 3), network: networkOf(n) }));
  const burst = () => getBurst(db, 1);

  const asked: [what: string, run: () => Promise<unknown>, indexes: Record<string, string[]>][] = [
    [
      'what other nodes have seen of clients',
      () => arrivalsElsewhere(db, 'node-1', clients, 10),
      { arrivals: ['PRIMARY'] },
    ],
    ['old arrivals', () => forgetArrivals(db, 90_001_000, 100), { arrivals: ['arrivals_changed_at'] }],
    ['blocks that stand', () => readBlocks(db, 4000), { blocks: ['blocks_ends_at'] }],
    ['blocks to show', () => listBlocks(db, null, 4900), { blocks: ['blocks_ends_at'] }],
    [
      'a block to write',
      () =>
        writeBlocks(
          db,
          clients.map((one) => ({ ...one, startedAt: 5, endsAt: 9, liftedAt: null, countedFrom: 1 })),
        ),
      { blocks: ['PRIMARY'] },
    ],
    [
      'a block to lift',
      () => liftBlock(db, 1, networkOf(4500), { actor: 'test', windowMs: 10, now: 4000 }),
      { blocks: ['PRIMARY'] },
    ],
    ['old blocks', () => forgetBlocks(db, 100, 50), { blocks: ['blocks_ends_at'] }],
    [
      'the burst that goes on',
      () =>
        noteBursts(
          db,
          clients.map((one) => ({ ...one, source: 'pixel', from: now, to: now, recipients: 101 })),
          1000,
        ),
      { bursts: ['bursts_open'] },
    ],
    ['the bursts of an account', () => listBursts(db, 1), { bursts: ['bursts_account'] }],
    ['the newest bursts', () => listBursts(db, null), { bursts: ['bursts_last_at'] }],
    [
      'the opt-outs of a burst',
      async () => tallyBurst(db, await burst(), now),
      {
        ...{ bursts: ['PRIMARY'], feed_marks: ['PRIMARY'], lists: ['lists_account'] },
        opt_outs: ['opt_outs_feed'],
      },
    ],
    [
      'what to take back',
      async () => revertBurst(db, await burst(), { actor: 'test', timeoutMs: 5000, now: () => now }),
      {
        ...{ bursts: ['PRIMARY', 'bursts_account'], feed_marks: ['PRIMARY'], lists: ['lists_account'] },
        ...{ history: ['history_account'], opt_outs: ['PRIMARY', 'opt_outs_feed'] },
      },
    ],
    ['old bursts', () => forgetBursts(db, now + 100, 50), { bursts: ['bursts_last_at'] }],
  ];

  for (const [what, run, indexes] of asked) {
    it(`find ${what} by an index`, async () => {
      const used: Record<string, Set<string>> = {};
      for (const { table, index, isScan, isSorted, sql } of await plansOf(db, run)) {
        // The clients that are asked for, as SQLite tells them.
        if (/^\d+$/.test(table)) continue;
        const told = `${table} by ${index}: ${sql.slice(0, 500)}`;
        assert.ok(!isScan || table === 'lists' || what === 'the newest bursts', `a scan of ${told}`);
        assert.ok(!isSorted, `a sort of ${told}`);
        if (table !== 'lists') (used[table] ??= new Set()).add(index);
      }
      const found = Object.entries(used).map(([table, names]) => [table, [...names].sort()]);
      const { lists: _, ...expected } = indexes;
      assert.deepEqual(Object.fromEntries(found), expected);
    });
  }
});
