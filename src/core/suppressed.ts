import type { Db } from '../db/connect.js';
import { md5Of, sha256Of } from './address.js';
import { EVERYTHING, LIVE, type OptOutRecord } from './opt-outs.js';

/** Whom a list's mail must not reach: the questions that are asked about single addresses. */

/**
 * All that a list holds of an address, removed rows included, one row a tag. Finds hash-only entries as
 * well: by MD5, and by SHA-256.
 */
export async function findOptOuts(db: Db, listId: number, normalised: string): Promise<OptOutRecord[]> {
  const rows = await db<OptOutRecord>('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', [md5Of(normalised), sha256Of(normalised).subarray(0, 16)])
    .orderBy('tag');
  return rows;
}

/**
 * Whether mail of this list (of this tag of it) must not reach the address.
 *
 * @throws whatever the database does: a look-up that fails is never taken for a no.
 */
export async function isSuppressed(
  db: Db,
  listId: number,
  normalised: string,
  { tag = EVERYTHING, at = Date.now() }: { tag?: string; at?: number } = {},
): Promise<boolean> {
  const row: unknown = await db('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', [md5Of(normalised), sha256Of(normalised).subarray(0, 16)])
    .whereIn(
      'tag',
      [...new Set([EVERYTHING, tag])].map((text) => Buffer.from(text)),
    )
    .whereRaw(LIVE, [at])
    .first('list_id');
  return row !== undefined;
}

/**
 * Those of many addresses that mail of this list (of this tag of it) must not reach: `isSuppressed` in one
 * query.
 *
 * @param normalised at most 1,000.
 */
export async function findSuppressed(
  db: Db,
  listId: number,
  normalised: readonly string[],
  { tag = EVERYTHING, at = Date.now() }: { tag?: string; at?: number } = {},
): Promise<Set<string>> {
  const keys = normalised.map((address) => [md5Of(address), sha256Of(address).subarray(0, 16)]);
  const rows = await db<{ list_id: number; address_key: Buffer; tag: Buffer }>('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', keys.flat())
    .whereIn(
      'tag',
      [...new Set([EVERYTHING, tag])].map((text) => Buffer.from(text)),
    )
    .whereRaw(LIVE, [at])
    .select('address_key');
  const live = new Set(rows.map((row) => row.address_key.toString('hex')));
  return new Set(normalised.filter((_, i) => keys[i]?.some((key) => live.has(key.toString('hex')))));
}
