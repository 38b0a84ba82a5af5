import type { Knex } from 'knex';
import { engineOf, retrying, type Db } from '../db/connect.js';
import type { Engine } from '../db/engine.js';
import { Unavailable } from '../errors.js';
import { isOfBurst, slackMs, type Burst } from './bursts.js';
import { restoreEvicted } from './evicted.js';
import { numberBefore } from './feed.js';
import { noteChange, noteChanges } from './history.js';
import { LIVE } from './opt-outs.js';

/** The opt-outs of a burst that still suppress. */
export interface BurstOptOuts {
  /** Taking it back removes these. */
  readonly forged: number;
  /** Somebody else stands behind these as well: they stay. */
  readonly vouched: number;
}

/** What taking a burst back has come to. */
export interface RevertedBurst extends BurstOptOuts {
  /** Whom it had pushed off a list by its cap, and who are on it again. */
  readonly restored: number;
}

const columns = [
  ...(['list_id', 'address_key', 'tag', 'recorded_at', 'source', 'ip', 'vouched'] as const),
  ...(['removed_at', 'expires_at', 'feed_number'] as const),
];

interface BurstRow {
  list_id: number;
  address_key: Buffer;
  tag: Buffer;
  recorded_at: number;
  source: string;
  ip: string | null;
  vouched: number;
  removed_at: number | null;
  expires_at: number | null;
  feed_number: number | null;
}

const sliceRows = 1000;
/** Rows a transaction: few milliseconds, for which SQLite's file can be written by nobody else. */
const rowsATransaction = 200;
/** Rows that may wait for their number meanwhile; far more than the keeper ever leaves. */
const mostPending = 100_000;

/** What taking a burst back would come to. */
export async function tallyBurst(db: Db, burst: Burst, now = Date.now()): Promise<BurstOptOuts> {
  const { forged, vouched } = await tallyWithin(db, burst, Infinity, now);
  return { forged, vouched };
}

/** What of it could be told in a time. */
export interface BurstTally extends BurstOptOuts {
  /** How many of the forged ones are on which list, by its id. */
  readonly lists: ReadonlyMap<number, number>;
  /** All was gone through; otherwise it may be more. */
  readonly isWhole: boolean;
}

/** The same, for somebody who does not wait for longer than `forMs` milliseconds. */
export async function tallyWithin(
  db: Db,
  burst: Burst,
  forMs: number,
  now = Date.now(),
): Promise<BurstTally> {
  const tally = { forged: 0, vouched: 0 };
  const lists = new Map<number, number>();
  const startedAt = performance.now();
  for await (const rows of rowsOfBurst(db, burst, now)) {
    for (const { vouched, list_id } of rows) {
      tally[vouched === 0 ? 'forged' : 'vouched']++;
      if (vouched === 0) lists.set(list_id, (lists.get(list_id) ?? 0) + 1);
    }
    if (performance.now() - startedAt > forMs) return { ...tally, lists, isWhole: false };
  }
  return { ...tally, lists, isWhole: true };
}

/**
 * Takes a burst back: what its client recorded by its door from its first to its last arrival, and nobody
 * else stands behind. What stood before it, signed links, and what somebody else recorded again, stay. Whom
 * it pushed off a list by its cap come back.
 *
 * Done by slices, each of them whole or not at all: broken off, it is simply done again. The second time
 * takes back nothing more, unless the burst went on.
 *
 * @param onSlice told how many have been taken back so far.
 * @throws Unavailable where the database is too busy, or the keeper too far behind.
 */
export async function revertBurst(
  db: Db,
  burst: Burst,
  {
    actor,
    timeoutMs,
    now = Date.now,
    onSlice,
  }: { actor: string; timeoutMs: number; now?: () => number; onSlice?: (forged: number) => void },
): Promise<RevertedBurst> {
  const done = { forged: 0, vouched: 0 };
  for await (const rows of rowsOfBurst(db, burst, now())) {
    const forged = rows.filter((row) => row.vouched === 0);
    done.vouched += rows.length - forged.length;
    for (let i = 0; i < forged.length; i += rowsATransaction) {
      const slice = forged.slice(i, i + rowsATransaction);
      done.forged += await retrying(db, timeoutMs, () =>
        db.transaction((trx) => revertRows(trx, burst, slice, { actor, at: now() })),
      );
      onSlice?.(done.forged);
    }
  }
  await retrying(db, timeoutMs, () =>
    db.transaction(async (trx) => {
      await addReverted(trx, burst, 0, now());
      const details = { burst: burst.id, opt_outs: done.forged };
      await noteChange(trx, { accountId: burst.accountId, actor, action: 'burst.reverted', details });
    }),
  );
  return { ...done, restored: await restoreEvicted(db, burst, { actor, timeoutMs, now }) };
}

