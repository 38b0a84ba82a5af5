import type { Db } from '../db/connect.js';
import { addressForms, md5Of, sha256Of } from './address.js';
import {
  concerns,
  isLive,
  numberedRows,
  rowsBehind,
  rowsUnder,
  type EntriesOptions,
  type EntryRow,
} from './entry-rows.js';
import { isToComeBack, removalsUnderWay, type RemovalUnderWay } from './removals-under-way.js';

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

/**
 * All that suppresses, by key, each address once whatever lists and tags suppress it. Memory stays flat; a
 * slice may be empty.
 *
 * @param listIds the lists that count: one, or a list and the global one.
 */
export async function* readEntries(
  db: Db,
  listIds: readonly number[],
  options: EntriesOptions,
): AsyncGenerator<Entry[]> {
  for await (const groups of readAddresses(db, listIds)) {
    yield groups.flatMap((group) => standingOf(group, options));
  }
}

/** What suppresses of the rows of one address, as one entry; none where nothing does. */
export function standingOf(group: readonly EntryRow[], options: EntriesOptions): Entry[] {
  const [live, ...others] = group.filter((row) => isLive(row, options));
  return live === undefined ? [] : [entryOf(mostTelling(live, others), true)];
}

/**
 * All rows by key, those of one address together.
 *
 * @param behind only those behind this key.
 */
export async function* readAddresses(
  db: Db,
  listIds: readonly number[],
  behind: Buffer = Buffer.alloc(0),
): AsyncGenerator<EntryRow[][]> {
  let limits: readonly number[] | undefined;
  for (let after = behind; ;) {
    const slice = await rowsBehind(db, listIds, after, limits);
    limits = slice.limits;
    const { isLast } = slice;
    const groups = byAddress(slice.rows);
    // The last address may have more rows behind the limit: it is read again with the next slice, or
    // whole where it fills a slice alone.
    const cut = isLast ? undefined : groups.pop()?.[0];
    if (cut !== undefined && groups.length === 0)
      groups.push(await rowsUnder(db, listIds, [cut.address_key]));
    const last = groups.at(-1)?.[0];
    if (last === undefined) return;
    after = last.address_key;
    yield groups;
    if (isLast) return;
  }
}

export interface ChangesOptions extends EntriesOptions {
  /** Leaves entries out of which only the SHA-256 is known: only some formats can express them. */
  readonly withoutSha256Only?: boolean;
}

/** How many removals wait to be settled at once: some megabytes. */
const mostDoubtful = 50_000;

/**
 * What has changed between two feed numbers, in the feed's order and as it stands now: an address that
 * anything still suppresses is never given as removed, and one that is removed is named as well as any of
 * its rows can: a reader may know it by that. What is still to be brought back suppresses already. A slice may be
 * empty.
 *
 * Removals of entries of which only the SHA-256 is known come at the end: whether their addresses are
 * suppressed by name cannot be looked up, so all that suppresses is gone through for them, once.
 *
 * @param listIds the lists that count: one, or a list and the global one.
 */
export async function* readChanges(
  db: Db,
  listIds: readonly number[],
  { from, to }: { from: number; to: number },
  options: ChangesOptions,
): AsyncGenerator<Entry[]> {
  let doubtful: EntryRow[] = [];
  let limits: readonly number[] | undefined;
  for (let after = from; ;) {
    const slice = await numberedRows(db, listIds, { after, to }, limits);
    limits = slice.limits;
    const last = slice.rows.at(-1)?.feed_number;
    if (last == null) break;
    after = last;
    const rows = slice.rows.filter((row) => isToldOf(row, options));
    const told = await changesOf(db, listIds, rows, options);
    doubtful.push(...told.doubtful);
    yield told.entries;
    if (doubtful.length >= mostDoubtful) {
      yield* settled(db, listIds, doubtful, options);
      doubtful = [];
    }
    if (slice.isLast) break;
  }
  if (doubtful.length > 0) yield* settled(db, listIds, doubtful, options);
}

export function isToldOf(row: EntryRow, options: ChangesOptions): boolean {
  return concerns(row, options) && !(options.withoutSha256Only === true && isSha256Only(row));
}

/** What rows of the feed have to tell; `doubtful` are removals that only `settled` can tell of. */
export async function changesOf(
  db: Db,
  listIds: readonly number[],
  rows: readonly EntryRow[],
  options: EntriesOptions,
): Promise<{ entries: Entry[]; doubtful: EntryRow[] }> {
  const gone = rows.filter((row) => !isLive(row, options));
  const ends = await endsOf(db, listIds, gone, options);
  const doubtful: EntryRow[] = [];
  const entries = rows.flatMap((row) => {
    const end = ends.get(row);
    if (end === undefined) return [entryOf(row, true)];
    if (!isSha256Only(row)) return [entryOf(end, false)];
    doubtful.push(row);
    return [];
  });
  return { entries, doubtful };
}

