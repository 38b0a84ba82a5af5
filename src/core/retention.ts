import { engineOf, type Db } from '../db/connect.js';
import { behind } from './audit-slices.js';
import { eraseImported } from './erasure.js';
import { currentPass, inNextList, keepPass, type Pass } from './passes.js';
import { purgeTombstones, type Tombstone } from './purge.js';
import { takeBackMs } from './restore-removal.js';

/** How long what is kept for a time alone stays: milliseconds. */
export interface Retention {
  /** The IP addresses of opt-outs and downloads. */
  readonly ipMs: number;
  /** Removed opt-outs, and so how old a cursor may become. */
  readonly tombstonesMs: number;
  /** The history and the access logs; null: for ever. */
  readonly historyMs: number | null;
}

interface RetainedRow {
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly recorded_at: number;
  readonly removed_at: number | null;
  readonly removal_id: number | null;
  readonly feed_number: number | null;
  readonly has_ip: number;
  /** The address, where an import brought it. */
  readonly imported: Buffer | null;
}

const name = 'retention';
const betweenPassesMs = 24 * 3_600_000;
/** Where lists are short: so many of them a call, each being a query or two. */
const listsAtOnce = 20;
/** How long the taking back of a removal may take. */
const restoringMs = 24 * 3_600_000;

/**
 * Goes on with the pass through all opt-outs, which begins anew each day: takes the IP addresses off those that
 * are old enough, deletes old tombstones, and erases what an import has brought of erased people. By slices of
 * the primary key, with the place remembered, since the hot table has no index on times. What a process that was killed has not noted is done once more.
 *
 * @param rowsAtOnce rows a call: some milliseconds on both engines.
 * @returns whether the pass goes on; false where it has come to its end, or the next one is not due.
 */
export async function retainOptOuts(
  db: Db,
  at: number,
  retention: Retention,
  rowsAtOnce = engineOf(db).name === 'sqlite' ? 150 : 1000,
): Promise<boolean> {
  let pass = await currentPass(db, name, at, betweenPassesMs);
  if (pass === null) return false;
  let left = rowsAtOnce;
  for (let lists = 0; lists < listsAtOnce && left > 0 && pass.ended_at === null; lists++) {
    const rows = await rowsBehind(db, pass, left);
    await forgetIps(db, pass.list_id, rows, at - retention.ipMs);
    const tombstones = rows.filter((row) => isTombstone(row, at));
    await purgeTombstones(db, pass.list_id, tombstones, at - retention.tombstonesMs);
    await eraseImported(
      db,
      pass.list_id,
      rows.flatMap(({ imported }) => (imported === null ? [] : [imported.toString()])),
    );
    const last = rows.at(-1);
    const isCut = last !== undefined && rows.length === left;
    pass = isCut ? { ...pass, address_key: last.address_key, tag: last.tag } : await inNextList(db, pass, at);
    left -= rows.length;
  }
  await keepPass(db, pass);
  return pass.ended_at === null;
}

/** What a bulk removal took may still be taken back, or be coming back. */
function isTombstone(row: RetainedRow, at: number): row is RetainedRow & Tombstone {
  if (row.removed_at === null || row.feed_number === null) return false;
  return row.removal_id === null || row.removed_at < at - takeBackMs - restoringMs;
}

function rowsBehind(db: Db, pass: Pass, limit: number): Promise<RetainedRow[]> {
  return db(db.raw(`opt_outs AS o ${engineOf(db).byIndex(null)}`))
    .where('o.list_id', pass.list_id)
    .modify(behind, 'o', pass)
    .orderBy(['o.address_key', 'o.tag'])
    .limit(limit)
    .select('address_key', 'tag', 'recorded_at', 'removed_at', 'removal_id', 'feed_number')
    .select(
      db.raw(
        "CASE WHEN ip IS NULL THEN 0 ELSE 1 END AS has_ip, CASE WHEN source = 'import' THEN address END AS imported",
      ),
    ) as Promise<RetainedRow[]>;
}

/** Neither counts nor the feed have to do with it. A row that was recorded anew meanwhile keeps its address. */
async function forgetIps(
  db: Db,
  listId: number,
  rows: readonly RetainedRow[],
  before: number,
): Promise<void> {
  const old = rows.filter((row) => row.has_ip === 1 && row.recorded_at < before);
  if (old.length === 0) return;
  // By key, and not from the first one to the last: for that, SQLite may go through the whole list.
  const keys = [...new Set(old.map((row) => row.address_key))];
  await db(db.raw(`opt_outs ${engineOf(db).byIndex(null)}`))
    .where({ list_id: listId })
    .whereIn('address_key', keys)
    .whereNotNull('ip')
    .where('recorded_at', '<', before)
    .update({ ip: null });
}
