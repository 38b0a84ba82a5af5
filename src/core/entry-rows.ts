import type { Knex } from 'knex';
import type { Db } from '../db/connect.js';
import { EVERYTHING, LIVE } from './opt-outs.js';

/** The rows of one list, or of a list and the global one, as the readers of entries take them. */

export interface EntryRow {
  list_id: number;
  address_key: Buffer;
  tag: Buffer;
  address: Buffer | null;
  sha256: Buffer | null;
  recorded_at: number;
  removed_at: number | null;
  removal_id: number | null;
  expires_at: number | null;
  feed_number: number | null;
}

export const columns = [
  'list_id',
  'address_key',
  'tag',
  'address',
  'sha256',
  'recorded_at',
  'removed_at',
  'removal_id',
  'expires_at',
  'feed_number',
] as const;

export interface EntriesOptions {
  /** Counts what suppresses this tag: it, and opt-outs from everything. Without it, any tag counts. */
  readonly tag?: string | undefined;
  /** UTC milliseconds; expiries are held against it throughout. */
  readonly at: number;
}

/**
 * Rows a query: few milliseconds on SQLite, whose driver blocks the process meanwhile. What does not count
 * is left out here and not in SQL, where one query could go through a whole list for a rare tag. Each slice
 * goes on behind the last key, so no connection is held while a client is slow, and nothing is ever skipped
 * over by OFFSET. See docs/decisions/0002-downloads-are-read-in-slices.md.
 */
export const sliceRows = 1000;

export interface Slice {
  readonly rows: EntryRow[];
  /** Nothing follows; otherwise the last row's address may have more rows behind the limit. */
  readonly isLast: boolean;
  /** How many rows of each list the next slice had best ask for. */
  readonly limits: readonly number[];
}

/** The next rows behind a key, by key; those of one address stand together, whichever list they are of. */
export function rowsBehind(
  db: Db,
  listIds: readonly number[],
  after: Buffer,
  limits = evenly(listIds),
): Promise<Slice> {
  return sliceOf(
    db,
    listIds,
    limits,
    (query) => void query.where('address_key', '>', after).orderBy(['address_key', 'tag']),
    (a, b) => Buffer.compare(a.address_key, b.address_key),
  );
}

/** The next rows behind a feed number, in the feed's order. */
export function numberedRows(
  db: Db,
  listIds: readonly number[],
  { after, to }: { after: number; to: number },
  limits = evenly(listIds),
): Promise<Slice> {
  return sliceOf(
    db,
    listIds,
    limits,
    (query) =>
      void query.where('feed_number', '>', after).where('feed_number', '<=', to).orderBy('feed_number'),
    (a, b) => (a.feed_number ?? 0) - (b.feed_number ?? 0),
  );
}

/**
 * A slice of several lists ends where the first of them was cut off: what the others have beyond that is
 * read again with the next one, which asks each for its share of what this one used. So no slice reads
 * much more than its rows, however unlike the lists are, and little is read twice.
 */
async function sliceOf(
  db: Db,
  listIds: readonly number[],
  limits: readonly number[],
  narrow: (query: Knex.QueryBuilder) => void,
  compare: (a: EntryRow, b: EntryRow) => number,
): Promise<Slice> {
  const found = await ofEach(db, listIds, narrow, limits);
  if (listIds.length === 1) return { rows: found, isLast: found.length < sliceRows, limits };

  found.sort(compare);
  const [end] = listIds
    .map((id) => found.filter((row) => row.list_id === id))
    .flatMap((rows, i) => (rows.length < (limits[i] ?? 0) ? [] : rows.slice(-1)))
    .sort(compare);
  if (end === undefined) return { rows: found, isLast: true, limits };
  const rows = found.filter((row) => compare(row, end) <= 0);
  return { rows, isLast: false, limits: inProportion(listIds, rows) };
}

function evenly(listIds: readonly number[]): readonly number[] {
  return listIds.map(() => Math.ceil(sliceRows / listIds.length));
}

/** Never few of any list: it may be about to have more. */
function inProportion(listIds: readonly number[], rows: readonly EntryRow[]): number[] {
  const used = listIds.map((id) => rows.filter((row) => row.list_id === id).length);
  return used.map((count) => Math.max(sliceRows / 10, Math.ceil((sliceRows * count) / rows.length)));
}

/** All that suppresses at the moment under one of these keys. */
export async function liveRows(
  db: Db,
  listIds: readonly number[],
  keys: readonly Buffer[],
  { tag, at }: EntriesOptions,
): Promise<EntryRow[]> {
  if (keys.length === 0) return [];
  return ofEach(
    db,
    listIds,
    (query) => void query.whereIn('address_key', keys).whereRaw(LIVE, [at]).modify(onlyTag, tag),
  );
}

/** All rows under these keys, tombstones included. */
export async function rowsUnder(
  db: Db,
  listIds: readonly number[],
  keys: readonly Buffer[],
): Promise<EntryRow[]> {
  if (keys.length === 0) return [];
  return ofEach(db, listIds, (query) => void query.whereIn('address_key', keys));
}

/**
 * Asks the same of each list, in one statement: an address that moves from one list to the other meanwhile
 * is on one of them. Each list has a SELECT of its own, which its index answers; one over both lists would
 * have to sort, or to do without the index where there are many keys.
 *
 * @param limits rows of each list, in the order of `narrow`; without them, all.
 */
async function ofEach(
  db: Db,
  listIds: readonly number[],
  narrow: (query: Knex.QueryBuilder) => void,
  limits?: readonly number[],
): Promise<EntryRow[]> {
  const queries: Knex.QueryBuilder[] = listIds.map((id, i) =>
    db('opt_outs')
      .where({ list_id: id })
      .modify(narrow)
      .modify((query) => {
        if (limits !== undefined) void query.limit(limits[i] ?? 0);
      })
      .select(...columns),
  );
  const [only, ...others] = queries;
  if (only === undefined) throw new Error('no list was asked for');
  if (others.length === 0) return (await only) as EntryRow[];
  // SQLite takes an order and a limit in the members of a union in subqueries alone.
  const isPlain = limits === undefined;
  return (await db.unionAll(
    isPlain ? queries : queries.map((query) => db.select('*').from(query.as('of_list'))),
  )) as EntryRow[];
}

export function onlyTag(query: Knex.QueryBuilder, tag?: string): void {
  if (tag !== undefined) void query.whereIn('tag', [Buffer.from(EVERYTHING), Buffer.from(tag)]);
}

export function concerns(row: EntryRow, { tag }: EntriesOptions): boolean {
  return tag === undefined || [EVERYTHING, tag].includes(row.tag.toString());
}

export function isLive(row: EntryRow, options: EntriesOptions): boolean {
  const isStanding = row.removed_at === null && (row.expires_at === null || row.expires_at > options.at);
  return isStanding && concerns(row, options);
}
