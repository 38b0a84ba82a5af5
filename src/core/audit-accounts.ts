import type { Db } from '../db/connect.js';
import { settingsFaultsOf } from './account-settings.js';
import type { Breach } from './audit.js';
import { sliceRows } from './audit-slices.js';

interface MarkedAccount {
  id: number;
  global_list_id: number | null;
  global_number: number;
  time_zone: string | null;
  zip_password: Buffer | null;
  zip_cipher: string;
  list_account_id: number | null;
  archived_at: number | null;
}

/**
 * An account's global list is one of its own and not archived, and was marked at a number that the feed has
 * come to. Both are read in one statement: they change together. Its settings pass as they stand.
 */
export async function* auditAccounts(db: Db): AsyncGenerator<Breach> {
  for (let after = 0; ;) {
    const rows: MarkedAccount[] = await db('accounts')
      .leftJoin('lists', 'lists.id', 'accounts.global_list_id')
      .where('accounts.id', '>', after)
      .orderBy('accounts.id')
      .limit(sliceRows)
      .select('accounts.id', 'accounts.global_list_id', 'accounts.global_number')
      .select('accounts.time_zone', 'accounts.zip_password', 'accounts.zip_cipher')
      .select('lists.account_id as list_account_id', 'lists.archived_at');
    // Read after the accounts: it only rises.
    const feed = await db<{ id: number; last_number: number }>('feed').where({ id: 1 }).first();
    for (const row of rows) {
      for (const what of faultsOf(row, feed?.last_number ?? 0)) {
        yield { code: 'global-list', table: 'accounts', description: `account ${row.id}: ${what}` };
      }
      for (const what of settingsFaultsOf(row)) {
        yield { code: 'settings', table: 'accounts', description: `account ${row.id}: ${what}` };
      }
    }
    after = rows.at(-1)?.id ?? 0;
    if (rows.length < sliceRows) return;
  }
}

function* faultsOf(row: MarkedAccount, lastNumber: number): Generator<string> {
  const { global_list_id: listId, global_number: number } = row;
  if (number < 0 || number > lastNumber) {
    yield `global_number ${number} is not between 0 and the feed's last, ${lastNumber}`;
  }
  if (listId === null) return;
  if (number === 0) yield `list ${listId} is its global one, and was marked at no number of the feed`;
  if (row.list_account_id === null) yield `its global list ${listId} is in no row of lists`;
  else if (row.list_account_id !== row.id) yield `its global list ${listId} is of another account`;
  if (row.archived_at !== null) yield `its global list ${listId} is archived`;
}
