import type { Db } from '../db/connect.js';
import { entryKeysOf } from './address.js';
import { listsThatCount } from './global-list.js';
import { EVERYTHING, LIVE, type OptOutRecord } from './opt-outs.js';
import { asItCounts, removalsUnderWay, removedAtOf, type RemovableRow } from './removals-under-way.js';

/** Whom a list's mail must not reach: the questions that are asked about single addresses. */

/**
 * All that a list holds of an address, removed rows included, one row a tag. Finds hash-only entries as
 * well: by MD5, and by SHA-256. What the global list holds is not among it. What a removal under way is still to
 * take counts as removed.
 */
export async function findOptOuts(db: Db, listId: number, normalised: string): Promise<OptOutRecord[]> {
  return findOptOutsOf(db, listId, [normalised]);
}

/** The same of many addresses, at most 1,000. */
export async function findOptOutsOf(
  db: Db,
  listId: number,
  normalised: readonly string[],
): Promise<OptOutRecord[]> {
  // Read first: what is carried out meanwhile is then seen in its rows.
  const underWay = await removalsUnderWay(db, [listId]);
  const rows = await db<OptOutRecord>('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', normalised.flatMap(entryKeysOf))
    .orderBy('tag');
  return rows.map((row) => asItCounts(row, underWay));
}

interface Asked {
  /** Whether mail of this tag may reach them; without it, mail that has none. */
  readonly tag?: string;
  /** UTC milliseconds; without it, now. */
  readonly at?: number;
}

/**
 * Whether mail of this list (of this tag of it) must not reach the address: the list suppresses it, or the
 * global list of its account.
 *
 * @throws whatever the database does: a look-up that fails is never taken for a no.
 */
export async function isSuppressed(
  db: Db,
  listId: number,
  normalised: string,
  asked: Asked = {},
): Promise<boolean> {
  return (await findSuppressed(db, listId, [normalised], asked)).has(normalised);
}

/**
 * Those of many addresses that mail of this list (of this tag of it) must not reach: `isSuppressed` in one
 * query.
 *
 * @param normalised at most 1,000.
 * @returns by address, the ids of the lists that suppress it: this one, the global one, or both.
 */
export async function findSuppressed(
  db: Db,
  listId: number,
  normalised: readonly string[],
  { tag = EVERYTHING, at = Date.now() }: Asked = {},
): Promise<Map<string, ReadonlySet<number>>> {
  const keys = normalised.map(entryKeysOf);
  const tags = [...new Set([EVERYTHING, tag])].map((text) => Buffer.from(text));
  const listIds = await listsThatCount(db, listId);
  const underWay = await removalsUnderWay(db, listIds);
  // A SELECT a list: one over both would be too much for the range optimizer where there are many keys.
  const queries = listIds.map((id) =>
    db('opt_outs')
      .where({ list_id: id })
      .whereIn('address_key', keys.flat())
      .whereIn('tag', tags)
      .modify((query) => {
        if (underWay.length === 0) void query.whereRaw(LIVE, [at]);
      })
      .select('list_id', 'address_key', 'last_at', 'expires_at', 'removed_at', 'removal_id'),
  );
  const found = (await db.unionAll(queries)) as (RemovableRow & { address_key: Buffer })[];
  const rows = found.filter(
    (row) => (row.expires_at === null || row.expires_at > at) && removedAtOf(row, underWay) === null,
  );
  const listsByKey = new Map<string, Set<number>>();
  for (const { list_id, address_key } of rows) {
    const key = address_key.toString('hex');
    listsByKey.set(key, (listsByKey.get(key) ?? new Set()).add(list_id));
  }
  const suppressed = new Map<string, ReadonlySet<number>>();
  normalised.forEach((address, i) => {
    const lists = (keys[i] ?? []).flatMap((key) => [...(listsByKey.get(key.toString('hex')) ?? [])]);
    if (lists.length > 0) suppressed.set(address, new Set(lists));
  });
  return suppressed;
}
