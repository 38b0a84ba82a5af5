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

export async function listAccounts(db: Db): Promise<Account[]> {
  return (await db<AccountRow>('accounts').orderBy('id').limit(10_000)).map((row) => accountOf(row));
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
