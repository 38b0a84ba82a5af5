import { createHash } from 'node:crypto';
import { clientNetworkOf, siteOf } from '../db/client-network.js';
import { retrying, type Db } from '../db/connect.js';
import { TooMany } from '../errors.js';
import { foldEmail } from './users.js';

/** How often something may be tried within a window, before it is refused. */
interface Limit {
  /** Of one user, from one network: whoever tries more than that locks out nobody else. */
  readonly here: number;
  /** Of one user, wherever from. */
  readonly ofUser: number;
  /** From one network, whosoever. */
  readonly ofNetwork: number;
  readonly windowMs: number;
}

const quarterMs = 15 * 60_000;
const dayMs = 24 * 3_600_000;

/** For how long a network is known from which somebody got in. */
const knownDays = 30;

/** A /48 has twice of what one network has: a change of networks within it gains little. */
const ofSite = 2;

/**
 * Counted apart: whoever floods somebody with mails about a forgotten password does not lock that person out.
 * A code has a million values, three of which count at a time, and only whoever knows the password may try: how
 * many are wrong in a day is limited as well (wrong-codes.ts).
 */
const limits = {
  password: { here: 10, ofUser: 100, ofNetwork: 100, windowMs: quarterMs },
  // Of somebody signed in, by the id: what strangers try at the sign-in does not count here.
  'own-password': { here: 10, ofUser: 30, ofNetwork: 100, windowMs: quarterMs },
  code: { here: 5, ofUser: 5, ofNetwork: 100, windowMs: quarterMs },
  mail: { here: 3, ofUser: 5, ofNetwork: 20, windowMs: 4 * quarterMs },
  // Of who invites, or takes another address: each says whether somebody signs in with that address.
  invitation: { here: 50, ofUser: 50, ofNetwork: 200, windowMs: 4 * quarterMs },
  // Of who tries a list's doors in the console: each of them records something, or reads the list.
  test: { here: 60, ofUser: 60, ofNetwork: 600, windowMs: 4 * quarterMs },
} as const satisfies Record<string, Limit>;
export type Tried = keyof typeof limits;

const longestWindowMs = Math.max(...Object.values(limits).map(({ windowMs }) => windowMs));

/** For how long a busy database is asked again. */
export const retryMs = 2000;

interface TriesRow {
  subject: Buffer;
  since: number;
  tries: number;
}

/**
 * Counts a try before it is looked at: those that come at once are counted all. In the database, so that the
 * limit is one for all nodes; where that is away, nobody is let in. What is refused does not count.
 *
 * A network from which that user got in passes what others have tried: it is held to its own tries alone, and
 * nobody who is elsewhere locks anybody out there.
 *
 * @param who the address as it was typed: of somebody that there is not as well, so that it cannot be told who
 *   there is; of an own password, the user's name in the history.
 * @param ip null where it cannot be told: all of those count as one network.
 * @throws TooMany
 */
export async function countTry(
  db: Db,
  what: Tried,
  who: string,
  ip: string | null,
  now = Date.now(),
): Promise<void> {
  const subjects = subjectsOf(what, who, ip);
  const since = windowOf(what, now);
  const rows = subjects.map(({ subject }) => ({ subject, since, tries: 1 })).sort(bySubject);
  await retrying(db, retryMs, () =>
    db('sign_in_tries')
      .insert(rows)
      .onConflict(['subject', 'since'])
      .merge({ tries: db.raw('sign_in_tries.tries + 1') }),
  );
  const counts = await countsOf(db, what, now, subjects);
  const over = subjects.filter(({ most }, i) => (counts[i] ?? Infinity) > most);
  if (over.length === 0) return;
  if (over.every(({ isShared }) => isShared) && (await isKnown(db, what, who, ip, now))) return;
  await takeBack(db, subjects, since);
  throw new TooMany(`too-many-${what}s`, sentences[what]);
}

/**
 * Whoever got in has made no wrong try, and the network is known from now on. From elsewhere, others may go on
 * making theirs: those stay counted.
 */
export async function forgiveTry(
  db: Db,
  what: Tried,
  who: string,
  ip: string | null,
  now = Date.now(),
): Promise<void> {
  const subjects = subjectsOf(what, who, ip);
  const [here] = subjects;
  await takeBack(db, subjects, windowOf(what, now));
  if (here === undefined) return;
  await retrying(db, retryMs, () =>
    db('sign_in_tries').where({ subject: here.subject }).update({ tries: 0 }),
  );
  if (what !== 'password' || ip === null) return;
  // Among the tries, and swept with them: in place of a window's beginning stands the day when it is known no more.
  const since = now - (now % dayMs) + (knownDays + 1) * dayMs;
  const known = { subject: knownOf(who, ip), since, tries: 0 };
  await retrying(db, retryMs, () =>
    db('sign_in_tries').insert(known).onConflict(['subject', 'since']).merge({ tries: 0 }),
  );
}

