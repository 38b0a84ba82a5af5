import type { Db } from '../db/connect.js';
import { takeBackMs } from './restore-removal.js';
import type { Retention } from './retention.js';

interface LogRow {
  readonly id: number;
  readonly at: number;
}

/** Rows of each table a call. */
const rowsAtOnce = 500;

/**
 * Takes the IP addresses off old lines of the access log, and deletes what is older than history is kept.
 * Ids rise with time, or nearly: what a line that is still young hides is met once that one is old as well.
 *
 * @returns whether there may be more to do at once.
 */
export async function forgetOldLogs(db: Db, at: number, { ipMs, historyMs }: Retention): Promise<boolean> {
  let isMore = await forgetDownloadIps(db, at - ipMs);
  if (historyMs === null) return isMore;
  for (const [table, keptMs] of [
    ['downloads', historyMs],
    ['history', historyMs],
    // What can be taken back is not forgotten.
    ['bulk_removals', Math.max(historyMs, 2 * takeBackMs)],
  ] as const) {
    const rows = await db<LogRow>(table).orderBy('id').limit(rowsAtOnce).select('id', 'at');
    const old = rows.filter((row) => row.at < at - keptMs).map(({ id }) => id);
    if (old.length > 0) await db(table).whereIn('id', old).delete();
    if (old.length === rowsAtOnce) isMore = true;
  }
  return isMore;
}

/** The last line of the access log that has lost its IP address, as `installation` names it. */
const placeName = 'downloads-without-ip';

async function forgetDownloadIps(db: Db, before: number): Promise<boolean> {
  const place = await db<{ name: string; value: string }>('installation').where({ name: placeName }).first();
  const rows = await db<LogRow>('downloads')
    .where('id', '>', Number(place?.value ?? 0))
    .orderBy('id')
    .limit(rowsAtOnce)
    .select('id', 'at');
  const young = rows.findIndex((row) => row.at >= before);
  const old = young === -1 ? rows : rows.slice(0, young);
  const last = old.at(-1);
  if (last === undefined) return false;
  await db('downloads')
    .whereIn(
      'id',
      old.map(({ id }) => id),
    )
    .update({ ip: '' });
  await db('installation')
    .insert({ name: placeName, value: String(last.id) })
    .onConflict('name')
    .merge();
  return old.length === rowsAtOnce;
}
