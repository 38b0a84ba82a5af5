import { engineOf, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { numberBefore } from './feed.js';
import type { OptOutRecord } from './opt-outs.js';
import { asItCounts, removalsUnderWay } from './removals-under-way.js';

export interface Between {
  /** When they left: from then on, and before then; UTC milliseconds. */
  readonly from: number;
  readonly to: number;
  readonly at?: number;
}

/** Few milliseconds of SQLite's one connection; elsewhere nobody else waits for it. */
const sliceRowsOf = (db: Db) => (engineOf(db).name === 'sqlite' ? 250 : 1000);
/** Rows that may wait for their number meanwhile; far more than the keeper ever leaves. */
const mostPending = 100_000;

/**
 * A list's opt-outs of a span of time that suppress, by slices, in the order in which the feed carries them.
 * No index tells when somebody left: all that was recorded since is gone through, since nobody leaves after
 * we learn of it. A slice may be empty; entries of which only a hash is known are left out.
 *
 * @throws Unavailable when the keeper is so far behind that this cannot be answered in flat memory.
 */
export async function* optOutsBetween(
  db: Db,
  listId: number,
  between: Between,
): AsyncGenerator<OptOutRecord[]> {
  const seen = new Set<string>();
  // Read first: what is carried out meanwhile is then seen in its rows.
  const underWay = await removalsUnderWay(db, [listId]);
  const fresh = (rows: readonly OptOutRecord[]) =>
    rows.map((row) => asItCounts(row, underWay)).filter((row) => stands(row, between));
  let after = await numberBefore(db, between.from);
  for await (const rows of numberedFrom(db, listId, after)) {
    after = rows.at(-1)?.feed_number ?? after;
    yield fresh(rows);
  }
  const byFeed = db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_feed')}`);
  const pending = (await db(byFeed)
    .where({ list_id: listId })
    .whereNull('feed_number')
    .limit(mostPending + 1)
    .select('*')) as OptOutRecord[];
  if (pending.length > mostPending) throw new Unavailable('too many changes wait for their feed numbers');
  for (const row of pending) seen.add(keyOf(row));
  yield fresh(pending);
  // What got its number since the first part was read.
  for await (const rows of numberedFrom(db, listId, after)) {
    yield fresh(rows).filter((row) => !seen.has(keyOf(row)));
  }
}

async function* numberedFrom(db: Db, listId: number, start: number): AsyncGenerator<OptOutRecord[]> {
  const sliceRows = sliceRowsOf(db);
  for (let after = start; ;) {
    const rows = await db<OptOutRecord>('opt_outs')
      .where({ list_id: listId })
      .where('feed_number', '>', after)
      .orderBy('feed_number')
      .limit(sliceRows)
      .select('*');
    if (rows.length > 0) yield rows;
    if (rows.length < sliceRows) return;
    after = rows.at(-1)?.feed_number ?? after;
    // SQLite answers without ever leaving this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function stands(row: OptOutRecord, { from, to, at = Date.now() }: Between): boolean {
  if (row.address === null || row.removed_at !== null) return false;
  if (row.expires_at !== null && row.expires_at <= at) return false;
  return row.created_at >= from && row.created_at < to;
}

function keyOf({ address_key, tag }: OptOutRecord): string {
  return `${address_key.toString('hex')} ${tag.toString('hex')}`;
}