async function isKnown(db: Db, what: Tried, who: string, ip: string | null, now: number): Promise<boolean> {
  if (what !== 'password' || ip === null) return false;
  const row: unknown = await db('sign_in_tries')
    .where({ subject: knownOf(who, ip) })
    .where('since', '>', now)
    .first('since');
  return row !== undefined;
}

function knownOf(who: string, ip: string): Buffer {
  return subjectOf(`known\n${clientNetworkOf(ip)}\n${foldedOf(who)}`);
}

/** @returns whether there may be more. */
export async function forgetTries(db: Db, now: number, limit = 500): Promise<boolean> {
  const old = await db<TriesRow>('sign_in_tries')
    .where('since', '<', now - 2 * longestWindowMs)
    .orderBy('since')
    .limit(limit)
    .select('subject', 'since');
  for (const { subject, since } of old) await db('sign_in_tries').where({ subject, since }).delete();
  return old.length === limit;
}

/** What the window before holds counts as far as it reaches into the one that ends now. */
async function countsOf(
  db: Db,
  what: Tried,
  now: number,
  subjects: readonly Subject[],
): Promise<readonly number[]> {
  const { windowMs } = limits[what];
  const since = windowOf(what, now);
  const rows = await db<TriesRow>('sign_in_tries')
    .whereIn(
      'subject',
      subjects.map(({ subject }) => subject),
    )
    .whereIn('since', [since, since - windowMs]);
  const share = 1 - (now - since) / windowMs;
  return subjects.map(({ subject }) =>
    rows
      .filter((row) => row.subject.equals(subject))
      .reduce((sum, row) => sum + (Number(row.since) === since ? row.tries : row.tries * share), 0),
  );
}

async function takeBack(db: Db, subjects: readonly Subject[], since: number): Promise<void> {
  await retrying(db, retryMs, () =>
    db('sign_in_tries')
      .whereIn(
        'subject',
        subjects.map(({ subject }) => subject),
      )
      .where({ since })
      .where('tries', '>', 0)
      .decrement('tries', 1),
  );
}

function windowOf(what: Tried, now: number): number {
  return now - (now % limits[what].windowMs);
}

interface Subject {
  readonly subject: Buffer;
  readonly most: number;
  /** Whether others, of other networks, count to it as well. */
  readonly isShared: boolean;
}

/** Hashed, so that no address stands in the table. */
function subjectsOf(what: Tried, who: string, ip: string | null): readonly Subject[] {
  const { here, ofUser, ofNetwork } = limits[what];
  const user = foldedOf(who);
  const network = ip === null ? 'unknown' : clientNetworkOf(ip);
  const site = ip === null ? null : siteOf(ip);
  const of = (text: string, most: number, isShared: boolean): Subject => ({
    subject: subjectOf(`${what}\n${text}`),
    most,
    isShared,
  });
  return [
    of(`here\n${network}\n${user}`, here, false),
    of(`user\n${user}`, ofUser, true),
    of(`network\n${network}`, ofNetwork, false),
    ...(site === null
      ? []
      : [
          of(`here\n${site}\n${user}`, ofSite * here, true),
          of(`network\n${site}`, ofSite * ofNetwork, true),
        ]),
  ];
}

/** As users are looked up: one address has one count, in however many spellings it is typed. */
function foldedOf(who: string): string {
  return foldEmail(who) ?? who.trim().toLowerCase().slice(0, 320);
}

/** As the table names what is counted. */
export function subjectOf(text: string): Buffer {
  return createHash('sha256').update(`signoff tries\n${text}`).digest().subarray(0, 16);
}

/** One order for all: statements that meet wait for each other, and do not deadlock. */
function bySubject(a: { subject: Buffer }, b: { subject: Buffer }): number {
  return Buffer.compare(a.subject, b.subject);
}

const sentences: Record<Tried, string> = {
  password: 'There were too many tries. Wait a quarter of an hour.',
  'own-password': 'There were too many tries. Wait a quarter of an hour.',
  code: 'There were too many codes. Wait a quarter of an hour.',
  mail: 'There were too many mails. Wait an hour.',
  invitation: 'There were too many invitations. Wait an hour.',
  test: 'There were too many tests. Wait an hour.',
};
