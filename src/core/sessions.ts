import { createHash, randomBytes } from 'node:crypto';
import { retrying, type Db } from '../db/connect.js';
import { shortened } from './text.js';
import { userOf, type User, type UserRow } from './users.js';

/** Somebody who is signed in, in one browser. */
export interface Session {
  /** Names it on pages: of no use to whoever wants to be somebody. */
  readonly id: string;
  readonly userId: number;
  readonly createdAt: number;
  readonly seenAt: number;
  readonly expiresAt: number;
  /** Empty where it could not be told. */
  readonly ip: string;
  /** What it calls itself. */
  readonly browser: string;
}

interface SessionRow {
  token_hash: Buffer;
  user_id: number;
  created_at: number;
  seen_at: number;
  expires_at: number;
  ip: string;
  browser: string;
}

/** A week, and half a day after the last page. */
export const sessionMs = 7 * 24 * 3_600_000;
const idleMs = 12 * 3_600_000;
/** How old the noted time may be: not every page needs a write. */
const seenEveryMs = 60_000;
const seenPatienceMs = 1000;

/** Of one user: who signs in more often has the oldest ended. */
const mostSessions = 50;

const tokenPattern = /^[A-Za-z0-9_-]{43}$/;

/**
 * Signs somebody in: always a new token, so that one which was there before the sign-in opens nothing.
 *
 * @returns the token for the cookie: 256 random bits, of which the table holds the SHA-256.
 */
export async function createSession(
  trx: Db,
  user: User,
  { ip, browser }: { ip: string | null; browser: string },
): Promise<string> {
  const token = randomBytes(32).toString('base64url');
  const now = Date.now();
  const older = await trx<SessionRow>('sessions')
    .where({ user_id: user.id })
    .orderBy('seen_at', 'desc')
    .offset(mostSessions - 1)
    .limit(1000)
    .select('token_hash');
  for (const { token_hash } of older) await trx('sessions').where({ token_hash }).delete();
  await trx('sessions').insert({
    token_hash: hashOf(token),
    user_id: user.id,
    created_at: now,
    seen_at: now,
    expires_at: now + sessionMs,
    ip: ip ?? '',
    browser: shortened(browser, 200),
  });
  await trx('users').where({ id: user.id }).update({ signed_in_at: now });
  return token;
}

/** @returns null for a token that opens nothing any more: signed out, ended, too old, or left alone for too long. */
export async function findSession(
  db: Db,
  token: string,
  now = Date.now(),
): Promise<{ session: Session; user: User } | null> {
  if (!tokenPattern.test(token)) return null;
  const token_hash = hashOf(token);
  const row = await db<SessionRow>('sessions').where({ token_hash }).first();
  if (row === undefined || row.expires_at <= now || row.seen_at + idleMs <= now) return null;
  const user = await db<UserRow>('users').where({ id: row.user_id, ended_at: null }).first();
  if (user === undefined) return null;
  if (row.seen_at + seenEveryMs <= now) {
    await retrying(db, seenPatienceMs, () => db('sessions').where({ token_hash }).update({ seen_at: now }));
  }
  return { session: sessionOf(row), user: userOf(user) };
}

/** The latest first; those that have run out are left out. */
export async function sessionsOf(db: Db, user: User, now = Date.now()): Promise<Session[]> {
  const rows = await db<SessionRow>('sessions')
    .where({ user_id: user.id })
    .where('expires_at', '>', now)
    .where('seen_at', '>', now - idleMs)
    .orderBy('seen_at', 'desc')
    .limit(mostSessions);
  return rows.map(sessionOf);
}

/** @returns whether there was one to end. */
export async function endSession(db: Db, user: User, id: string): Promise<boolean> {
  if (!/^[0-9a-f]{64}$/.test(id)) return false;
  const ended = await db('sessions')
    .where({ user_id: user.id, token_hash: Buffer.from(id, 'hex') })
    .delete();
  return ended > 0;
}

/** Ends all of a user's but one. */
export async function endOtherSessions(db: Db, user: User, kept: Session): Promise<number> {
  return db('sessions')
    .where({ user_id: user.id })
    .whereNot({ token_hash: Buffer.from(kept.id, 'hex') })
    .delete();
}

/** @returns whether there may be more. */
export async function forgetSessions(db: Db, now: number, limit = 500): Promise<boolean> {
  const old = (await db('sessions')
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(limit)
    .pluck('token_hash')) as Buffer[];
  for (const token_hash of old) await db('sessions').where({ token_hash }).delete();
  return old.length === limit;
}

/**
 * What the forms of a session carry, so that no other site can send them: made of its token, which no page shows.
 */
export function formTokenOf(token: string): string {
  return createHash('sha256').update(`signoff form ${token}`).digest('base64url');
}

function sessionOf(row: SessionRow): Session {
  return {
    id: row.token_hash.toString('hex'),
    userId: row.user_id,
    createdAt: row.created_at,
    seenAt: row.seen_at,
    expiresAt: Math.min(row.expires_at, row.seen_at + idleMs),
    ip: row.ip,
    browser: row.browser,
  };
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(`signoff session ${token}`).digest();
}
