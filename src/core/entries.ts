import type { Knex } from 'knex';
import type { Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { numberBefore } from './feed.js';
import { EVERYTHING, LIVE } from './opt-outs.js';

/** What a list suppresses, or has ceased to suppress: one address, or the hash of one. */
export interface Entry {
  readonly isSuppressed: boolean;
  /** Null for hash-only entries and erased persons. */
  readonly address: Buffer | null;
  /** Null where only the SHA-256 is known. */
  readonly md5: Buffer | null;
  /** Null where it has to be made from the address, or where only the MD5 is known. */
  readonly sha256: Buffer | null;
}

interface EntryRow {
  list_id: number;
  address_key: Buffer;
  tag: Buffer;
  address: Buffer | null;
  sha256: Buffer | null;
  removed_at: number | null;
  expires_at: number | null;
  feed_number: number | null;
}

export interface EntriesOptions {
  /** Counts what suppresses this tag: it, and opt-outs from everything. Without it, any tag counts. */
  readonly tag?: string | undefined;
  /** UTC milliseconds; expiries are held against it throughout. */
  readonly at: number;
}

/**
 * Rows a query: few milliseconds on SQLite, whose driver blocks the process meanwhile. Each slice goes on
 * behind the last key, so no connection is held while a client is slow, and nothing is ever skipped over
 * by OFFSET. See docs/decisions/0002-downloads-are-read-in-slices.md.
 */
const sliceRows = 1000;

/** Rows that may wait for their number while a list is read by date; far more than the keeper ever leaves. */
const mostPending = 100_000;

/** All that a list suppresses, by key, each address once whatever tags suppress it. Memory stays flat. */
export async function* readEntries(
  db: Db,
  listId: number,
  { tag, at }: EntriesOptions,
): AsyncGenerator<Entry[]> {
  let after: Buffer = Buffer.alloc(0);
  for (;;) {
    const rows: EntryRow[] = await db('opt_outs')
      .where({ list_id: listId })
      .where('address_key', '>', after)
      .whereRaw(LIVE, [at])
      .modify(onlyTag, tag)
      .orderBy(['address_key', 'tag'])
      .limit(sliceRows)
      .select('address_key', 'tag', 'address', 'sha256');
    const isLast = rows.length < sliceRows;
    const groups = byAddress(rows);
    // The last address may have more rows behind the limit: it is read again with the next slice.
    if (!isLast && groups.length > 1) groups.pop();
    const last = groups.at(-1)?.[0];
    if (last === undefined) return;
    after = last.address_key;
    yield groups.map((group) => entryOf(group.find((row) => row.address !== null) ?? group[0] ?? last, true));
    if (isLast) return;
  }
}

/**
 * What has changed between two feed numbers, in the feed's order and as it stands now: an address that
 * anything still suppresses is never given as removed.
 */
export async function* readChanges(
  db: Db,
  listId: number,
  { from, to }: { from: number; to: number },
  options: EntriesOptions,
): AsyncGenerator<Entry[]> {
  for (let after = from; ;) {
    const rows = await numberedRows(db, listId, after, to, options);
    const last = rows.at(-1);
    if (last?.feed_number == null) return;
    after = last.feed_number;
    const gone = rows.filter((row) => !isLive(row, options.at));
    const standing = new Set(
      (await liveRows(db, listId, gone, options)).map((row) => row.address_key.toString('hex')),
    );
    yield rows.map((row) => {
      return entryOf(row, isLive(row, options.at) || standing.has(row.address_key.toString('hex')));
    });
    if (rows.length < sliceRows) return;
  }
}

/**
 * What was recorded at or after a date and still suppresses, each address once. What has committed but
 * has no feed number yet is read first, so that nothing slips between the two.
 *
 * @throws Unavailable when the keeper is so far behind that this cannot be answered in flat memory.
 */
export async function* readEntriesSince(
  db: Db,
  listId: number,
  since: number,
  options: EntriesOptions,
): AsyncGenerator<Entry[]> {
  const start = await numberBefore(db, since);
  const seen = new Set<string>();
  const pending: EntryRow[] = await db('opt_outs')
    .where({ list_id: listId })
    .whereNull('feed_number')
    .where('recorded_at', '>=', since)
    .whereRaw(LIVE, [options.at])
    .modify(onlyTag, options.tag)
    .limit(mostPending + 1)
    .select('address_key', 'tag', 'address', 'sha256');
  if (pending.length > mostPending) throw new Unavailable('too many changes wait for their feed numbers');
  for (const row of pending) seen.add(`${row.address_key.toString('hex')} ${row.tag.toString('hex')}`);
  yield* firstOfEach(db, listId, since, pending, options);

  for (let after = start; ;) {
    const rows = await numberedRows(db, listId, after, Number.MAX_SAFE_INTEGER, options, since);
    const last = rows.at(-1);
    if (last?.feed_number == null) return;
    after = last.feed_number;
    const unseen = rows.filter(
      (row) =>
        isLive(row, options.at) && !seen.has(`${row.address_key.toString('hex')} ${row.tag.toString('hex')}`),
    );
    yield* firstOfEach(db, listId, since, unseen, options);
    if (rows.length < sliceRows) return;
  }
}

async function numberedRows(
  db: Db,
  listId: number,
  after: number,
  to: number,
  { tag }: EntriesOptions,
  since?: number,
): Promise<EntryRow[]> {
  const rows: EntryRow[] = await db('opt_outs')
    .where({ list_id: listId })
    .where('feed_number', '>', after)
    .where('feed_number', '<=', to)
    .modify(onlyTag, tag)
    .modify((query) => {
      if (since !== undefined) void query.where('recorded_at', '>=', since);
    })
    .orderBy('feed_number')
    .limit(sliceRows)
    .select('address_key', 'tag', 'address', 'sha256', 'removed_at', 'expires_at', 'feed_number');
  return rows;
}

/** Of an address with several rows in the answer, the one with the lowest tag speaks for it. */
async function* firstOfEach(
  db: Db,
  listId: number,
  since: number,
  rows: readonly EntryRow[],
  options: EntriesOptions,
): AsyncGenerator<Entry[]> {
  for (let i = 0; i < rows.length; i += sliceRows) {
    const slice = rows.slice(i, i + sliceRows);
    // `*` is lower than all but a few tags; a row for everything needs no look-up where it stands alone.
    const standing = await liveRows(db, listId, slice, options, since);
    const lowest = new Map<string, Buffer>();
    for (const row of standing) {
      const key = row.address_key.toString('hex');
      const before = lowest.get(key);
      if (before === undefined || Buffer.compare(row.tag, before) < 0) lowest.set(key, row.tag);
    }
    const first = slice.filter((row) => {
      const tag = lowest.get(row.address_key.toString('hex'));
      return tag === undefined || tag.equals(row.tag);
    });
    if (first.length > 0) yield first.map((row) => entryOf(row, true));
  }
}

async function liveRows(
  db: Db,
  listId: number,
  of: readonly EntryRow[],
  { tag, at }: EntriesOptions,
  since?: number,
): Promise<Pick<EntryRow, 'address_key' | 'tag'>[]> {
  if (of.length === 0) return [];
  const rows: EntryRow[] = await db('opt_outs')
    .where({ list_id: listId })
    .whereIn(
      'address_key',
      of.map((row) => row.address_key),
    )
    .whereRaw(LIVE, [at])
    .modify(onlyTag, tag)
    .modify((query) => {
      if (since !== undefined) void query.where('recorded_at', '>=', since);
    })
    .select('address_key', 'tag');
  return rows;
}

function onlyTag(query: Knex.QueryBuilder, tag?: string): void {
  if (tag !== undefined) void query.whereIn('tag', [Buffer.from(EVERYTHING), Buffer.from(tag)]);
}

function isLive(row: EntryRow, at: number): boolean {
  return row.removed_at === null && (row.expires_at === null || row.expires_at > at);
}

function byAddress(rows: readonly EntryRow[]): EntryRow[][] {
  const groups: EntryRow[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    if (group?.[0]?.address_key.equals(row.address_key)) group.push(row);
    else groups.push([row]);
  }
  return groups;
}

function entryOf({ address, address_key, sha256 }: EntryRow, isSuppressed: boolean): Entry {
  const isSha256Only = address === null && sha256 !== null && sha256.subarray(0, 16).equals(address_key);
  return { isSuppressed, address, md5: isSha256Only ? null : address_key, sha256 };
}
