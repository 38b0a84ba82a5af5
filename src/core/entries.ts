import type { Knex } from 'knex';
import type { Db } from '../db/connect.js';
import { sha256Of } from './address.js';
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

export interface EntryRow {
  list_id: number;
  address_key: Buffer;
  tag: Buffer;
  address: Buffer | null;
  sha256: Buffer | null;
  recorded_at: number;
  removed_at: number | null;
  expires_at: number | null;
  feed_number: number | null;
}

export const columns = [
  'address_key',
  'tag',
  'address',
  'sha256',
  'recorded_at',
  'removed_at',
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

/**
 * All that a list suppresses, by key, each address once whatever tags suppress it. Memory stays flat; a
 * slice may be empty.
 */
export async function* readEntries(db: Db, listId: number, options: EntriesOptions): AsyncGenerator<Entry[]> {
  for (let after: Buffer = Buffer.alloc(0); ;) {
    const rows: EntryRow[] = await db('opt_outs')
      .where({ list_id: listId })
      .where('address_key', '>', after)
      .orderBy(['address_key', 'tag'])
      .limit(sliceRows)
      .select(...columns);
    const isLast = rows.length < sliceRows;
    const groups = byAddress(rows);
    // The last address may have more rows behind the limit: it is read again with the next slice, or
    // whole where it fills a slice alone.
    const cut = isLast ? undefined : groups.pop()?.[0];
    if (cut !== undefined && groups.length === 0) groups.push(await wholeOf(db, listId, cut));
    const last = groups.at(-1)?.[0];
    if (last === undefined) return;
    after = last.address_key;
    yield groups.flatMap((group) => {
      const [live, ...others] = group.filter((row) => isLive(row, options));
      return live === undefined ? [] : [entryOf(mostTelling(live, others), true)];
    });
    if (isLast) return;
  }
}

/**
 * What has changed between two feed numbers, in the feed's order and as it stands now: an address that
 * anything still suppresses is never given as removed. A slice may be empty.
 */
export async function* readChanges(
  db: Db,
  listId: number,
  { from, to }: { from: number; to: number },
  options: EntriesOptions,
): AsyncGenerator<Entry[]> {
  for (let after = from; ;) {
    const slice = await numberedRows(db, listId, after, to);
    const last = slice.at(-1)?.feed_number;
    if (last == null) return;
    after = last;
    const rows = slice.filter((row) => concerns(row, options));
    const gone = rows.filter((row) => !isLive(row, options));
    const standing = await liveRows(db, listId, gone.flatMap(keysOf), options);
    const keys = new Set(standing.map((row) => hex(row.address_key)));
    yield rows.map((row) =>
      entryOf(row, isLive(row, options) || keysOf(row).some((key) => keys.has(hex(key)))),
    );
    if (slice.length < sliceRows) return;
  }
}

export async function numberedRows(db: Db, listId: number, after: number, to: number): Promise<EntryRow[]> {
  const rows: EntryRow[] = await db('opt_outs')
    .where({ list_id: listId })
    .where('feed_number', '>', after)
    .where('feed_number', '<=', to)
    .orderBy('feed_number')
    .limit(sliceRows)
    .select(...columns);
  return rows;
}

export async function liveRows(
  db: Db,
  listId: number,
  keys: readonly Buffer[],
  { tag, at }: EntriesOptions,
): Promise<EntryRow[]> {
  if (keys.length === 0) return [];
  const rows: EntryRow[] = await db('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', keys)
    .whereRaw(LIVE, [at])
    .modify(onlyTag, tag)
    .select(...columns);
  return rows;
}

async function wholeOf(db: Db, listId: number, { address_key }: EntryRow): Promise<EntryRow[]> {
  const rows: EntryRow[] = await db('opt_outs')
    .where({ list_id: listId })
    .where('address_key', '=', address_key)
    .select(...columns);
  return rows;
}

export function onlyTag(query: Knex.QueryBuilder, tag?: string): void {
  if (tag !== undefined) void query.whereIn('tag', [Buffer.from(EVERYTHING), Buffer.from(tag)]);
}

function concerns(row: EntryRow, { tag }: EntriesOptions): boolean {
  return tag === undefined || [EVERYTHING, tag].includes(row.tag.toString());
}

export function isLive(row: EntryRow, options: EntriesOptions): boolean {
  const isStanding = row.removed_at === null && (row.expires_at === null || row.expires_at > options.at);
  return isStanding && concerns(row, options);
}

/** Under which an address can stand: that of its row, and that of an entry of which only the SHA-256 is known. */
function keysOf({ address_key, address, sha256 }: EntryRow): Buffer[] {
  const hash = address === null ? sha256 : sha256Of(address.toString());
  return hash === null ? [address_key] : [address_key, hash.subarray(0, 16)];
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

/** What can be expressed in most formats: the address, then a hash with the other one, then the MD5 alone. */
export function mostTelling(row: EntryRow, others: readonly EntryRow[]): EntryRow {
  const rows = [row, ...others];
  return rows.find(({ address }) => address !== null) ?? rows.find(({ sha256 }) => sha256 !== null) ?? row;
}

export function entryOf({ address, address_key, sha256 }: EntryRow, isSuppressed: boolean): Entry {
  const isSha256Only = address === null && sha256 !== null && sha256.subarray(0, 16).equals(address_key);
  return { isSuppressed, address, md5: isSha256Only ? null : address_key, sha256 };
}

export function hex(key: Buffer): string {
  return key.toString('hex');
}
