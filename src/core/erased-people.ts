import type { Db } from '../db/connect.js';
import { addressForms, md5Of, sha256Of } from './address.js';

/** An address that an account has erased, by its hashes. */
export interface ErasedPerson {
  readonly sha256: Buffer;
}

interface ErasedRow {
  account_id: number;
  address_key: Buffer;
  sha256: Buffer;
  at: number;
}

/**
 * Those of these addresses that an account has erased: an import keeps only their hashes.
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
    .select('address_key', 'sha256');
  return new Map(rows.map(({ address_key, sha256 }) => [address_key.toString('hex'), { sha256 }]));
}

/** Notes an address as erased, by the hashes of its forms; the first time stays. */
export async function noteErased(
  db: Db,
  accountId: number,
  normalised: string,
  at: number,
): Promise<void> {
  const rows = addressForms(normalised).map((form) => ({
    account_id: accountId,
    address_key: md5Of(form),
    sha256: sha256Of(form),
    at,
  }));
  await db<ErasedRow>('erased_people')
    .insert(rows)
    .onConflict(['account_id', 'address_key'])
    .merge(['sha256']);
}
