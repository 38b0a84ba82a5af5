import type { Db } from '../db/connect.js';
import { Invalid, Refused } from '../errors.js';
import { createLink, hashOfLink, linkLifetimes, useLink } from './one-time-links.js';
import { stillStands } from './user-passwords.js';
import { checkEmail, editUser, noteOfUser, type User, type UserRow } from './users.js';

/**
 * Another address to sign in with counts once it is confirmed: by a link that was mailed there, opened by the user,
 * who is signed in. Whoever reads that mailbox alone, since the address was mistyped, gets nothing by it.
 */

/** An address that waits to be confirmed. */
export interface EmailChange {
  readonly email: string;
  readonly expiresAt: number;
}

/**
 * Part of a transaction. One that was asked for before is given up; so is it where the present address is asked for.
 *
 * @returns the address, and the token of the link to mail there; null for the present address.
 * @throws Invalid `email`: malformed, or taken.
 */
export async function askForEmail(
  trx: Db,
  user: User,
  typed: string,
  { actor }: { actor: string },
): Promise<{ email: string; token: string } | null> {
  const email = checkEmail('email', typed);
  await giveUpEmail(trx, user);
  if (email === user.email) return null;
  const standing = await trx<UserRow>('users').where({ email }).first('id');
  if (standing !== undefined) {
    throw new Invalid('email', 'taken', 'email is one that somebody signs in with already');
  }
  const token = await createLink(trx, 'email', user, { email });
  await noteOfUser(trx, user, actor, 'user.email-asked');
  return { email, token };
}

/** Gives up what waits to be confirmed: its link opens nothing any more. */
export async function giveUpEmail(trx: Db, user: User): Promise<void> {
  await trx('one_time_links').where({ user_id: user.id, purpose: 'email' }).delete();
}

/** What waits to be confirmed, for whoever asked for it; null for nothing. */
export async function waitingEmail(db: Db, user: User): Promise<EmailChange | null> {
  return readChange(db, { user_id: user.id });
}

/** What a link of this user's would confirm; null for one that opens nothing, or is somebody else's. */
export async function findEmailChange(db: Db, user: User, token: string): Promise<EmailChange | null> {
  return readChange(db, { user_id: user.id, token_hash: hashOfLink(token) });
}

/**
 * Takes the address into use, and all links of this user away. Part of a transaction; of two that come at once, one.
 *
 * @returns the user as it is now; null for a link that opens nothing any more.
 * @throws Refused `email-taken`, where somebody else has got the address since. The link stays good.
 */
export async function confirmEmail(
  trx: Db,
  user: User,
  token: string,
  { actor }: { actor: string },
): Promise<User | null> {
  // The user first, as whoever changes the password does.
  if (!(await stillStands(trx, user))) return null;
  const change = await findEmailChange(trx, user, token);
  if (change === null || !(await useLink(trx, 'email', token))) return null;
  return editUser(trx, user, { email: change.email }, { actor }).catch((error: unknown) => {
    if (!(error instanceof Invalid) || error.problem !== 'taken') throw error;
    throw new Refused('email-taken', 'Somebody else signs in with this address by now. Nothing was changed.');
  });
}

/** For how long the link is good, and the mail with it worth sending. */
export const emailLinkMs = linkLifetimes.email;

async function readChange(
  db: Db,
  where: { readonly user_id: number; readonly token_hash?: Buffer },
): Promise<EmailChange | null> {
  const row: { email: string; expires_at: number } | undefined = await db('one_time_links')
    .where({ ...where, purpose: 'email' })
    .where('expires_at', '>', Date.now())
    .first('email', 'expires_at');
  return row === undefined ? null : { email: row.email, expiresAt: row.expires_at };
}