/** @returns how many rows ceased to suppress. */
async function revertRows(
  trx: Db,
  burst: Burst,
  rows: readonly BurstRow[],
  { actor, at }: { actor: string; at: number },
): Promise<number> {
  const listId = rows[0]?.list_id ?? 0;
  const keys = [...new Set(rows.map((row) => row.address_key.toString('hex')))];
  // Asked anew: somebody may have recorded one of them again since it was read.
  const ofThese = () =>
    trx(trx.raw(`opt_outs ${engineOf(trx).byIndex(null)}`))
      .where({ list_id: listId, vouched: 0 })
      .whereIn(
        'address_key',
        keys.map((key) => Buffer.from(key, 'hex')),
      )
      .modify(ofBurst, engineOf(trx), burst)
      .whereRaw(LIVE, [at]);
  const standing: Pick<BurstRow, 'address_key'>[] = await ofThese()
    .orderBy(['address_key', 'tag'])
    .forUpdate()
    .select('address_key');
  if (standing.length === 0) return 0;
  const reverted = await ofThese().update({ removed_at: at, feed_number: null });
  await noteChanges(
    trx,
    standing.map(({ address_key }) => ({
      ...{ accountId: burst.accountId, listId, actor, action: 'opt-out.reverted' },
      ...{ subject: address_key, details: { burst: burst.id } },
    })),
  );
  await addReverted(trx, burst, reverted, at);
  return reverted;
}

async function addReverted(trx: Db, { id }: Burst, count: number, at: number): Promise<void> {
  await trx('bursts')
    .where({ id })
    .update({ reverted_at: at, reverted: trx.raw('COALESCE(reverted, 0) + ?', [count]) });
}

function ofBurst(
  query: Knex.QueryBuilder,
  { clientNetwork }: Engine,
  { network, source, startedAt, lastAt }: Burst,
): void {
  void query
    .where({ source })
    .whereBetween('recorded_at', [startedAt, lastAt + slackMs])
    .whereRaw(`${clientNetwork('ip')} = ${clientNetwork('?')}`, [network.replace(/\/\d+$/, '')]);
}

/**
 * The rows of a burst that suppress, those of one list at a time, by slices. No index tells who recorded what:
 * all that was recorded since is gone through, in the feed's order; then what has no number yet, and then
 * what has got one in between.
 */
async function* rowsOfBurst(db: Db, burst: Burst, now: number): AsyncGenerator<BurstRow[]> {
  const start = await numberBefore(db, burst.startedAt);
  const isStanding = (row: BurstRow) =>
    isOfBurst(row, burst) && row.removed_at === null && (row.expires_at === null || row.expires_at > now);
  for await (const listId of listsOf(db, burst.accountId)) {
    let after = start;
    for (const part of ['numbered', 'pending', 'numbered'] as const) {
      if (part === 'pending') {
        const pending = await pendingRows(db, listId, burst);
        for (let i = 0; i < pending.length; i += sliceRows) {
          yield pending.slice(i, i + sliceRows).filter(isStanding);
        }
        continue;
      }
      for (let rows; (rows = await numberedRows(db, listId, after)).length > 0;) {
        yield rows.filter(isStanding);
        after = rows.at(-1)?.feed_number ?? after;
      }
    }
  }
}

async function* listsOf(db: Db, accountId: number): AsyncGenerator<number> {
  for (let after = 0; ;) {
    const ids = (await db('lists')
      .where({ account_id: accountId })
      .where('id', '>', after)
      .orderBy('id')
      .limit(sliceRows)
      .pluck('id')) as number[];
    yield* ids;
    after = ids.at(-1) ?? 0;
    if (ids.length < sliceRows) return;
  }
}

async function numberedRows(db: Db, listId: number, after: number): Promise<BurstRow[]> {
  return db('opt_outs')
    .where({ list_id: listId })
    .where('feed_number', '>', after)
    .orderBy('feed_number')
    .limit(sliceRows)
    .select(...columns);
}

async function pendingRows(db: Db, listId: number, burst: Burst): Promise<BurstRow[]> {
  const engine = engineOf(db);
  const rows: BurstRow[] = await db(db.raw(`opt_outs ${engine.byIndex('opt_outs_feed')}`))
    .where({ list_id: listId })
    .whereNull('feed_number')
    .whereNull('removed_at')
    .modify(ofBurst, engine, burst)
    .limit(mostPending + 1)
    .select(...columns);
  if (rows.length > mostPending) throw new Unavailable('too many changes wait for their feed numbers');
  return rows;
}
