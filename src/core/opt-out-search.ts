import { engineOf, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
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
  const { limit, backwards = false } = options;
  const underWay = await removalsUnderWay(db, listIds);
  // The index holds nothing that is removed: half of a list must not pass for all of it.
  if (underWay.some(({ state }) => state === 'restoring')) {
    throw new Unavailable('what was removed from the list is being brought back');
  }
  const readers = listIds.map((listId) => addressesOf(db, listId, underWay, options));
  const heads: (Suppressed | null)[] = [];
  for (const reader of readers) heads.push(await nextOf(reader));
  const found: Suppressed[] = [];
  while (found.length < limit) {
    const first = heads.reduce((best, head) => (isBefore(head, best, backwards) ? head : best), null);
    if (first === null) break;
    const optOuts: OptOutRecord[] = [];
    for (const [i, reader] of readers.entries()) {
      if (heads[i]?.address !== first.address) continue;
      optOuts.push(...heads[i].optOuts);
      // Behind the last one that is wanted, nothing need be read.
      heads[i] = found.length + 1 < limit ? await nextOf(reader) : null;
    }
    found.push({ address: first.address, optOuts });
  }
  return backwards ? found.reverse() : found;
}

async function nextOf(reader: AsyncGenerator<Suppressed>): Promise<Suppressed | null> {
  const step = await reader.next();
  return step.done === true ? null : step.value;
}

function isBefore(one: Suppressed | null, other: Suppressed | null, backwards: boolean): boolean {
  if (one === null) return false;
  if (other === null) return true;
  const order = Buffer.compare(Buffer.from(one.address), Buffer.from(other.address));
  return backwards ? order > 0 : order < 0;
}

async function* addressesOf(
  db: Db,
  listId: number,
  underWay: readonly RemovalUnderWay[],
  options: SearchOptions,
): AsyncGenerator<Suppressed> {
  const { backwards = false } = options;
  const behind = (address: Buffer): Start => ({ address, isIncluded: false });
  let start = options.beyond == null ? null : behind(Buffer.from(options.beyond));
  // Most addresses have one opt-out: as many rows as are wanted, and one to see where the last address ends.
  let wanted = options.limit;
  let slice = Math.min(sliceRows, wanted + 1);
  let least = 8;
  const goneUntil = underWay.findLast((one) => one.list_id === listId && one.state === 'removing')?.at;
  for (let looked = 0; looked < mostRows; looked += slice) {
    if (goneUntil !== undefined) {
      const staying = await startThatStays(db, listId, start, goneUntil, options);
      if (staying === 'none') return;
      start = staying;
    }
    const rows = await sliceOf(db, listId, start, slice, options);
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
    if (lastRead != null) start = behind(lastRead);
    // Where an address has several, or where little of it counts, more by and by.
    least = Math.min(sliceRows, least * 2);
    slice = groups.length > 0 ? Math.min(sliceRows, Math.max(wanted + 1, least)) : mostOfAddress + 1;
    // SQLite answers without ever leaving this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Unavailable(`the search ${backwards ? 'back ' : ''}found too little in ${mostRows} rows`);
}

/** Where a search goes on: behind an address, or with it. */
interface Start {
  readonly address: Buffer;
  readonly isIncluded: boolean;
}

/** Rows a query that only tells whether any of them stays (more than any address has), and of a search. */
const passedRows = 2000;
const mostToPass = 5_000_000;

/**
 * Passes over what a removal under way has yet to remove: of a list that is being emptied, nearly all.
 *
 * @param goneUntil what was recorded before then goes.
 * @returns where the first address that stays begins, in whatever of its opt-outs; `none` where none stays.
 */
async function startThatStays(
  db: Db,
  listId: number,
  start: Start | null,
  goneUntil: number,
  options: SearchOptions,
): Promise<Start | 'none'> {
  const { backwards = false } = options;
  const [first, last] = backwards ? ['MAX', 'MIN'] : ['MIN', 'MAX'];
  let from = start;
  for (let passed = 0; passed < mostToPass; passed += passedRows) {
    const slice = sliceBeyond(db, listId, from, passedRows, options).select('standing_address', 'last_at');
    const [told]: { looked: number; staying: Buffer | null; edge: Buffer | null }[] = await db
      .from(slice.as('of_list'))
      .select(
        db.raw('COUNT(*) AS looked'),
        db.raw(`${first}(CASE WHEN last_at >= ? THEN standing_address END) AS staying`, [goneUntil]),
        db.raw(`${last}(standing_address) AS edge`),
      );
    if (told?.staying != null) return { address: told.staying, isIncluded: true };
    if (told?.edge == null || Number(told.looked) < passedRows) return 'none';
    // The last address may have more rows behind the limit.
    from = { address: told.edge, isIncluded: true };
    // SQLite answers without ever leaving this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Unavailable('the removal of the list is being carried out');
}

async function sliceOf(
  db: Db,
  listId: number,
  start: Start | null,
  limit: number,
  options: SearchOptions,
): Promise<OptOutRecord[]> {
  return (await sliceBeyond(db, listId, start, limit, options).select('*')) as OptOutRecord[];
}

/** By the index alone, whatever the statistics say: rows come out in its order, the tags of an address in any. */
function sliceBeyond(
  db: Db,
  listId: number,
  start: Start | null,
  limit: number,
  { prefix = '', backwards = false }: SearchOptions,
) {
  return db(db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_address')}`))
    .where({ list_id: listId })
    .whereNotNull('standing_address')
    .modify((query) => {
      const first = Buffer.from(prefix);
      const end = endOf(first);
      if (first.length > 0) void query.where('standing_address', '>=', first);
      if (end !== null) void query.where('standing_address', '<', end);
      if (start === null) return;
      const side = `${backwards ? '<' : '>'}${start.isIncluded ? '=' : ''}`;
      void query.where('standing_address', side, start.address);
    })
    .orderBy('standing_address', backwards ? 'desc' : 'asc')
    .limit(limit);
}

/** The first text of octets behind all that begin with these; null where there is none. */
function endOf(prefix: Buffer): Buffer | null {
  const last = prefix.findLastIndex((octet) => octet < 0xff);
  if (last === -1) return null;
  const end = Buffer.from(prefix.subarray(0, last + 1));
  end[last] = (end[last] ?? 0) + 1;
  return end;
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
