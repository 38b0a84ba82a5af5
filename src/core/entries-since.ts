import { engineOf, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { entryOf, hex, mostTelling, type Entry } from './entries.js';
import {
  columns,
  isLive,
  liveRows,
  numberedRows,
  onlyTag,
  sliceRows,
  type EntriesOptions,
  type EntryRow,
} from './entry-rows.js';
import { numberBefore } from './feed.js';
import { LIVE } from './opt-outs.js';

/** Rows that may wait for their number while a list is read by date; far more than the keeper ever leaves. */
const mostPending = 100_000;

/**
 * What was recorded at or after a date and still suppresses, each address once. A slice may be empty.
 *
 * Read in the feed's order; then what has committed but has no number yet; then what was numbered in
 * between. So a row that stands throughout is met, also where it loses its number meanwhile and gets
 * another. What an earlier place of this order has given is left out later: never the other way round,
 * since the later place could be gone when it is reached.
 *
 * @param listIds the lists that count: one, or a list and the global one.
 * @throws Unavailable when the keeper is so far behind that this cannot be answered in flat memory.
 */
export async function* readEntriesSince(
  db: Db,
  listIds: readonly number[],
  since: number,
  options: EntriesOptions,
): AsyncGenerator<Entry[]> {
  const start = await numberBefore(db, since);
  const given = new Set<string>();
  const end = yield* numberedSince(db, listIds, { since, start, after: start, given }, options);

  const pending: EntryRow[] = await db(db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_feed')}`))
    .whereIn('list_id', listIds)
    .whereNull('feed_number')
    .where('recorded_at', '>=', since)
    .whereRaw(LIVE, [options.at])
    .modify(onlyTag, options.tag)
    .limit(mostPending + 1)
    .select(...columns);
  if (pending.length > mostPending) throw new Unavailable('too many changes wait for their feed numbers');
  for (let i = 0; i < pending.length; i += sliceRows) {
    const slice = pending.slice(i, i + sliceRows);
    const standing = await standingOf(db, listIds, { since, start }, slice, options);
    yield slice.flatMap((row) => {
      const key = hex(row.address_key);
      const { lowest, others } = standing.get(key) ?? alone;
      if (given.has(key) || lowest <= end) return [];
      given.add(key);
      return [entryOf(mostTelling(row, others), true)];
    });
  }
  yield* numberedSince(db, listIds, { since, start, after: end, given }, options);
}

/** @returns the last feed number that was looked at. */
async function* numberedSince(
  db: Db,
  listIds: readonly number[],
  { since, start, after, given }: { since: number; start: number; after: number; given: Set<string> },
  options: EntriesOptions,
): AsyncGenerator<Entry[], number> {
  let limits: readonly number[] | undefined;
  for (;;) {
    const slice = await numberedRows(db, listIds, { after, to: Number.MAX_SAFE_INTEGER }, limits);
    limits = slice.limits;
    const last = slice.rows.at(-1)?.feed_number;
    if (last == null) return after;
    after = last;
    const rows = slice.rows.filter((row) => row.recorded_at >= since && isLive(row, options));
    const standing = await standingOf(db, listIds, { since, start }, rows, options);
    yield rows.flatMap((row) => {
      const key = hex(row.address_key);
      const { lowest, others } = standing.get(key) ?? alone;
      const isFirst = lowest >= (row.feed_number ?? 0) && !given.has(key);
      return isFirst ? [entryOf(mostTelling(row, others), true)] : [];
    });
    if (slice.isLast) return after;
  }
}

interface Standing {
  /** The lowest feed number that counts since the date. */
  lowest: number;
  /** All that suppresses the address. */
  others: EntryRow[];
}

const alone: Standing = { lowest: Infinity, others: [] };

async function standingOf(
  db: Db,
  listIds: readonly number[],
  { since, start }: { since: number; start: number },
  rows: readonly EntryRow[],
  options: EntriesOptions,
): Promise<Map<string, Standing>> {
  const keys = rows.map((row) => row.address_key);
  const standing = new Map<string, Standing>();
  for (const row of await liveRows(db, listIds, keys, options)) {
    const key = hex(row.address_key);
    const { lowest, others } = standing.get(key) ?? alone;
    const counts = row.feed_number !== null && row.feed_number > start && row.recorded_at >= since;
    const number = counts ? (row.feed_number ?? Infinity) : Infinity;
    standing.set(key, { lowest: Math.min(lowest, number), others: [...others, row] });
  }
  return standing;
}