/** Of rows that suppress no more: those that nothing else suppresses, each with what is known of its address. */
async function endsOf(
  db: Db,
  listIds: readonly number[],
  gone: readonly EntryRow[],
  options: EntriesOptions,
): Promise<Map<EntryRow, EntryRow>> {
  // Read first: what is brought back meanwhile is then seen in its rows.
  const underWay = await removalsUnderWay(db, listIds);
  const ofSame = byKey(await rowsUnder(db, listIds, distinct(gone.map((row) => row.address_key))));
  const told = gone.map((row) => [row, mostTelling(row, ofSame.get(hex(row.address_key)) ?? [])] as const);
  const further = distinct(told.flatMap(([, most]) => keysOf(most))).filter((key) => !ofSame.has(hex(key)));
  const known = new Map([...ofSame, ...byKey(await rowsUnder(db, listIds, further))]);
  const stands = (row: EntryRow) => isLive(row, options) || isLiveSoon(row, underWay, options);
  const isStanding = (key: Buffer) => known.get(hex(key))?.some(stands) === true;
  return new Map(told.filter(([, most]) => !keysOf(most).some(isStanding)));
}

/** Of rows of which only the SHA-256 is known, and which suppress no more: whether anything else does. */
export async function* settled(
  db: Db,
  listIds: readonly number[],
  rows: readonly EntryRow[],
  options: EntriesOptions,
): AsyncGenerator<Entry[]> {
  const asked = new Set(rows.flatMap(({ sha256 }) => (sha256 === null ? [] : [hex(sha256)])));
  const standing = new Set<string>();
  const underWay = await removalsUnderWay(db, listIds);
  for await (const groups of readAddresses(db, listIds)) {
    for (const row of groups.flat()) {
      if (!isLive(row, options) && !isLiveSoon(row, underWay, options)) continue;
      for (const hash of sha256sOf(row)) if (asked.has(hex(hash))) standing.add(hex(hash));
    }
    yield [];
  }
  yield rows.map((row) => entryOf(row, row.sha256 !== null && standing.has(hex(row.sha256))));
}

/** Whether it will suppress once what is being brought back is back. */
function isLiveSoon(row: EntryRow, underWay: readonly RemovalUnderWay[], options: EntriesOptions): boolean {
  return isToComeBack(row, underWay) && isLive({ ...row, removed_at: null }, options);
}

/** Under which an address can stand: its MD5s, and those of entries of which only the SHA-256 is known. */
function keysOf(row: EntryRow): Buffer[] {
  const md5s = row.address === null ? [] : addressForms(row.address.toString()).map(md5Of);
  return [row.address_key, ...md5s, ...sha256sOf(row).map((hash) => hash.subarray(0, 16))];
}

function sha256sOf({ address, sha256 }: EntryRow): Buffer[] {
  if (address !== null) return addressForms(address.toString()).map(sha256Of);
  return sha256 === null ? [] : [sha256];
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

function byKey(rows: readonly EntryRow[]): Map<string, EntryRow[]> {
  const groups = new Map<string, EntryRow[]>();
  for (const row of rows) {
    const group = groups.get(hex(row.address_key));
    if (group === undefined) groups.set(hex(row.address_key), [row]);
    else group.push(row);
  }
  return groups;
}

function distinct(keys: readonly Buffer[]): Buffer[] {
  return [...new Map(keys.map((key) => [hex(key), key])).values()];
}

/** What an entry is made of. */
export type Named = Pick<EntryRow, 'address_key' | 'address' | 'sha256'>;

/** What can be expressed in most formats: the address, then a hash with the other one, then the MD5 alone. */
export function mostTelling<T extends Named>(row: T, others: readonly T[]): T {
  const rows = [row, ...others];
  return rows.find(({ address }) => address !== null) ?? rows.find(({ sha256 }) => sha256 !== null) ?? row;
}

export function entryOf(row: Named, isSuppressed: boolean): Entry {
  const { address, address_key, sha256 } = row;
  return { isSuppressed, address, md5: isSha256Only(row) ? null : address_key, sha256 };
}

function isSha256Only({ address, address_key, sha256 }: Named): boolean {
  return address === null && sha256 !== null && sha256.subarray(0, 16).equals(address_key);
}

export function hex(key: Buffer): string {
  return key.toString('hex');
}
