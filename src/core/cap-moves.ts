import { engineOf, type Db } from '../db/connect.js';
import { evicted } from './evicted.js';
import type { ListCounts } from './feed.js';
import { noteChanges } from './history.js';

/** How rows leave by the cap: cap.ts says which. */

/** How many entries have to leave a list by its cap. */
export function countOverCap(counts: Omit<ListCounts, 'erased' | 'last_number'>, cap: number | null): number {
  if (cap === null) return 0;
  return Math.max(0, counts.addresses + counts.md5_only + counts.sha256_only - cap);
}

/** A list with a cap, and the feed number up to which its rows have been dealt with. */
export interface CappedList {
  readonly id: number;
  readonly account_id: number;
  readonly evicted_number: number;
}

export interface NumberedRow {
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
export type Fate = 'stays' | 'leaves' | 'goes to the end';

/** Rolls a slice back: a row that it read has changed since. */
export const changedMeanwhile = new Error('a row changed while it was leaving by the cap');

/**
 * Lets rows leave a list in one transaction with its counts and the history, as far as it is still over its cap.
 *
 * @param rows the oldest of the list, and `fates` what becomes of each.
 * @param leaving entries that are still counted, and have been removed already.
 * @returns how many of the rows were dealt with.
 * @throws changedMeanwhile
 */
export async function moveOn(
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
