import type { Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { sliceOf, startThatStays, type Start } from './opt-out-slices.js';
import type { OptOutRecord } from './opt-outs.js';
import { asItCounts, removalsUnderWay, type RemovalUnderWay } from './removals-under-way.js';

/** All that suppresses one address, one opt-out a tag (and a list, where several are searched). */
export interface Suppressed {
  /** Normalised. */
  readonly address: string;
  readonly optOuts: readonly OptOutRecord[];
}

export interface SearchOptions {
  /** Addresses that begin with this: in the normalised form. */
  readonly prefix?: string;
  /** Only beyond this address, in the direction of the search; it need not be there. */
  readonly beyond?: string | null;
  readonly backwards?: boolean;
  /** Addresses, not opt-outs: at most 1,000. */
  readonly limit: number;
  /** Only opt-outs of this tag. */
  readonly tag?: string;
  /** UTC milliseconds; without it, now. */
  readonly at?: number;
}

/** Few milliseconds of SQLite's one connection. */
const sliceRows = 250;

/** No address has more opt-outs on a list: that many tags, and `*`. */
const mostOfAddress = 1001;

/** Rows that one search looks at: far more than a page holds. */
const mostRows = 200_000;

/** What a search came to that may end before it has found enough. */
export interface Stretch {
  /** In ascending order. */
  readonly found: Suppressed[];
  /** The address up to which all was looked at, and beyond which to go on; null where no row bound was met. */
  readonly stoppedAt: string | null;
}

/**
 * A page of the addresses that lists suppress, in their order (by octets), each with all of its opt-outs.
 * Entries of which only a hash is known have no place in it.
 *
 * @param listIds as `listsThatCount` gives them: a list, and the global one of its account.
 * @returns at most `limit`, in ascending order; fewer only where there are no more.
 * @throws Unavailable where 200,000 rows held too few (most have expired and are not removed yet, or are of
 *   another tag), and while a large removal is taken back.
 */
export async function searchByAddress(
  db: Db,
  listIds: readonly number[],
  options: SearchOptions,
): Promise<Suppressed[]> {
  const { found, stoppedAt } = await searchStretch(db, listIds, { ...options, rows: mostRows });
  if (stoppedAt === null) return found;
  const way = options.backwards === true ? 'back ' : '';
  throw new Unavailable(`the search ${way}found too little in ${mostRows} rows`);
}

/**
 * The same of so many rows of each list, whatever they hold: where they held too little, it tells where to go on.
 *
 * @param options.rows some thousand: a slice of them is looked at in any case.
 * @param options.signal ends it where nobody waits for it any more.
 * @throws Unavailable while a large removal is taken back.
 */
export async function searchStretch(
  db: Db,
  listIds: readonly number[],
  options: SearchOptions & { readonly rows: number; readonly signal?: AbortSignal },
): Promise<Stretch> {
  const { limit, backwards = false } = options;
  const underWay = await removalsUnderWay(db, listIds);
  // The index holds nothing that is removed: half of a list must not pass for all of it.
  if (underWay.some(({ state }) => state === 'restoring')) {
    throw new Unavailable('what was removed from the list is being brought back');
  }
  const readers = listIds.map((listId) => addressesOf(db, listId, underWay, options));
  const heads: (Head | null)[] = [];
  for (const reader of readers) heads.push(await nextOf(reader));
  const found: Suppressed[] = [];
  while (found.length < limit) {
    const first = heads.reduce((best, head) => (isBefore(head, best, backwards) ? head : best), null);
    if (first === null) break;
    if (first.isStop === true)
      return { found: backwards ? found.reverse() : found, stoppedAt: first.address };
    const optOuts: OptOutRecord[] = [];
    for (const [i, reader] of readers.entries()) {
      if (heads[i]?.address !== first.address || heads[i].isStop === true) continue;
      optOuts.push(...heads[i].optOuts);
      // Behind the last one that is wanted, nothing need be read.
      heads[i] = found.length + 1 < limit ? await nextOf(reader) : null;
    }
    found.push({ address: first.address, optOuts });
  }
  return { found: backwards ? found.reverse() : found, stoppedAt: null };
}

/** What a reader gives next; `isStop`: no address, but the place up to which it has looked. */
interface Head extends Suppressed {
  readonly isStop?: boolean;
}

async function nextOf(reader: AsyncGenerator<Head>): Promise<Head | null> {
  const step = await reader.next();
  return step.done === true ? null : step.value;
}

function isBefore(one: Head | null, other: Head | null, backwards: boolean): boolean {
  if (one === null) return false;
  if (other === null) return true;
  const order = Buffer.compare(Buffer.from(one.address), Buffer.from(other.address));
  // Who goes on behind a place passes over the place itself.
  if (order === 0) return other.isStop === true && one.isStop !== true;
  return backwards ? order > 0 : order < 0;
}

async function* addressesOf(
  db: Db,
  listId: number,
  underWay: readonly RemovalUnderWay[],
  options: SearchOptions & { readonly rows: number; readonly signal?: AbortSignal },
): AsyncGenerator<Head> {
  const { rows: most, signal } = options;
  const behind = (address: Buffer): Start => ({ address, isIncluded: false });
  let start = options.beyond == null ? null : behind(Buffer.from(options.beyond));
  // Most addresses have one opt-out: as many rows as are wanted, and one to see where the last address ends.
  let wanted = options.limit;
  let slice = Math.min(sliceRows, wanted + 1);
  let least = 8;
  const goneUntil = underWay.findLast((one) => one.list_id === listId && one.state === 'removing')?.at;
  for (let looked = 0; ;) {
    signal?.throwIfAborted();
    if (goneUntil !== undefined) {
      const staying = await startThatStays(db, listId, start, goneUntil, options);
      if (staying === 'none') return;
      start = staying;
    }
    const rows = await sliceOf(db, listId, start, slice, options);
    looked += rows.length;
    const isLast = rows.length < slice;
    const groups = byAddress(rows);
    // The last address may have more tags behind the limit: it is read again, whole.
    if (!isLast) groups.pop();
    for (const group of groups) {
      const counting = group.map((row) => asItCounts(row, underWay));
      const optOuts = counting.filter((row) => stands(row, options)).sort(compareTags);
      const [first] = optOuts;
      if (first?.address == null) continue;
      wanted--;
      yield { address: first.address.toString(), optOuts };
    }
    if (isLast) return;
    const lastRead = groups.at(-1)?.[0]?.address;
    if (lastRead != null) {
      start = behind(lastRead);
      if (looked >= most) yield { address: lastRead.toString(), optOuts: [], isStop: true };
    }
    // Where an address has several, or where little of it counts, more by and by.
    least = Math.min(sliceRows, least * 2);
    slice = groups.length > 0 ? Math.min(sliceRows, Math.max(wanted + 1, least)) : mostOfAddress + 1;
    // SQLite answers without ever leaving this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function stands(row: OptOutRecord, { tag, at = Date.now() }: SearchOptions): boolean {
  if (row.removed_at !== null || (row.expires_at !== null && row.expires_at <= at)) return false;
  return tag === undefined || row.tag.toString() === tag;
}

function compareTags(a: OptOutRecord, b: OptOutRecord): number {
  return Buffer.compare(a.tag, b.tag);
}

function byAddress(rows: readonly OptOutRecord[]): OptOutRecord[][] {
  const groups: OptOutRecord[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    if (row.address !== null && group?.[0]?.address?.equals(row.address)) group.push(row);
    else groups.push([row]);
  }
  return groups;
}
