import { engineOf, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import type { AddressPart } from './opt-out-filter.js';
import type { OptOutRecord } from './opt-outs.js';
import type { SearchOptions } from './opt-out-search.js';

/** What the search by address reads, slice by slice of its index. */

/** Where a search goes on: behind an address, or with it. */
export interface Start {
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
export async function startThatStays(
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

export async function sliceOf(
  db: Db,
  listId: number,
  start: Start | null,
  limit: number,
  options: SearchOptions,
): Promise<OptOutRecord[]> {
  return (await sliceBeyond(db, listId, start, limit, options).select('*')) as OptOutRecord[];
}

/** Begins each label of a domain that people see in other letters (RFC 5890, section 2.3.2.5). */
const aceMark = Buffer.from('xn--');

/**
 * The addresses of a list that stand, in their order, out of the index alone, each as often as it has opt-outs: of
 * a slice those that begin with a text, or that may hold it.
 */
export async function addressesBeyond(
  db: Db,
  listId: number,
  after: string | null,
  limit: number,
  { kind, text }: AddressPart,
): Promise<{ addresses: Buffer[]; looked: number; last: Buffer | null }> {
  const start = after === null ? null : { address: Buffer.from(after), isIncluded: false };
  const octets = Buffer.from(text);
  if (kind !== 'part') {
    const options = { prefix: text, limit };
    const found = await sliceBeyond(db, listId, start, limit, options).pluck('standing_address');
    const addresses = found as Buffer[];
    return { addresses, looked: addresses.length, last: addresses.at(-1) ?? null };
  }
  // Told in the database first: mostly none does, and to bring them all here costs five times as much.
  const marks = octets.length === text.length ? [octets] : [octets, aceMark];
  const holds = marks.map(() => 'INSTR(standing_address, ?) > 0').join(' OR ');
  const slice = sliceBeyond(db, listId, start, limit, { limit }).select('standing_address');
  const told: { looked: number | string; held: number | string | null; last: Buffer | null } | undefined =
    await db
      .from(slice.as('of_list'))
      .first(db.raw(`COUNT(*) AS looked, SUM(${holds}) AS held, MAX(standing_address) AS last`, marks));
  const [looked, last] = [Number(told?.looked ?? 0), told?.last ?? null];
  if (last === null || Number(told?.held) === 0) return { addresses: [], looked, last };
  const held = await sliceBeyond(db, listId, start, limit, { limit })
    .where('standing_address', '<=', last)
    .whereRaw(`(${holds})`, marks)
    .pluck('standing_address');
  return { addresses: held as Buffer[], looked, last };
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
