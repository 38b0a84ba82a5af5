import { engineOf, rowsOf, type Db } from '../db/connect.js';
import { changedMeanwhile, moveOn, type CappedList, type Fate, type NumberedRow } from './cap-moves.js';
import { numberBefore } from './feed.js';

/**
 * A list's cap: the oldest entries leave as new ones come, as removals. Oldest by feed number; whoever has
 * opted out again since goes to the end instead, since what was just acknowledged must not be lost. Erased
 * persons neither count nor leave: their entries are all that keeps them suppressed.
 */

/** Entries, one a tag. */
export const smallestCap = 1000;
export const largestCap = 100_000_000;

/** Lists a call; only the first of them that gets on is worked at. */
const listsACall = 10;

/** What one transaction takes, and SQLite's one connection is held for. */
const rowsASlice = 200;

/** With more of a list's rows unnumbered, what they change in its count cannot be told at once. */
const mostPending = 1000;

/**
 * Takes a slice of the oldest entries off a list that holds more than its cap.
 *
 * @returns whether there is more to do at once.
 */
export async function evictOverCap(db: Db, at = Date.now(), limit = rowsASlice): Promise<boolean> {
  for (const list of await listsOverCap(db)) {
    const moved = await evictSlice(db, list, at, limit);
    if (moved > 0) return true;
  }
  return false;
}

async function listsOverCap(db: Db): Promise<CappedList[]> {
  const { straightJoin, byIndex } = engineOf(db);
  const result: unknown = await db.raw(
    `SELECT l.id, l.account_id, c.evicted_number
     FROM lists AS l ${byIndex('lists_cap')} ${straightJoin} list_counts AS c ON c.list_id = l.id
     WHERE l.cap > 0 AND c.addresses + c.md5_only + c.sha256_only > l.cap AND c.last_number > c.evicted_number
     LIMIT ?`,
    [listsACall],
  );
  return rowsOf<CappedList>(db, result);
}

/** @returns how many rows were dealt with; 0 also where one of them changed meanwhile: the next call sees it again. */
async function evictSlice(db: Db, list: CappedList, at: number, limit: number): Promise<number> {
  // Before the counts are read: what is numbered in between is then taken off twice, and too few leave.
  const leaving = await countLeaving(db, list.id);
  if (leaving === null) return 0;
  const rows: NumberedRow[] = await db('opt_outs')
    .where({ list_id: list.id })
    .where('feed_number', '>', list.evicted_number)
    .orderBy('feed_number')
    .limit(limit)
    .select('address_key', 'tag', 'sha256', 'recorded_at', 'last_at', 'repeats', 'feed_number', 'counted');
  const fates = await fatesOf(db, list, rows);
  try {
    return await db.transaction((trx) => moveOn(trx, list, rows, fates, leaving, at));
  } catch (error) {
    if (error === changedMeanwhile) return 0;
    throw error;
  }
}

/**
 * Entries that are counted and have been removed since: how much the next numbering takes off the count.
 *
 * @returns null where too much waits to tell.
 */
async function countLeaving(db: Db, listId: number): Promise<number | null> {
  const pending: { removed_at: number | null; counted: number }[] = await db(
    db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_feed')}`),
  )
    .where({ list_id: listId })
    .whereNull('feed_number')
    .limit(mostPending + 1)
    .select('removed_at', 'counted');
  if (pending.length > mostPending) return null;
  return pending.filter((row) => row.removed_at !== null && row.counted > 0).length;
}

async function fatesOf(db: Db, list: CappedList, rows: readonly NumberedRow[]): Promise<Fate[]> {
  const hashes = rows.flatMap(({ counted, sha256 }) => (counted === sha256Only && sha256 ? [sha256] : []));
  const erased = await findErasedHashes(db, list.account_id, hashes);
  const fates: Fate[] = [];
  for (const { counted, sha256, recorded_at, last_at, repeats, feed_number } of rows) {
    const isErased = counted === erasedPerson || (sha256 !== null && erased.has(sha256.toString('hex')));
    // It had its number already when it was recorded for the last time: by an import, too, which is no repeat.
    const isRepeated = repeats > 0 || last_at > recorded_at;
    const isAgain = isRepeated && (await numberBefore(db, last_at)) >= feed_number;
    if (counted === 0 || isErased) fates.push('stays');
    else fates.push(isAgain ? 'goes to the end' : 'leaves');
  }
  return fates;
}

/** `counted` of such entries: see numbering.ts. */
const sha256Only = 3;
const erasedPerson = 4;

/** Of a person who was known by the SHA-256 alone, erasing changed nothing. */
async function findErasedHashes(db: Db, accountId: number, hashes: readonly Buffer[]): Promise<Set<string>> {
  if (hashes.length === 0) return new Set();
  const rows = await db<{ account_id: number; sha256: Buffer }>('erased_people')
    .where({ account_id: accountId })
    .whereIn('sha256', hashes)
    .select('sha256');
  return new Set(rows.map((row) => row.sha256.toString('hex')));
}
