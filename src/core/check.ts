import { hash } from 'node:crypto';
import { setImmediate as everyoneElse } from 'node:timers/promises';
import { engineOf, rowsOf, type Db } from '../db/connect.js';
import { joinedOctets } from '../db/engine.js';
import { addressForms, md5Of } from './address.js';
import { hex, readAddresses } from './entries.js';
import { isLive, liveRows, type EntryRow } from './entry-rows.js';
import { listsThatCount } from './global-list.js';
import { walkInternational } from './international.js';
import { EVERYTHING, LIVE } from './opt-outs.js';
import { refuseWhileRestoring } from './removals-under-way.js';

/** What is asked about: an address, or a hash of either form of one. */
export type Item =
  | { readonly normalised: string; readonly md5?: undefined; readonly sha256?: undefined }
  | { readonly md5: Buffer; readonly normalised?: undefined; readonly sha256?: undefined }
  | { readonly sha256: Buffer; readonly normalised?: undefined; readonly md5?: undefined };

export interface CheckOptions {
  /** As a download counts: this tag, and opt-outs from everything (`*`: those alone); without it, any. */
  readonly tag?: string | undefined;
  /** UTC milliseconds; without it, now. */
  readonly at?: number;
  /** Who asks has gone, where it is aborted: the next query is not made. */
  readonly signal?: AbortSignal | undefined;
}

/** Keys a query: few milliseconds on SQLite, whose driver blocks the process meanwhile. */
const keysAtOnce = { sqlite: 250, mysql: 1000 } as const;

/** Items between two looks at what everyone else wants. */
const itemsAtOnce = 1000;

const nobody: readonly number[] = [];

/**
 * Which of many items a list and the global list of its account suppress, just as a download would tell it:
 * an address matches entries of which only a hash is known, and a hash matches those of addresses.
 *
 * Addresses and MD5s are looked up by key, a thousand at once. MD5s go through the list's internationalised
 * domains besides, where there are any. No index knows the SHA-256 of an address: SHA-256s go through the
 * whole list, once a call, which takes some seconds a million entries, in slices of milliseconds; whoever
 * offers that bounds how many do it at once.
 *
 * @param items as many as the caller likes to hold; each takes some 300 octets meanwhile.
 * @returns for each item, in order, the ids of the lists that suppress it: none, one or two.
 * @throws Unavailable while a removal is being taken back: who is still to come back would pass for mailable.
 * @throws whatever the database does: a look-up that fails is never taken for a no.
 * @throws the reason of `signal`.
 */
export async function checkItems(
  db: Db,
  listId: number,
  items: readonly Item[],
  { tag, at = Date.now(), signal }: CheckOptions = {},
): Promise<(readonly number[])[]> {
  const listIds = await listsThatCount(db, listId);
  await refuseWhileRestoring(db, listIds);
  const asked = { db, listIds, options: { tag, at }, signal };
  const found = await lookUp(asked, items);
  const md5s = await unsettled(items, found, listIds, 'md5');
  if (md5s.size > 0) await goThroughInternational(asked, md5s, (i, id) => add(found, i, id));
  const sha256s = await unsettled(items, found, listIds, 'sha256');
  if (sha256s.size > 0) await goThrough(asked, sha256s, (i, id) => add(found, i, id));
  return found;
}

interface Asked {
  readonly db: Db;
  readonly listIds: readonly number[];
  readonly options: { readonly tag: string | undefined; readonly at: number };
  readonly signal: AbortSignal | undefined;
}

type Found = (readonly number[])[];

/** What one hash of an item is looked up by, in hexadecimal, and the item's place. */
interface Mark {
  readonly hash: string;
  readonly place: number;
}

/**
 * By the keys under which their entries would stand, in the order of the keys: of a list that is larger than
 * the database's memory, each page is read once a call.
 */
async function lookUp(asked: Asked, items: readonly Item[]): Promise<Found> {
  const found: Found = items.map(() => nobody);
  const mostKeys = keysAtOnce[engineOf(asked.db).name];
  let waiting: Mark[] = [];
  for (const bucket of await bucketsOf(items)) {
    bucket.sort((a, b) => (a.hash < b.hash ? -1 : 1));
    for (const mark of bucket) {
      waiting.push(mark);
      if (waiting.length < mostKeys) continue;
      await settle(asked, waiting, found);
      waiting = [];
    }
  }
  if (waiting.length > 0) await settle(asked, waiting, found);
  return found;
}

/** By their first octet: to sort all at once would hold up everyone else. */
async function bucketsOf(items: readonly Item[]): Promise<Mark[][]> {
  const buckets: Mark[][] = Array.from({ length: 256 }, () => []);
  for (const [place, item] of items.entries()) {
    for (const hash of hashesOf(item)) buckets[Number.parseInt(hash.slice(0, 2), 16)]?.push({ hash, place });
    if (place % itemsAtOnce === itemsAtOnce - 1) await everyoneElse();
  }
  return buckets;
}

async function settle(asked: Asked, marks: readonly Mark[], found: Found): Promise<void> {
  asked.signal?.throwIfAborted();
  const keys = new Set(marks.map(({ hash }) => hash.slice(0, 32)));
  for (const { listId, hashes } of await heldUnder(asked, [...keys])) {
    for (const { hash, place } of marks) if (hashes.has(hash)) add(found, place, listId);
  }
  await everyoneElse();
}

