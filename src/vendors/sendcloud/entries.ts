import { parseAddress, type Address } from '../../core/address.js';
import { listsThatCount } from '../../core/global-list.js';
import { optOutsBetween } from '../../core/opt-outs-by-time.js';
import type { OptOutRecord } from '../../core/opt-outs.js';
import { findOptOuts, findOptOutsOf } from '../../core/suppressed.js';
import type { Db } from '../../db/connect.js';
import { Failure } from './answers.js';
import { rangeOf, type ApiUserList } from './call.js';

/** What a call asks for: an address's entries, or else those of its days. */
export interface Asked {
  readonly address: Address | null;
  /** UTC milliseconds, `to` not included. */
  readonly range: { readonly from: number; readonly to: number };
}

/** @throws Failure 40011 where it names neither, 40012, and those of `rangeOf`. */
export function askedOf(parameters: URLSearchParams, now: number): Asked {
  const address = emailOf(parameters);
  if (address !== null) return { address, range: { from: 0, to: Infinity } };
  const range = rangeOf(parameters, now);
  if (range === null) throw new Failure(40011);
  return { address, range };
}

/**
 * @returns null where none is given.
 * @throws Failure 40012
 */
export function emailOf(parameters: URLSearchParams): Address | null {
  const text = parameters.get('email') ?? '';
  if (text.trim() === '') return null;
  const result = parseAddress(text, { query: true });
  if (!result.ok) throw new Failure(40012);
  return result.address;
}

/** The live entries of lists that a call asks for, by slices: with those of the global list of their account. */
export async function* countingEntries(
  db: Db,
  lists: readonly ApiUserList[],
  asked: Asked,
  now: number,
): AsyncGenerator<{ apiUser: string; rows: readonly OptOutRecord[] }> {
  for (const { apiUser, list } of lists) {
    for (const listId of await listsThatCount(db, list.id)) {
      for await (const rows of entriesOf(db, listId, asked, now)) {
        const isOwn = listId === list.id;
        yield { apiUser, rows: isOwn ? rows : await withoutThoseOf(db, list.id, rows, asked, now) };
      }
    }
  }
}

/** The live entries of one list alone, by slices. */
export async function* entriesOf(
  db: Db,
  listId: number,
  { address, range }: Asked,
  now: number,
): AsyncGenerator<OptOutRecord[]> {
  if (address === null) yield* optOutsBetween(db, listId, { ...range, at: now });
  else yield (await findOptOuts(db, listId, address.normalised)).filter((row) => isAskedFor(row, range, now));
}

function isAskedFor(row: OptOutRecord, { from, to }: Asked['range'], now: number): boolean {
  if (row.address === null || row.removed_at !== null) return false;
  return (row.expires_at === null || row.expires_at > now) && row.created_at >= from && row.created_at < to;
}

/** What the global list holds, but for what has been given of the list itself. */
async function withoutThoseOf(
  db: Db,
  listId: number,
  rows: readonly OptOutRecord[],
  { range }: Asked,
  now: number,
): Promise<OptOutRecord[]> {
  const addresses = rows.map((row) => row.address?.toString() ?? '');
  const own = await findOptOutsOf(db, listId, addresses);
  const given = new Set(own.filter((row) => isAskedFor(row, range, now)).map(nameOf));
  return rows.filter((row) => !given.has(nameOf(row)));
}

function nameOf({ address_key, tag }: OptOutRecord): string {
  return `${address_key.toString('hex')} ${tag.toString('hex')}`;
}
