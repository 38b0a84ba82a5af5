import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { engineOf, retrying, type Db } from '../db/connect.js';
import type { Engine } from '../db/engine.js';
import type { BulkRemovalRow } from './bulk-removals.js';
import { LIVE } from './opt-outs.js';

/** How bulk removals, and their taking back, are carried out: by slices of the key, by whoever comes first. */

/** Rows of a transaction: few milliseconds of SQLite's one connection. */
const rowsASlice: Readonly<Record<Engine['name'], number>> = { sqlite: 200, mysql: 1000 };

/** For how long rows that nothing has to be done with are passed over in one call. */
const passingMs = 10;

/** Lists that the keeper turns to; the others wait for one of them to be done. */
const listsAtOnce = 5;

/**
 * A slice of a removal under way: the keeper calls it. Those of one list come one after the other, in the order
 * in which they were begun.
 *
 * @param limit rows that a slice reads, two at least.
 * @returns whether there is more to do.
 */
export async function carryOnRemovals(
  db: Db,
  now: number,
  limit = rowsASlice[engineOf(db).name],
): Promise<boolean> {
  const underWay = await db<BulkRemovalRow>('bulk_removals')
    .whereIn('state', ['removing', 'restoring'])
    .orderBy('id')
    .limit(1000);
  const firsts = [...new Map(underWay.toReversed().map((row) => [row.list_id, row])).values()]
    .sort((a, b) => a.id - b.id)
    .slice(0, listsAtOnce);
  // Whoever removes millions does not keep the others waiting.
  const one = firsts[Math.floor(Math.random() * firsts.length)];
  if (one === undefined) return false;
  await carryOn(db, one, now, limit);
  return true;
}

/** Carries out what is under way of a list, up to a removal, for some time: it may be over by then. */
export async function carryOutFor(
  db: Db,
  { id, list_id }: Pick<BulkRemovalRow, 'id' | 'list_id'>,
  { ms, now = Date.now() }: { ms: number; now?: number },
): Promise<void> {
  const deadline = performance.now() + ms;
  const limit = rowsASlice[engineOf(db).name];
  while (performance.now() < deadline) {
    const first = await db<BulkRemovalRow>('bulk_removals')
      .where({ list_id })
      .whereIn('state', ['removing', 'restoring'])
      .orderBy('id')
      .first();
    if (first === undefined || first.id > id) return;
    const startedAt = performance.now();
    await retrying(db, ms, () => carryOn(db, first, now, limit));
    // On SQLite, the others wait meanwhile: they get as much time.
    if (engineOf(db).name === 'sqlite') await pause(performance.now() - startedAt);
  }
}

interface SlicedRow {
  readonly address_key: Buffer;
  readonly last_at: number;
  readonly expires_at: number | null;
  readonly removed_at: number | null;
  readonly removal_id: number | null;
}

/**
 * Goes on behind a removal's position, to the end of the next slice that something has to be done with. Killed
 * anywhere, it is simply done again; of two who do it at once, one does nothing.
 */
async function carryOn(db: Db, removal: BulkRemovalRow, now: number, limit: number): Promise<void> {
  const deadline = performance.now() + passingMs;
  for (let position = removal.position; ;) {
    const rows = await rowsBehind(db, removal.list_id, position, limit);
    const isLast = rows.length < limit;
    const { concerned, last } = sliceOf(rows, isLast, (row) => isConcerned(row, removal, now));
    position = last ?? position;
    if (concerned.length > 0 || isLast || performance.now() > deadline) {
      await db.transaction((trx) => carryOut(trx, removal, { keys: concerned, position, isLast, now }));
      return;
    }
    await nextTurn();
  }
}

function rowsBehind(db: Db, listId: number, position: Buffer | null, limit: number): Promise<SlicedRow[]> {
  return db(db.raw(`opt_outs ${engineOf(db).byIndex(null)}`))
    .where({ list_id: listId })
    .modify((query) => {
      if (position !== null) void query.where('address_key', '>', position);
    })
    .orderBy(['address_key', 'tag'])
    .limit(limit)
    .select('address_key', 'last_at', 'expires_at', 'removed_at', 'removal_id') as Promise<SlicedRow[]>;
}

/**
 * The addresses of a slice that something has to be done with, and its last address. That may have more tags
 * behind the limit: it is left to the next slice, unless it is all there is.
 */
function sliceOf(
  rows: readonly SlicedRow[],
  isLast: boolean,
  isConcerned: (row: SlicedRow) => boolean,
): { concerned: Buffer[]; last: Buffer | undefined } {
  const end = rows.at(-1)?.address_key;
  const before = isLast || end === undefined ? rows : rows.filter((row) => !row.address_key.equals(end));
  if (before.length === 0 && end !== undefined) return { concerned: [end], last: end };
  const keys = new Map<string, Buffer>();
  for (const row of before) {
    if (isConcerned(row)) keys.set(row.address_key.toString('hex'), row.address_key);
  }
  return { concerned: [...keys.values()], last: before.at(-1)?.address_key };
}

function isConcerned(row: SlicedRow, { id, at, state }: BulkRemovalRow, now: number): boolean {
  const isStanding = (time: number) => row.expires_at === null || row.expires_at > time;
  return state === 'removing'
    ? row.removed_at === null && row.last_at < at && isStanding(at)
    : row.removal_id === id && row.removed_at === at && isStanding(now);
}

interface Slice {
  readonly keys: readonly Buffer[];
  readonly position: Buffer | null;
  readonly isLast: boolean;
  readonly now: number;
}

async function carryOut(trx: Db, removal: BulkRemovalRow, slice: Slice): Promise<void> {
  const { id, state } = removal;
  const isRemoving = state === 'removing';
  const end = { state: isRemoving ? 'removed' : 'restored', finished_at: slice.now };
  // Only from where it stood: whoever was here first has done this, and may have been taken back since.
  const moved = await trx('bulk_removals')
    .where({ id, state })
    .whereRaw(`position ${engineOf(trx).nullSafeEqual} ?`, [removal.position])
    .update({ position: slice.position, carried_at: slice.now, ...(slice.isLast ? end : {}) });
  if (moved === 0 || slice.keys.length === 0) return;
  const changed = await (isRemoving ? removeSlice : restoreSlice)(trx, removal, slice);
  const counter = isRemoving ? 'opt_outs' : 'restored';
  await trx('bulk_removals').where({ id }).increment(counter, changed);
}

/** What was recorded, or recorded again, since the removal was begun stays. */
function removeSlice(trx: Db, { id, list_id, at }: BulkRemovalRow, { keys }: Slice): Promise<number> {
  return byKey(trx, list_id, keys)
    .where('last_at', '<', at)
    .whereRaw(LIVE, [at])
    .update({ removed_at: at, removal_id: id, feed_number: null });
}

/** The removal's id stays with the row: it tells since when it has been waiting for its number. */
function restoreSlice(trx: Db, { id, list_id, at }: BulkRemovalRow, { keys, now }: Slice): Promise<number> {
  return byKey(trx, list_id, keys)
    .where({ removal_id: id, removed_at: at })
    .where((still) => void still.whereNull('expires_at').orWhere('expires_at', '>', now))
    .update({ removed_at: null, feed_number: null });
}

function byKey(trx: Db, listId: number, keys: readonly Buffer[]) {
  return trx(trx.raw(`opt_outs ${engineOf(trx).byIndex(null)}`))
    .where({ list_id: listId })
    .whereIn('address_key', keys);
}