/** What an entry can be told by: its MD5, or the SHA-256 where only that is known. */
const hashOfRow = `CASE WHEN address IS NULL AND SUBSTR(sha256, 1, 16) = address_key THEN HEX(sha256) ELSE HEX(address_key) END`;

/**
 * The hashes that suppress under some keys, all in hexadecimal: in one statement over both lists, since an address may
 * move from one to the other meanwhile. The keys stand in its text, of which no driver has to make them first, and
 * the hashes come as one value a list: both take longer than to find them.
 */
async function heldUnder(asked: Asked, keys: readonly string[]): Promise<Held[]> {
  const { db, listIds, options } = asked;
  const { tag, at } = options;
  if (keys.some((key) => !/^[0-9a-f]{32}$/.test(key))) throw new Error('a key is 16 octets in hexadecimal');
  const { byIndex, joined } = engineOf(db);
  const tags = tag === undefined ? [] : [Buffer.from(EVERYTHING), Buffer.from(tag)];
  const select = `SELECT ? AS list_id, ${joined(hashOfRow, ' ')} AS hashes FROM opt_outs ${byIndex(null)}
    WHERE list_id = ? AND address_key IN (${keys.map((key) => `X'${key}'`).join(',')}) AND ${LIVE}
    ${tag === undefined ? '' : 'AND tag IN (?, ?)'}`;
  const result: unknown = await db.raw(
    listIds.map(() => select).join(' UNION ALL '),
    listIds.flatMap((id) => [id, id, at, ...tags]),
  );
  const rows = rowsOf<{ list_id: number | string; hashes: Buffer | string | null }>(db, result);
  // There is a hash for each tag: what MySQL has cut off would pass for mailable.
  if (rows.some(({ hashes }) => (hashes ?? '').length >= joinedOctets)) {
    const middle = keys.length >> 1;
    const lower = await heldUnder(asked, keys.slice(0, middle));
    return [...lower, ...(await heldUnder(asked, keys.slice(middle)))];
  }
  return rows.map((row) => ({
    listId: Number(row.list_id),
    hashes: new Set((row.hashes ?? '').toString().toLowerCase().split(' ')),
  }));
}

interface Held {
  readonly listId: number;
  readonly hashes: ReadonlySet<string>;
}

function hashesOf({ normalised, md5, sha256 }: Item): string[] {
  if (normalised === undefined) return [hex(md5 ?? sha256)];
  return addressForms(normalised).flatMap((form) => [hash('md5', form, 'hex'), hash('sha256', form, 'hex')]);
}

function add(found: Found, place: number, listId: number): void {
  const lists = found[place] ?? nobody;
  if (!lists.includes(listId)) found[place] = [...lists, listId];
}

/** Where the hashes stand that may be on more lists than were found. */
async function unsettled(
  items: readonly Item[],
  found: Found,
  listIds: readonly number[],
  kind: 'md5' | 'sha256',
): Promise<Map<string, number[]>> {
  const places = new Map<string, number[]>();
  for (const [place, item] of items.entries()) {
    if (place % itemsAtOnce === itemsAtOnce - 1) await everyoneElse();
    const asked = item[kind];
    if (asked === undefined || (found[place] ?? nobody).length === listIds.length) continue;
    const standing = places.get(hex(asked));
    if (standing === undefined) places.set(hex(asked), [place]);
    else standing.push(place);
  }
  return places;
}

type Note = (place: number, listId: number) => void;

/** MD5s of the Unicode form of a domain, which the entry of an address does not stand under. */
async function goThroughInternational(
  { db, listIds, options, signal }: Asked,
  md5s: ReadonlyMap<string, readonly number[]>,
  note: Note,
): Promise<void> {
  for await (const addresses of walkInternational(db, listIds)) {
    signal?.throwIfAborted();
    const placesOf = new Map<string, readonly number[]>();
    for (const address of addresses) {
      const [own = address, ...others] = addressForms(address);
      for (const form of others) {
        const places = md5s.get(hex(md5Of(form)));
        if (places !== undefined) placesOf.set(hex(md5Of(own)), places);
      }
    }
    // In one query over both lists: an address that moves from one to the other is on one of them.
    const keys = [...placesOf.keys()].sort().map((key) => Buffer.from(key, 'hex'));
    for (const row of await liveRows(db, listIds, keys, options)) {
      if (row.address === null) continue;
      for (const place of placesOf.get(hex(row.address_key)) ?? nobody) note(place, row.list_id);
    }
    await everyoneElse();
  }
}

/** All that the lists hold, for the SHA-256s of its addresses. */
async function goThrough(
  { db, listIds, options, signal }: Asked,
  sha256s: ReadonlyMap<string, readonly number[]>,
  note: Note,
): Promise<void> {
  for await (const groups of readAddresses(db, listIds)) {
    signal?.throwIfAborted();
    for (const row of groups.flat()) {
      if (!isLive(row, options)) continue;
      for (const hash of sha256sOf(row)) {
        for (const place of sha256s.get(hash) ?? nobody) note(place, row.list_id);
      }
    }
    await everyoneElse();
  }
}

/** In hexadecimal. */
function sha256sOf({ address, sha256 }: EntryRow): string[] {
  if (address === null) return sha256 === null ? [] : [hex(sha256)];
  if (!address.includes('xn--')) return [hash('sha256', address, 'hex')];
  return addressForms(address.toString()).map((form) => hash('sha256', form, 'hex'));
}
