import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { signOutEverywhere } from './user-passwords.js';
import { getUser, noteOfUser, type User, type UserRow } from './users.js';
import { forgetWrongCodes } from './wrong-codes.js';

/**
 * Nobody signs in as this user any more, from now on and wherever it was signed in; the history keeps the id.
 *
 * @param options.by who does it, where that is a user.
 * @param options.evenLast also the last admin, or the last owner of an account.
 * @returns whether that was not so before.
 * @throws Refused `end-self`, `last-admin` or `last-owner`.
 */
export async function endUser(
  db: Db,
  user: User,
  { actor, by = null, evenLast = false }: { actor: string; by?: User | null; evenLast?: boolean },
): Promise<boolean> {
  if (by?.id === user.id) throw new Refused('end-self', 'You cannot end yourself: somebody else has to.');
  return db.transaction(async (trx) => {
    if (!evenLast) await refuseLast(trx, user);
    const ended = await trx('users').where({ id: user.id, ended_at: null }).update({ ended_at: Date.now() });
    await signOutEverywhere(trx, user);
    if (ended > 0) await noteOfUser(trx, user, actor, 'user.ended');
    return ended > 0;
  });
}

/**
 * Lets somebody who was ended sign in again, by a new invitation: password and one-time codes of before are gone.
 *
 * @throws Refused for a user who was not ended.
 */
export async function reviveUser(db: Db, user: User, { actor }: { actor: string }): Promise<User> {
  await db.transaction(async (trx) => {
    const revived = await trx('users')
      .where({ id: user.id })
      .whereNotNull('ended_at')
      .update({ ended_at: null, password_hash: null, password_at: null, totp_secret: null, totp_step: 0 });
    if (revived === 0) throw new Refused('not-ended', 'This user was not ended.');
    await trx('recovery_codes').where({ user_id: user.id }).delete();
    await forgetWrongCodes(trx, user);
    await signOutEverywhere(trx, user);
    await noteOfUser(trx, user, actor, 'user.revived');
  });
  return getUser(db, user.id);
}

/** The rows are locked: of two who end each other at once, one is refused. */
async function refuseLast(trx: Db, { id, role, accountId }: User): Promise<void> {
  if (role === 'mailer') return;
  const standing = await trx<UserRow>('users')
    .where({ role, account_id: accountId, ended_at: null })
    .whereNotNull('password_hash')
    .orderBy('id')
    .limit(1000)
    .forUpdate()
    .select('id');
  // Somebody who has not come yet is none of those who can sign in.
  if (standing.length !== 1 || standing[0]?.id !== id) return;
  throw role === 'admin'
    ? new Refused('last-admin', 'This is the last admin: nobody could run the installation any more.')
    : new Refused('last-owner', 'This is the last owner of the account: invite another one first.');
}
