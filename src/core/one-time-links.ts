import { createHash, randomBytes } from 'node:crypto';
import type { Db } from '../db/connect.js';
import { getUser, type User } from './users.js';

/**
 * Links, and steps between two pages, that are good for once and for a while.
 *
 * `set-up`: makes the first admin. `invitation`: somebody's first password. `password`: a forgotten one, by mail.
 * `handed-on`: the same, by somebody who hands it on, which takes longer; apart, since anybody may ask for mails,
 * and newer links push the oldest out. `code`: the password was right, and the one-time code is missing. `email`:
 * another address, to which it was mailed, is the user's (email-changes.ts).
 */
export const linkLifetimes = {
  'set-up': 24 * 3_600_000,
  invitation: 7 * 24 * 3_600_000,
  password: 3_600_000,
  'handed-on': 24 * 3_600_000,
  code: 10 * 60_000,
  email: 24 * 3_600_000,
} as const;
export type LinkPurpose = keyof typeof linkLifetimes;

interface LinkRow {
  token_hash: Buffer;
  purpose: LinkPurpose;
  user_id: number | null;
  created_at: number;
  expires_at: number;
  email: string | null;
}

/** Of one user and purpose: who asks for more gets the oldest taken away. */
const mostStanding = 5;

/** 256 random bits. */
const tokenPattern = /^[A-Za-z0-9_-]{43}$/;

/**
 * @param options.forMs how long it is good, where that is not what its purpose says.
 * @param options.email of one for another address.
 * @returns the token, which is kept hashed and cannot be told again.
 */
export async function createLink(
  db: Db,
  purpose: LinkPurpose,
  user: User | null,
  { forMs = linkLifetimes[purpose], email = null }: { forMs?: number; email?: string | null } = {},
): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  const now = Date.now();
  await db.transaction(async (trx) => {
    const standing = await trx<LinkRow>('one_time_links')
      .where({ purpose, user_id: user?.id ?? null })
      .orderBy('created_at', 'desc')
      .limit(100)
      .select('token_hash', 'created_at');
    for (const { token_hash } of standing.slice(mostStanding - 1)) {
      await trx('one_time_links').where({ token_hash }).delete();
    }
    await trx('one_time_links').insert({
      token_hash: hashOfLink(token),
      purpose,
      user_id: user?.id ?? null,
      // Each is newer than all before it, within one millisecond too: the oldest is the one that goes.
      created_at: Math.max(now, (standing[0]?.created_at ?? 0) + 1),
      expires_at: now + forMs,
      email,
    });
  });
  return token;
}

/** Whether a link would still open, and for whom; it stays as it is. Of several purposes, whichever it is of. */
export async function findLink(
  db: Db,
  purpose: LinkPurpose | readonly LinkPurpose[],
  token: string,
): Promise<{ user: User | null } | null> {
  if (!tokenPattern.test(token)) return null;
  const row = await db<LinkRow>('one_time_links')
    .where({ token_hash: hashOfLink(token) })
    .whereIn('purpose', [purpose].flat())
    .where('expires_at', '>', Date.now())
    .first('user_id');
  if (row === undefined) return null;
  if (row.user_id === null) return { user: null };
  const user = await getUser(db, row.user_id);
  return user.endedAt === null ? { user } : null;
}

/**
 * Uses a link up. Belongs in the transaction of what it is used for, so that it stays good where that fails.
 *
 * @returns whether it was there to be used: of two that come at once, one.
 */
export async function useLink(
  trx: Db,
  purpose: LinkPurpose | readonly LinkPurpose[],
  token: string,
): Promise<boolean> {
  if (!tokenPattern.test(token)) return false;
  const used = await trx('one_time_links')
    .where({ token_hash: hashOfLink(token) })
    .whereIn('purpose', [purpose].flat())
    .where('expires_at', '>', Date.now())
    .delete();
  return used > 0;
}

/** The ids of those who have an invitation that would still open. @param users at most 1,000. */
export async function usersWithLinks(db: Db, users: readonly User[]): Promise<ReadonlySet<number>> {
  const ids = users.map(({ id }) => id);
  if (ids.length === 0) return new Set();
  const linked: unknown = await db('one_time_links')
    .whereIn('user_id', ids)
    .where({ purpose: 'invitation' })
    .where('expires_at', '>', Date.now())
    .distinct('user_id')
    .pluck('user_id');
  return new Set(linked as number[]);
}

/** @returns whether there may be more. */
export async function forgetLinks(db: Db, now: number, limit = 500): Promise<boolean> {
  const old = (await db('one_time_links')
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .pluck('token_hash')) as Buffer[];
  for (const token_hash of old) await db('one_time_links').where({ token_hash }).delete();
  return old.length === limit;
}

export function hashOfLink(token: string): Buffer {
  return createHash('sha256').update(`signoff link ${token}`).digest();
}
