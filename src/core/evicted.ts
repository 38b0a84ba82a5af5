import { engineOf, retrying, rowsOf, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { isOfBurst, listBursts, type Burst } from './bursts.js';
import { noteChanges } from './history.js';

/** What the history calls an entry's leaving by the cap; noted at the time of its removal, to be found by it. */
export const evicted = 'opt-out.evicted';

/** What the history says of such an entry. */
interface Eviction {
  readonly listId: number;
  readonly key: Buffer;
  readonly tag: string;
  /** Of the eviction, and of the removal that it left. */
  readonly at: number;
}

interface HistoryRow {
  readonly id: number;
  readonly at: number;
  readonly list_id: number | null;
  readonly action: string;
  readonly subject: Buffer | null;
  readonly details: string;
}

interface TombstoneRow {
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly source: string;
  readonly recorded_at: number;
  readonly ip: string | null;
  readonly vouched: number;
  readonly removed_at: number;
  readonly expires_at: number | null;
}

const sliceRows = 1000;
/** As in burst-revert.ts: few milliseconds of SQLite's one lock. */
const rowsATransaction = 200;
/** With more of a list's rows unnumbered, the room in it cannot be told. */
const mostPending = 100_000;

/**
 * Brings back what the caps of an account's lists have removed since a burst began, those that left last
 * first, and as many as there is room for: forged opt-outs had pushed them out. What a burst brought that has
 * been taken back does not come back, nor what has changed since: recorded anew, run out, or purged.
 *
 * Done by slices, each of them whole or not at all; done again, it brings back what there is room for by then.
 *
 * @returns how many suppress again.
 * @throws Unavailable where the database is too busy, or the keeper too far behind.
 */
export async function restoreEvicted(
  db: Db,
  burst: Burst,
  { actor, timeoutMs, now }: { actor: string; timeoutMs: number; now: () => number },
): Promise<number> {
  const takenBack = (await listBursts(db, burst.accountId)).filter(
    ({ id, revertedAt }) => id !== burst.id && revertedAt !== null,
  );
  const isForged = (row: TombstoneRow) =>
    row.vouched === 0 && [burst, ...takenBack].some((one) => isOfBurst(row, one));
  const full = new Set<number>();
  let restored = 0;
  for await (const evictions of evictionsSince(db, burst)) {
    for (const listId of new Set(evictions.map((one) => one.listId))) {
      if (full.has(listId)) continue;
      const ofList = evictions.filter((one) => one.listId === listId);
      // Counted anew for each slice, since people go on leaving meanwhile.
      let room = await roomIn(db, listId);
      for (let i = 0; i < ofList.length && room > 0; i += rowsATransaction) {
        const slice = ofList.slice(i, i + rowsATransaction);
        const done = await retrying(db, timeoutMs, () =>
          db.transaction((trx) =>
            restoreRows(trx, burst, slice, { listId, room, isForged, actor, at: now() }),
          ),
        );
        restored += done;
        room -= done;
      }
      if (room <= 0) full.add(listId);
    }
  }
  return restored;
}

/** The newest first, by slices of the account's history. */
async function* evictionsSince(db: Db, { accountId, startedAt }: Burst): AsyncGenerator<Eviction[]> {
  for (let last: HistoryRow | undefined; ;) {
    const rows: HistoryRow[] = await db(db.raw(`history ${engineOf(db).byIndex('history_account')}`))
      .where({ account_id: accountId })
      .where('at', '>=', startedAt)
      .modify((query) => {
        if (last === undefined) return;
        const { at, id } = last;
        void query
          .where('at', '<=', at)
          .where((rest) => void rest.where('at', '<', at).orWhere('id', '<', id));
      })
      .orderBy([
        { column: 'at', order: 'desc' },
        { column: 'id', order: 'desc' },
      ])
      .limit(sliceRows)
      .select('id', 'at', 'list_id', 'action', 'subject', 'details');
    yield rows.flatMap(({ action, list_id, subject, details, at }) => {
      if (action !== evicted || list_id === null || subject === null) return [];
      const { tag } = JSON.parse(details) as { tag: string };
      return [{ listId: list_id, key: subject, tag, at }];
    });
    last = rows.at(-1);
    if (rows.length < sliceRows) return;
  }
}

/** How many entries a list can take before its cap makes others leave. */
export async function roomIn(db: Db, listId: number): Promise<number> {
  const list = await db<{ id: number; cap: number | null }>('lists').where({ id: listId }).first('cap');
  if (list === undefined) return 0;
  if (list.cap === null) return Infinity;
  // In one statement, since rows that are numbered between two would be counted twice, or not at all.
  const result: unknown = await db.raw(
    `SELECT p.waiting, p.more,
       COALESCE((SELECT addresses + md5_only + sha256_only FROM list_counts WHERE list_id = ?), 0) AS held
     FROM (SELECT COUNT(*) AS waiting, COALESCE(SUM(CASE WHEN u.removed_at IS NULL AND u.counted = 0 THEN 1
         WHEN u.removed_at IS NOT NULL AND u.counted IN (1, 2, 3) THEN -1 ELSE 0 END), 0) AS more
       FROM (SELECT removed_at, counted FROM opt_outs ${engineOf(db).byIndex('opt_outs_feed')}
         WHERE list_id = ? AND feed_number IS NULL LIMIT ?) AS u) AS p`,
    [listId, listId, mostPending + 1],
  );
  const [counts] = rowsOf<Record<'waiting' | 'more' | 'held', number | string>>(db, result);
  if (Number(counts?.waiting) > mostPending) {
    throw new Unavailable('too many changes wait for their feed numbers');
  }
  return list.cap - Number(counts?.held) - Number(counts?.more);
}

interface Restoring {
  readonly listId: number;
  readonly room: number;
  readonly isForged: (row: TombstoneRow) => boolean;
  readonly actor: string;
  readonly at: number;
}

/** @returns how many rows suppress again. */
async function restoreRows(
  trx: Db,
  burst: Burst,
  evictions: readonly Eviction[],
  { listId, room, isForged, actor, at }: Restoring,
): Promise<number> {
  const byKey = () => trx(trx.raw(`opt_outs ${engineOf(trx).byIndex(null)}`)).where({ list_id: listId });
  const removed: TombstoneRow[] = await byKey()
    .whereIn('address_key', [...new Map(evictions.map(({ key }) => [key.toString('hex'), key])).values()])
    .whereNotNull('removed_at')
    .orderBy(['address_key', 'tag'])
    .forUpdate()
    .select('address_key', 'tag', 'source', 'recorded_at', 'ip', 'vouched', 'removed_at', 'expires_at');
  // Only where the removal is still the one that the cap left.
  const tombstones = new Map(removed.map((row) => [nameOf(row.address_key, row.tag, row.removed_at), row]));
  const coming = evictions
    .flatMap((one) => tombstones.get(nameOf(one.key, Buffer.from(one.tag), one.at)) ?? [])
    .filter((row) => (row.expires_at === null || row.expires_at > at) && !isForged(row))
    .slice(0, room);
  if (coming.length === 0) return 0;
  const alike = new Map<string, TombstoneRow[]>();
  for (const row of coming) {
    const name = `${row.tag.toString('hex')} ${row.removed_at}`;
    alike.set(name, [...(alike.get(name) ?? []), row]);
  }
  for (const rows of alike.values()) {
    await byKey()
      .whereIn(
        'address_key',
        rows.map((row) => row.address_key),
      )
      .where({ tag: rows[0]?.tag, removed_at: rows[0]?.removed_at })
      .update({ removed_at: null, feed_number: null });
  }
  await noteChanges(
    trx,
    coming.map(({ address_key }) => ({
      ...{ accountId: burst.accountId, listId, actor, action: 'opt-out.restored' },
      ...{ subject: address_key, details: { burst: burst.id } },
    })),
  );
  return coming.length;
}

function nameOf(key: Buffer, tag: Buffer, removedAt: number): string {
  return `${key.toString('hex')} ${tag.toString('hex')} ${removedAt}`;
}
