import type { Db } from '../db/connect.js';
import { addressForms, md5Of, sha256Of } from './address.js';

/** The people that an account has erased: hashes of addresses, by which an import knows them again. */

/** Both hashes of one form of an address: all that an erased person's entry keeps. */
export interface Hashes {
  readonly md5: Buffer;
  readonly sha256: Buffer;
}

/**
 * What an erased person's entries are made of: one for each form of the address, so that downloads go on
 * carrying the hashes of both where a domain has a Unicode and an ASCII form.
 */
export function hashesOfForms(normalised: string): Hashes[] {
  return addressForms(normalised).map((form) => ({ md5: md5Of(form), sha256: sha256Of(form) }));
}

interface ErasedRow {
  account_id: number;
  address_key: Buffer;
  sha256: Buffer;
  at: number;
}

/** An address that an account has erased. */
export interface ErasedPerson {
  readonly sha256: Buffer;
  /** UTC milliseconds; the first time, where it was erased more than once. */
  readonly at: number;
}

/**
 * Those of these addresses that an account has erased: an import keeps the hashes of their forms alone
 * (hashesOfForms).
 *
 * @param keys MD5s of normalised addresses; at most 1,000.
 * @returns by the MD5 in hexadecimal.
 */
export async function findErased(
  db: Db,
  accountId: number,
  keys: readonly Buffer[],
): Promise<Map<string, ErasedPerson>> {
  if (keys.length === 0) return new Map();
  const rows = await db<ErasedRow>('erased_people')
    .where({ account_id: accountId })
    .whereIn('address_key', keys)
    .select('address_key', 'sha256', 'at');
  return new Map(rows.map(({ address_key, sha256, at }) => [address_key.toString('hex'), { sha256, at }]));
}

/** Notes an address as erased, in each of its forms; the first time stays. */
export async function noteErased(db: Db, accountId: number, normalised: string, at: number): Promise<void> {
  const rows = hashesOfForms(normalised).map(({ md5, sha256 }) => ({
    account_id: accountId,
    address_key: md5,
    sha256,
    at,
  }));
  await db<ErasedRow>('erased_people')
    .insert(rows)
    .onConflict(['account_id', 'address_key'])
    .merge(['sha256']);
}
