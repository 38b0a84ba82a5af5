import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { createLink, useLink } from './one-time-links.js';
import { createUser, getUser, setPassword, type User } from './users.js';

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
 * Uses the link up. Of two that come at once, one makes the admin.
 *
 * @returns null for a link that is used up, or where there is an admin already.
 * @throws Invalid naming what does not pass; the link stays good then.
 */
export async function createFirstAdmin(
  db: Db,
  token: string,
  { email, name, password }: { email: string; name: string; password: string },
): Promise<User | null> {
  try {
    return await db.transaction(async (trx) => {
      // One row that all of them have to wait for.
      await trx('feed').where({ id: 1 }).forUpdate().first('id');
      const standing: unknown = await trx('users').where({ role: 'admin' }).first('id');
      if (standing !== undefined || !(await useLink(trx, 'set-up', token))) throw usedUp;
      const admin = await createUser(trx, { role: 'admin' }, { email, name }, { actor: 'set-up' });
      await setPassword(trx, admin, password, { actor: 'set-up' });
      // The others that were printed, by other processes or earlier starts.
      await trx('one_time_links').where({ purpose: 'set-up' }).delete();
      return getUser(trx, admin.id);
    });
  } catch (error) {
    if (error === usedUp) return null;
    throw error;
  }
}

const usedUp = new Refused('used-up', 'This link was used already, or has run out.');
