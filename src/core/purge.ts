import type { Db } from '../db/connect.js';

/** A removed opt-out whose removal has its feed number. */
export interface Tombstone {
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly removed_at: number;
  readonly feed_number: number;
}

/** What one transaction takes: some milliseconds on SQLite, where the service waits for it. */
const rowsAtOnce = 100;

/**
 * Deletes removals that are older than `before`, and notes in the same transaction that the feed is no longer
 * whole below them: cursors from there are answered 410 from then on, since they would miss the removal. Of
 * what was numbered after that time nothing goes, whenever its removal is said to have been, so a younger
 * cursor is never refused for it.
 *
 * @param rows by key, as they were read a moment ago; what has changed meanwhile stays.
 * @returns how many were deleted.
 */
export async function purgeTombstones(
  db: Db,
  listId: number,
  rows: readonly Tombstone[],
  before: number,
): Promise<number> {
  const due = rows.filter((row) => row.removed_at < before);
  if (due.length === 0) return 0;
  const numberThen = await numberAt(db, before);
  const old = due.filter((row) => row.feed_number <= numberThen);
  let purged = 0;
  for (let i = 0; i < old.length; i += rowsAtOnce) {
    const keys = old.slice(i, i + rowsAtOnce).map((row) => row.address_key);
    purged += await db.transaction((trx) => purge(trx, listId, keys, { before, numberThen }));
  }
  return purged;
}

/** The newest feed number that had certainly been given at a time; 0 where none is known. */
async function numberAt(db: Db, at: number): Promise<number> {
  const mark = await db<{ at: number; number: number }>('feed_marks')
    .where('at', '<=', at)
    .orderBy('at', 'desc')
    .first();
  return mark?.number ?? 0;
}

async function purge(
  trx: Db,
  listId: number,
  keys: readonly Buffer[],
  { before, numberThen }: { before: number; numberThen: number },
): Promise<number> {
  // As the numbering begins: nothing gets its number until this is over.
  const feed = await trx<{ id: number; purged_number: number }>('feed')
    .where({ id: 1 })
    .forUpdate()
    .first('purged_number');
  if (feed === undefined) throw new Error('the feed has no row: run signoff migrate');
  // By their keys: the sum keeps SQLite from going through all lower numbers of the list instead.
  const tombstones = () =>
    trx<Tombstone & { list_id: number }>('opt_outs')
      .where({ list_id: listId })
      .whereIn('address_key', keys)
      .where('removed_at', '<', before)
      .whereRaw('feed_number + 0 <= ?', [numberThen]);
  const rows = await tombstones()
    .orderBy(['address_key', 'tag'])
    .forUpdate()
    .select('address_key', 'tag', 'feed_number');
  if (rows.length === 0) return 0;

  const highest = Math.max(feed.purged_number, ...rows.map((row) => row.feed_number));
  await trx('feed').where({ id: 1 }).update({ purged_number: highest });
  // One that was removed before its time had come is still noted to expire.
  for (const { address_key, tag } of rows) {
    await trx('expiries').where({ list_id: listId, address_key, tag }).delete();
  }
  return tombstones().delete();
}
