import type { Db } from '../db/connect.js';
import { createLink, useLink } from './one-time-links.js';
import { storePassword } from './user-passwords.js';
import { createUser, type User } from './users.js';

/**
 * The link that makes the first admin, for as long as there is none.
 *
 * @returns its token; null where there is an admin already.
 */
export async function createSetUpLink(db: Db): Promise<string | null> {
  const standing: unknown = await db('users').where({ role: 'admin' }).first('id');
  return standing === undefined ? createLink(db, 'set-up', null) : null;
}

/**
 * Uses the link up, in a transaction. Of two that come at once, with one link or with two of them, one makes the
 * admin.
 *
 * @param passwordHash of a password that passed `checkChosen`.
 * @returns null for a link that is used up, or where there is an admin already.
 * @throws Invalid naming what does not pass; the link stays good then.
 */
export async function createFirstAdmin(
  trx: Db,
  token: string,
  { email, name, passwordHash }: { email: string; name: string; passwordHash: string },
): Promise<User | null> {
  // One row that all of them have to wait for.
  await trx('feed').where({ id: 1 }).forUpdate().first('id');
  const standing: unknown = await trx('users').where({ role: 'admin' }).forUpdate().first('id');
  if (standing !== undefined || !(await useLink(trx, 'set-up', token))) return null;
  const admin = await createUser(trx, { role: 'admin' }, { email, name }, { actor: 'set-up' });
  // The others that were printed, by other processes or earlier starts.
  await trx('one_time_links').where({ purpose: 'set-up' }).delete();
  return storePassword(trx, admin, passwordHash, { actor: 'set-up' });
}
