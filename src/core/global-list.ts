import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import type { Account } from './accounts.js';
import { noteChange } from './history.js';
import type { List } from './lists.js';

/**
 * The global list: an account may mark one of its lists so, and whoever is suppressed there gets no mail of
 * any of its lists. What a list itself holds stays as it is.
 */

/** What an account has marked, and at which number of the feed: 0 where it never has. */
export interface GlobalMark {
  readonly listId: number | null;
  readonly number: number;
}

interface MarkRow {
  id: number;
  global_list_id: number | null;
  global_number: number;
}

export async function getGlobalMark(db: Db, accountId: number): Promise<GlobalMark> {
  const row = await db<MarkRow>('accounts').where({ id: accountId }).first('global_list_id', 'global_number');
  return { listId: row?.global_list_id ?? null, number: row?.global_number ?? 0 };
}

/** The lists that count for the mail of one: it, and the global list of its account. */
export async function listsThatCount(db: Db, listId: number): Promise<number[]> {
  const row = await db<MarkRow>('accounts')
    .where('id', db('lists').where({ id: listId }).select('account_id'))
    .first('global_list_id');
  return withGlobal(listId, row?.global_list_id ?? null);
}

export function withGlobal(listId: number, globalListId: number | null): number[] {
  return globalListId === null || globalListId === listId ? [listId] : [listId, globalListId];
}

/**
 * Marks a list as the global one of its account, in place of any other; null: none. What the account's
 * lists suppress changes with that at once, which no delta can carry, so the feed moves on by one number,
 * and cursors from before it are no longer served.
 *
 * @returns whether anything has changed: to mark the same list again changes nothing.
 * @throws Refused for a list of another account, and for an archived one.
 */
export async function setGlobalList(
  db: Db,
  account: Account,
  list: List | null,
  { actor }: { actor: string },
): Promise<boolean> {
  if (list !== null && list.accountId !== account.id) {
    throw new Refused('account', `${list.name} is a list of another account.`);
  }
  return db.transaction(async (trx) => {
    const feed = await trx<{ id: number; last_number: number }>('feed')
      .where({ id: 1 })
      .forUpdate()
      .first('last_number');
    if (feed === undefined) throw new Error('the feed has no row: run signoff migrate');
    const before = await lockMark(trx, account.id);
    if (before === (list?.id ?? null)) return false;
    if (list !== null) await touchUnarchived(trx, list);

    const number = feed.last_number + 1;
    await trx('feed').where({ id: 1 }).update({ last_number: number });
    await trx('accounts')
      .where({ id: account.id })
      .update({ global_list_id: list?.id ?? null, global_number: number });
    await noteChange(trx, {
      accountId: account.id,
      listId: list?.id ?? before,
      actor,
      action: list === null ? 'global-list.unmarked' : 'global-list.marked',
      details: { before },
    });
    return true;
  });
}

/** How many lists of its account a list counts for besides itself, or would as the global one. */
export async function countOtherLists(db: Db, list: List): Promise<number> {
  const [row] = await db('lists')
    .where({ account_id: list.accountId })
    .whereNot({ id: list.id })
    .count('* as n');
  return Number(row?.n);
}

/** @throws Refused where archiving a list would take it out of use as the global one, or seem to. */
export async function checkNotGlobal(trx: Db, list: List): Promise<void> {
  if ((await lockMark(trx, list.accountId)) !== list.id) return;
  throw new Refused(
    'global-list',
    `${list.name} is the global list of its account: mail of the other lists must not reach its addresses. ` +
      `Before it can be archived, another list has to become the global one, or none (signoff list global ${list.publicId} --off).`,
  );
}

async function lockMark(trx: Db, accountId: number): Promise<number | null> {
  const row = await trx<MarkRow>('accounts').where({ id: accountId }).forUpdate().first('global_list_id');
  return row?.global_list_id ?? null;
}

/** Written, and not only looked at: of a marking and an archiving on two nodes of a cluster, one fails then. */
async function touchUnarchived(trx: Db, list: List): Promise<void> {
  const row = await trx<{ id: number; archived_at: number | null }>('lists')
    .where({ id: list.id })
    .forUpdate()
    .first('archived_at');
  if (row?.archived_at !== null) {
    throw new Refused('archived', `${list.name} is archived: an archived list cannot be the global one.`);
  }
  await trx('lists').where({ id: list.id }).update({ changed_at: Date.now() });
}
