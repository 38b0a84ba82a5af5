import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { getAccount, type Account } from './accounts.js';
import { findList, getListById, isPublicId, type List } from './lists.js';
import { getMailer, type Mailer } from './mailers.js';
import { userOf, type User, type UserRow } from './users.js';

/**
 * What a user may reach, in the queries themselves: an admin everything, an owner what is of the own account,
 * a mailer the lists that are granted to it and itself. All that a user names goes through here; what may be done
 * with it is the role's (console/routes.ts). What is out of reach is told like what there is not.
 */

/** @throws NotFound */
export async function accountFor(db: Db, user: User, id: number): Promise<Account> {
  if (user.role !== 'admin' && user.accountId !== id) throw new NotFound('There is no such account.');
  return getAccount(db, id);
}

/** @throws NotFound */
export async function listFor(db: Db, user: User, publicId: string): Promise<List> {
  const id = publicId.toLowerCase();
  if (!isPublicId(id)) throw noList();
  if (user.role === 'admin') {
    const list = await findList(db, id);
    if (list === null) throw noList();
    return list;
  }
  const [found] = (await listsInReach(db, user)
    .where('lists.public_id', id)
    .limit(1)
    .pluck('lists.id')) as number[];
  if (found === undefined) throw noList();
  return getListById(db, found);
}

/**
 * The lists of an account, oldest first.
 *
 * @param options.beyond a list's id: only those after it.
 * @param options.limit at most 1,000.
 */
export async function listsFor(
  db: Db,
  user: User,
  account: Account,
  { beyond = 0, limit }: { beyond?: number; limit: number },
): Promise<List[]> {
  const ids = (await listsInReach(db, user)
    .where('lists.account_id', account.id)
    .where('lists.id', '>', beyond)
    .orderBy('lists.id')
    .limit(Math.min(limit, 1000))
    .pluck('lists.id')) as number[];
  const lists: List[] = [];
  for (const id of ids) lists.push(await getListById(db, id));
  return lists;
}

/** Of these ids, those whose lists are in reach. @param ids at most 1,000. */
export async function idsInReach(db: Db, user: User, ids: readonly number[]): Promise<ReadonlySet<number>> {
  const found: unknown = await listsInReach(db, user)
    .whereIn('lists.id', [...new Set(ids)])
    .pluck('lists.id');
  return new Set(found as number[]);
}

/** @throws NotFound as well for another mailer than the user's own. */
export async function mailerFor(db: Db, user: User, account: Account, id: number): Promise<Mailer> {
  const mailer = user.role === 'mailer' && user.mailerId !== id ? null : await getMailer(db, id);
  if (mailer === null || mailer.accountId !== account.id) throw new NotFound('There is no such mailer.');
  return mailer;
}

/** The mailer that a user of the role mailer is of; null for the other roles. */
export async function ownMailer(db: Db, user: User): Promise<Mailer | null> {
  return user.mailerId === null ? null : getMailer(db, user.mailerId);
}

/** Somebody of an account that is in reach. @throws NotFound for anybody else, admins included. */
export async function userOfAccountFor(db: Db, account: Account, id: number): Promise<User> {
  return found(await db<UserRow>('users').where({ id, account_id: account.id }).first());
}

/** @throws NotFound for whoever is no admin, to whoever is none. */
export async function adminFor(db: Db, user: User, id: number): Promise<User> {
  return found(
    user.role === 'admin' ? await db<UserRow>('users').where({ id, role: 'admin' }).first() : undefined,
  );
}

function found(row: UserRow | undefined): User {
  if (row === undefined) throw new NotFound('There is no such user.');
  return userOf(row);
}

/** A query of lists, for other columns of them than `listsFor` gives: what it is given more only narrows it. */
export function listsInReach(db: Db, user: User) {
  const lists = db('lists');
  if (user.role === 'admin') return lists;
  const ofAccount = lists.where('lists.account_id', user.accountId ?? 0);
  if (user.role === 'owner') return ofAccount;
  return ofAccount.whereIn(
    'lists.id',
    db('grants')
      .where({ mailer_id: user.mailerId ?? 0 })
      .select('list_id'),
  );
}

function noList(): NotFound {
  return new NotFound('There is no such list.');
}
