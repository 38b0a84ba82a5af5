import type { Db } from '../db/connect.js';
import { listAccounts, type Account } from './accounts.js';

export interface AccountOverview {
  readonly account: Account;
  readonly lists: number;
  /** Who may sign in. */
  readonly users: number;
}

/**
 * Oldest first.
 *
 * @param options.beyond an account's id: only those after it.
 * @param options.limit at most 1,000.
 */
export async function accountOverviews(
  db: Db,
  { beyond = 0, limit }: { beyond?: number; limit: number },
): Promise<AccountOverview[]> {
  const accounts = await listAccounts(db, { beyond, limit: Math.min(limit, 1000) });
  const ids = accounts.map(({ id }) => id);
  const lists = await countsOf(db, 'lists', ids);
  const users = await countsOf(db, 'users', ids, { ended_at: null });
  return accounts.map((account) => ({
    account,
    lists: lists.get(account.id) ?? 0,
    users: users.get(account.id) ?? 0,
  }));
}

async function countsOf(
  db: Db,
  table: 'lists' | 'users',
  ids: readonly number[],
  those: Record<string, null> = {},
): Promise<Map<number, number>> {
  const counted: { account_id: number; n: number | string }[] = await db(table)
    .whereIn('account_id', ids)
    .where(those)
    .groupBy('account_id')
    .select('account_id')
    .count('* as n');
  return new Map(counted.map(({ account_id, n }) => [account_id, Number(n)]));
}
