import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { noteChange } from './history.js';
import { checkText } from './text.js';

/** A business that runs lists here. */
export interface Account {
  readonly id: number;
  readonly name: string;
  /** The list that counts for the mail of all its lists; see global-list.ts. */
  readonly globalListId: number | null;
  readonly createdAt: number;
}

interface AccountRow {
  id: number;
  name: string;
  global_list_id: number | null;
  created_at: number;
}

/** @throws Invalid for a name that is empty, over 200 characters, or holds control characters. */
export async function createAccount(
  db: Db,
  name: string,
  { actor }: { actor: string } = { actor: 'system' },
): Promise<Account> {
  const row = { name: checkText('name', name, { max: 200 }), created_at: Date.now() };
  const id = await db.transaction(async (trx) => {
    const [accountId = 0] = await trx('accounts').insert(row);
    await noteChange(trx, { accountId, actor, action: 'account.created' });
    return accountId;
  });
  return accountOf({ id, global_list_id: null, ...row });
}

/**
 * Oldest first.
 *
 * @param options.beyond an account's id: only those after it.
 * @param options.limit at most 10,000.
 */
export async function listAccounts(
  db: Db,
  { beyond = 0, limit = 10_000 }: { beyond?: number; limit?: number } = {},
): Promise<Account[]> {
  const rows = await db<AccountRow>('accounts')
    .where('id', '>', beyond)
    .orderBy('id')
    .limit(Math.min(limit, 10_000));
  return rows.map((row) => accountOf(row));
}

/** @throws NotFound */
export async function getAccount(db: Db, id: number): Promise<Account> {
  const row = await db<AccountRow>('accounts').where({ id }).first();
  if (row === undefined) throw new NotFound(`There is no account ${id}.`);
  return accountOf(row);
}

function accountOf(row: AccountRow): Account {
  return { id: row.id, name: row.name, globalListId: row.global_list_id, createdAt: row.created_at };
}
