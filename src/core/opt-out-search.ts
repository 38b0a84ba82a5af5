import type { Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import type { OptOutRecord } from './opt-outs.js';

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

const sliceRows = 1000;

/** Rows that one search looks at: far more than a page holds, where most of what is there was removed. */
const mostRows = 200_000;

/**
 * A page of the addresses that lists suppress, in their order (by octets), each with all of its opt-outs.
 * Entries of which only a hash is known have no place in it.
 *
 * @param listIds as `listsThatCount` gives them: a list, and the global one of its account.
 * @returns at most `limit`, in ascending order; fewer only where there are no more.
 * @throws Unavailable where 200,000 rows held too few that still suppress.
 */
export async function searchByAddress(
  db: Db,
  listIds: readonly number[],
  options: SearchOptions,
): Promise<Suppressed[]> {
  const { limit, backwards = false } = options;
  const readers = listIds.map((listId) => addressesOf(db, listId, options));
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
      heads[i] = await nextOf(reader);
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

async function* addressesOf(db: Db, listId: number, options: SearchOptions): AsyncGenerator<Suppressed> {
  let beyond: Buffer | null = options.beyond == null ? null : Buffer.from(options.beyond);
  for (let looked = 0; looked < mostRows; looked += sliceRows) {
    const rows = await sliceOf(db, listId, beyond, options);
    const isLast = rows.length < sliceRows;
    const groups = byAddress(rows);
    // The last address may have more tags behind the limit: it is read again, whole.
    if (!isLast && groups.length > 1) groups.pop();
    for (const group of groups) {
      const optOuts = group.filter((row) => stands(row, options));
      const [first] = optOuts;
      if (first?.address != null) yield { address: first.address.toString(), optOuts };
    }
    if (isLast) return;
    beyond = groups.at(-1)?.[0]?.address ?? beyond;
    // SQLite answers without ever leaving this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Unavailable('too many of the list were removed to find the others in time');
}

async function sliceOf(
  db: Db,
  listId: number,
  beyond: Buffer | null,
  { prefix = '', backwards = false }: SearchOptions,
): Promise<OptOutRecord[]> {
  const order = backwards ? 'desc' : 'asc';
  const rows: OptOutRecord[] = await db('opt_outs')
    .where({ list_id: listId })
    .whereNotNull('address')
    .modify((query) => {
      const first = Buffer.from(prefix);
      const end = endOf(first);
      if (first.length > 0) void query.where('address', '>=', first);
      if (end !== null) void query.where('address', '<', end);
      if (beyond !== null) void query.where('address', backwards ? '<' : '>', beyond);
    })
    .orderBy([
      { column: 'address', order },
      { column: 'tag', order },
    ])
    .limit(sliceRows)
    .select('*');
  return rows;
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

function byAddress(rows: readonly OptOutRecord[]): OptOutRecord[][] {
  const groups: OptOutRecord[][] = [];
  for (const row of rows) {
    const group = groups.at(-1);
    if (row.address !== null && group?.[0]?.address?.equals(row.address)) group.push(row);
    else groups.push([row]);
  }
  return groups;
}
