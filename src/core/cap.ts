import { engineOf, rowsOf, type Db } from '../db/connect.js';
import { evicted } from './evicted.js';
import { numberBefore, type ListCounts } from './feed.js';
import { noteChanges } from './history.js';

/**
 * A list's cap: the oldest entries leave as new ones come, as removals. Oldest by feed number; whoever has
 * opted out again since goes to the end instead, since what was just acknowledged must not be lost. Erased
 * persons neither count nor leave: their entries are all that keeps them suppressed.
 */

/** Entries, one a tag. */
export const smallestCap = 1000;
export const largestCap = 100_000_000;

/** How many entries have to leave a list by its cap. */
export function countOverCap(counts: Omit<ListCounts, 'erased' | 'last_number'>, cap: number | null): number {
  if (cap === null) return 0;
  return Math.max(0, counts.addresses + counts.md5_only + counts.sha256_only - cap);
}

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

interface CappedList {
  readonly id: number;
  readonly account_id: number;
  readonly evicted_number: number;
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

interface NumberedRow {
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly sha256: Buffer | null;
  readonly recorded_at: number;
  readonly last_at: number;
  readonly repeats: number;
  readonly feed_number: number;
  readonly counted: number;
}

/** What becomes of a row that the cap has come to. */
type Fate = 'stays' | 'leaves' | 'goes to the end';

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

/** Rolls a slice back: a row that it read has changed since. */
const changedMeanwhile = new Error('a row changed while it was leaving by the cap');

async function moveOn(
  trx: Db,
  list: CappedList,
  rows: readonly NumberedRow[],
  fates: readonly Fate[],
  leaving: number,
  at: number,
): Promise<number> {
  // What numbering locks first, too: of two keepers one waits here, and finds the other's counts.
  await trx('feed').where({ id: 1 }).forUpdate().first('id');
  const counts = await trx<ListCounts & { list_id: number; evicted_number: number }>('list_counts')
    .where({ list_id: list.id })
    .first();
  const standing = await trx<{ id: number; cap: number | null }>('lists').where({ id: list.id }).first('cap');
  if (counts === undefined || counts.evicted_number !== list.evicted_number) return 0;
  const dealtWith = howMany(fates, countOverCap(counts, standing?.cap ?? null) - leaving);
  if (dealtWith === 0) return 0;
  const moving = rows
    .slice(0, dealtWith)
    .map((row, i) => ({ ...row, isLeaving: fates[i] === 'leaves' }))
    .filter((_, i) => fates[i] !== 'stays')
    .sort((a, b) => Buffer.compare(a.address_key, b.address_key) || Buffer.compare(a.tag, b.tag));
  const gone = moving.filter((row) => row.isLeaving);

  if (moving.length > 0 && (await writeMoves(trx, list.id, moving, at)) !== moving.length) {
    throw changedMeanwhile;
  }
  await trx('list_counts')
    .where({ list_id: list.id })
    .update({
      ...Object.fromEntries(
        (['addresses', 'md5_only', 'sha256_only'] as const).map((kind, i) => {
          const count = gone.filter(({ counted }) => counted === i + 1).length;
          return [kind, trx.raw('?? - ?', [kind, count])];
        }),
      ),
      evicted_number: rows[dealtWith - 1]?.feed_number ?? list.evicted_number,
    });
  if (gone.length === 0) return dealtWith;
  const change = { accountId: list.account_id, listId: list.id, actor: 'keeper', action: evicted, at };
  await noteChanges(
    trx,
    gone.map(({ address_key, tag }) => ({
      ...change,
      subject: address_key,
      details: { tag: tag.toString() },
    })),
  );
  return dealtWith;
}

/** All rows up to the last one that has to leave. */
function howMany(fates: readonly Fate[], excess: number): number {
  let left = excess;
  let count = 0;
  for (; count < fates.length && left > 0; count++) if (fates[count] === 'leaves') left--;
  return count;
}

/**
 * Only rows that are as they were read: one that was recorded, removed or erased meanwhile is somebody else's.
 * The count goes with the row, not with its next number, so that the list is never taken for fuller than it is.
 *
 * @returns how many rows were written.
 */
async function writeMoves(
  trx: Db,
  listId: number,
  rows: readonly (NumberedRow & { isLeaving: boolean })[],
  at: number,
): Promise<number> {
  const { name, byIndex } = engineOf(trx);
  const json = JSON.stringify(
    rows.map(({ address_key, tag, feed_number, last_at, repeats, counted, isLeaving }) => {
      const becomes = isLeaving ? [at, 0] : [null, counted];
      const key = [address_key.toString('hex'), tag.toString('hex')];
      return [...key, feed_number, last_at, repeats, counted, ...becomes, listId];
    }),
  );
  // The + keeps SQLite from finding the rows by the number that they lose; where the list were given by itself,
  // it would go through all of it.
  const isAsRead = `+o.feed_number = j.number AND o.removed_at IS NULL AND o.last_at = j.last_at
    AND o.repeats = j.repeats AND o.counted = j.counted`;
  if (name === 'sqlite') {
    const result: { changes: number } = await trx.raw(
      `UPDATE opt_outs AS o SET removed_at = j.removed_at, feed_number = NULL, counted = j.counts_as
       FROM (SELECT unhex(value ->> 0) AS address_key, unhex(value ->> 1) AS tag, value ->> 2 AS number,
               value ->> 3 AS last_at, value ->> 4 AS repeats, value ->> 5 AS counted, value ->> 6 AS removed_at,
               value ->> 7 AS counts_as, value ->> 8 AS list_id FROM json_each(?)) AS j
       WHERE o.list_id = j.list_id AND o.address_key = j.address_key AND o.tag = j.tag AND ${isAsRead}`,
      [json],
    );
    return result.changes;
  }
  const [result] = (await trx.raw(
    `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (address_key VARCHAR(32) PATH '$[0]', tag VARCHAR(256) PATH '$[1]',
       number BIGINT PATH '$[2]', last_at BIGINT PATH '$[3]', repeats INT PATH '$[4]', counted INT PATH '$[5]',
       removed_at BIGINT PATH '$[6]', counts_as INT PATH '$[7]',
       list_id INT UNSIGNED PATH '$[8]')) AS j
     STRAIGHT_JOIN opt_outs AS o ${byIndex(null)}
       ON o.list_id = j.list_id AND o.address_key = UNHEX(j.address_key) AND o.tag = UNHEX(j.tag)
     SET o.removed_at = j.removed_at, o.feed_number = NULL, o.counted = j.counts_as
     WHERE ${isAsRead}`,
    [json],
  )) as [{ affectedRows: number }];
  return result.affectedRows;
}
