import type { Db } from '../db/connect.js';
import type { Credential } from './credentials.js';
import { getListById, type List } from './lists.js';

/**
 * A page of the lists that a credential is for, oldest first.
 *
 * @param options.beyond a list's id: only those after it, or, backwards, before it.
 * @param options.limit at most 101: each list takes three queries.
 */
export async function grantedLists(
  db: Db,
  { accountId, listIds }: Credential,
  { beyond = null, backwards = false, limit }: { beyond?: number | null; backwards?: boolean; limit: number },
): Promise<List[]> {
  const ids = (await db<{ id: number; account_id: number }>('lists')
    .where({ account_id: accountId })
    .modify((query) => {
      if (listIds !== null) void query.whereIn('id', [...listIds]);
      if (beyond !== null) void query.where('id', backwards ? '<' : '>', beyond);
    })
    .orderBy('id', backwards ? 'desc' : 'asc')
    .limit(limit)
    .pluck('id')) as number[];
  const lists: List[] = [];
  for (const id of backwards ? ids.reverse() : ids) lists.push(await getListById(db, id));
  return lists;
}
