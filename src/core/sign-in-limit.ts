import { createHash } from 'node:crypto';
import { clientNetworkOf } from '../db/client-network.js';
import type { Db } from '../db/connect.js';
import { TooMany } from '../errors.js';

/** What may be tried within a quarter of an hour: of one user, wherever from; and from one network, whosoever. */
const mostOfUser = 20;
const mostOfNetwork = 100;
const windowMs = 15 * 60_000;

interface TriesRow {
  subject: Buffer;
  since: number;
  tries: number;
}

/**
 * Counts a try to sign in, or to give a password once more, before it is looked at: those that come at once are
 * counted all. In the database, so that the limit is one for all nodes; where that is away, nobody is let in.
 *
 * @param email as it was typed: of somebody that there is not as well, so that it cannot be told who there is.
 * @param ip null where it cannot be told; then only the user counts.
 * @throws TooMany
 */
export async function countTry(db: Db, email: string, ip: string | null, now = Date.now()): Promise<void> {
  const ofUser = await countOne(db, userSubject(email), now);
  const ofNetwork = ip === null ? 0 : await countOne(db, networkSubject(ip), now);
  if (ofUser > mostOfUser || ofNetwork > mostOfNetwork) {
    throw new TooMany('too-many-tries', 'There were too many tries. Wait a quarter of an hour.');
  }
}

/** Whoever got in has made no wrong try: what was counted of this user is forgotten, and of the network this one. */
export async function forgiveTry(db: Db, email: string, ip: string | null, now = Date.now()): Promise<void> {
  const since = windowOf(now);
  await db('sign_in_tries')
    .where({ subject: userSubject(email), since })
    .update({ tries: 0 });
  if (ip === null) return;
  await db('sign_in_tries')
    .where({ subject: networkSubject(ip), since })
    .where('tries', '>', 0)
    .decrement('tries', 1);
}

/** @returns whether there may be more. */
export async function forgetTries(db: Db, now: number, limit = 500): Promise<boolean> {
  const old = await db<TriesRow>('sign_in_tries')
    .where('since', '<', now - 2 * windowMs)
    .orderBy('since')
    .limit(limit)
    .select('subject', 'since');
  for (const { subject, since } of old) await db('sign_in_tries').where({ subject, since }).delete();
  return old.length === limit;
}

async function countOne(db: Db, subject: Buffer, now: number): Promise<number> {
  const since = windowOf(now);
  await db('sign_in_tries')
    .insert({ subject, since, tries: 1 })
    .onConflict(['subject', 'since'])
    .merge({ tries: db.raw('sign_in_tries.tries + 1') });
  // What the window before held counts as far as it reaches into the quarter of an hour before now.
  const rows = await db<TriesRow>('sign_in_tries')
    .where({ subject })
    .whereIn('since', [since, since - windowMs])
    .select('since', 'tries');
  const share = 1 - (now - since) / windowMs;
  return rows.reduce((sum, row) => sum + (Number(row.since) === since ? row.tries : row.tries * share), 0);
}

function windowOf(now: number): number {
  return now - (now % windowMs);
}

/** Hashed, so that no address stands in the table. */
function userSubject(email: string): Buffer {
  return subjectOf(`user ${email.trim().toLowerCase().slice(0, 320)}`);
}

function networkSubject(ip: string): Buffer {
  return subjectOf(`network ${clientNetworkOf(ip)}`);
}

function subjectOf(text: string): Buffer {
  return createHash('sha256').update(`signoff tries ${text}`).digest().subarray(0, 16);
}
