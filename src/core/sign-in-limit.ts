import { createHash } from 'node:crypto';
import { clientNetworkOf } from '../db/client-network.js';
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

/**
 * Counted apart: whoever floods somebody with mails about a forgotten password does not lock that person out.
 * A code has a million values, three of which count at a time: with five tries a quarter of an hour it takes
 * some two years to find one, and only whoever knows the password may try.
 */
const limits = {
  password: { here: 10, ofUser: 100, ofNetwork: 100, windowMs: quarterMs },
  code: { here: 5, ofUser: 5, ofNetwork: 100, windowMs: quarterMs },
  mail: { here: 3, ofUser: 5, ofNetwork: 20, windowMs: 4 * quarterMs },
  // Of who invites, or takes another address: each says whether somebody signs in with that address.
  invitation: { here: 50, ofUser: 50, ofNetwork: 200, windowMs: 4 * quarterMs },
} as const satisfies Record<string, Limit>;
export type Tried = keyof typeof limits;

const longestWindowMs = Math.max(...Object.values(limits).map(({ windowMs }) => windowMs));

/** For how long a busy database is asked again. */
const retryMs = 2000;

interface TriesRow {
  subject: Buffer;
  since: number;
  tries: number;
}

/**
 * Counts a try before it is looked at: those that come at once are counted all. In the database, so that the
 * limit is one for all nodes; where that is away, nobody is let in. What is refused does not count.
 *
 * @param email as it was typed: of somebody that there is not as well, so that it cannot be told who there is.
 * @param ip null where it cannot be told: all of those count as one network.
 * @throws TooMany
 */
export async function countTry(
  db: Db,
  what: Tried,
  email: string,
  ip: string | null,
  now = Date.now(),
): Promise<void> {
  const subjects = subjectsOf(what, email, ip);
  const since = windowOf(what, now);
  const rows = subjects.map(({ subject }) => ({ subject, since, tries: 1 })).sort(bySubject);
  await retrying(db, retryMs, () =>
    db('sign_in_tries')
      .insert(rows)
      .onConflict(['subject', 'since'])
      .merge({ tries: db.raw('sign_in_tries.tries + 1') }),
  );
  const counts = await countsOf(db, what, now, subjects);
  if (subjects.every(({ most }, i) => (counts[i] ?? Infinity) <= most)) return;
  await takeBack(db, subjects, since);
  throw new TooMany(`too-many-${what}s`, sentences[what]);
}

/** Whoever got in has made no wrong try. From elsewhere, others may go on making theirs: those stay counted. */
export async function forgiveTry(
  db: Db,
  what: Tried,
  email: string,
  ip: string | null,
  now = Date.now(),
): Promise<void> {
  const subjects = subjectsOf(what, email, ip);
  const [here] = subjects;
  await takeBack(db, subjects, windowOf(what, now));
  if (here === undefined) return;
  await retrying(db, retryMs, () =>
    db('sign_in_tries').where({ subject: here.subject }).update({ tries: 0 }),
  );
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
}

/** Hashed, so that no address stands in the table. */
function subjectsOf(what: Tried, email: string, ip: string | null): readonly Subject[] {
  const { here, ofUser, ofNetwork } = limits[what];
  const user = foldedOf(email);
  const network = ip === null ? 'unknown' : clientNetworkOf(ip);
  return [
    { subject: subjectOf(`${what}\nhere\n${network}\n${user}`), most: here },
    { subject: subjectOf(`${what}\nuser\n${user}`), most: ofUser },
    { subject: subjectOf(`${what}\nnetwork\n${network}`), most: ofNetwork },
  ];
}

/** As users are looked up: one address has one count, in however many spellings it is typed. */
function foldedOf(email: string): string {
  return foldEmail(email) ?? email.trim().toLowerCase().slice(0, 320);
}

function subjectOf(text: string): Buffer {
  return createHash('sha256').update(`signoff tries\n${text}`).digest().subarray(0, 16);
}

/** One order for all: statements that meet wait for each other, and do not deadlock. */
function bySubject(a: { subject: Buffer }, b: { subject: Buffer }): number {
  return Buffer.compare(a.subject, b.subject);
}

const sentences: Record<Tried, string> = {
  password: 'There were too many tries. Wait a quarter of an hour.',
  code: 'There were too many codes. Wait a quarter of an hour.',
  mail: 'There were too many mails. Wait an hour.',
  invitation: 'There were too many invitations. Wait an hour.',
};
