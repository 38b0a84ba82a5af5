import type { Db } from '../db/connect.js';
import { checkPassword, hashPassword } from './passwords.js';
import { findUserRow, noteOfUser, userOf, type User, type UserRow } from './users.js';

/**
 * Whom somebody wants to sign in as, with the hash to hold the password against. One query, whoever there is, so
 * that its time tells nothing.
 *
 * @returns null for both where nobody signs in like that; ended users included.
 */
export async function findSigningIn(
  db: Db,
  email: string,
): Promise<{ user: User; passwordHash: string | null } | { user: null; passwordHash: null }> {
  const row = await findUserRow(db, email);
  if (row?.ended_at !== null) return { user: null, passwordHash: null };
  return { user: userOf(row), passwordHash: row.password_hash };
}

/** The stored hash, to hold a password against; null where there is none. */
export async function passwordHashOf(db: Db, userId: number): Promise<string | null> {
  const row = await db<UserRow>('users').where({ id: userId }).first('password_hash');
  return row?.password_hash ?? null;
}

/**
 * A password that may be chosen, as it is hashed: which takes some tens of milliseconds, and has to be done before
 * a transaction begins. With SQLite, a transaction keeps everybody else waiting.
 *
 * @throws Invalid
 */
export function checkChosen(password: string, { email, name }: { email: string; name: string }): string {
  return checkPassword('password', password, [email, email.split('@')[0] ?? '', name]);
}

/**
 * Sets a password, and ends all that went on with the one before: sessions, and links that were sent out. Part of
 * a transaction.
 *
 * @param passwordHash of a password that passed `checkChosen`.
 * @returns the user as it is now.
 */
export async function storePassword(
  trx: Db,
  user: User,
  passwordHash: string,
  { actor }: { actor: string },
): Promise<User> {
  const passwordAt = Math.max(Date.now(), (user.passwordAt ?? 0) + 1);
  await trx('users').where({ id: user.id }).update({ password_hash: passwordHash, password_at: passwordAt });
  await signOutEverywhere(trx, user);
  await noteOfUser(trx, user, actor, 'user.password-set');
  return { ...user, hasPassword: true, passwordAt };
}

/** The same on its own. @throws Invalid for a password that may not be chosen. */
export async function setPassword(
  db: Db,
  user: User,
  password: string,
  { actor }: { actor: string },
): Promise<void> {
  const hashed = await hashPassword(checkChosen(password, user));
  await db.transaction(async (trx) => storePassword(trx, user, hashed, { actor }));
}

/** Part of the transaction that changes what somebody signs in with. */
export async function signOutEverywhere(trx: Db, { id }: Pick<User, 'id'>): Promise<void> {
  await trx('sessions').where({ user_id: id }).delete();
  await trx('one_time_links').where({ user_id: id }).delete();
}

/**
 * Whether a user still stands as it was read: not ended, and with the same address and password, and codes on or
 * off as they were. Locks its row, so that
 * nothing changes before the transaction ends: whoever is let in at the same moment as the password is changed
 * comes before the change, which signs everybody out, or is not let in.
 */
export async function stillStands(trx: Db, user: User): Promise<boolean> {
  const row = await trx<UserRow>('users').where({ id: user.id }).forUpdate().first();
  if (row?.ended_at !== null) return false;
  const now = userOf(row);
  return (
    now.passwordAt === user.passwordAt &&
    now.email === user.email &&
    now.hasOneTimeCodes === user.hasOneTimeCodes
  );
}
