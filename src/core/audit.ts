import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { auditAccounts } from './audit-accounts.js';
import { auditCaps } from './audit-cap.js';
import { auditAttacks } from './audit-attacks.js';
import { auditErasedPeople } from './audit-erased.js';
import { auditFigureTotals } from './audit-figures.js';
import { auditImportJobs } from './audit-import-jobs.js';
import { auditImports } from './audit-imports.js';
import { auditNumbers } from './audit-numbers.js';
import { auditOptOuts } from './audit-opt-outs.js';
import { auditReferences } from './audit-references.js';
import { auditRemovals } from './audit-removals.js';
import { auditUsers } from './audit-users.js';
import type { FeedMark } from './audit-row.js';
import { sliceRows } from './audit-slices.js';
import { columnsOf, reprintedWhitelist, type ListSettings } from './list-settings.js';

/** A rule of the database that is broken. */
export interface Breach {
  /** Names the rule; stable. */
  readonly code: string;
  readonly table: string;
  /** What is wrong, and where: ids, and keys in hexadecimal; never an address. */
  readonly description: string;
}

export interface AuditTotals {
  readonly lists: number;
  readonly optOuts: number;
}

const everythingConfirmed = { confirmWide: true, confirmPrivate: true };

/**
 * Checks what has to hold in the database at any time, and gives each breach as it is found. Reads alone,
 * by slices behind a key, in flat memory but for two numbers a feed mark and at most 32 MB for feed
 * numbers. It takes no snapshot, which would hold SQLite's one connection: what is read of several rows
 * is judged only after one more reading of all of it in a single statement.
 *
 * @returns what was gone through, once it has come to the end.
 */
export async function* audit(db: Db, at = Date.now()): AsyncGenerator<Breach, AuditTotals> {
  yield* auditReferences(db);
  yield* auditAccounts(db);
  yield* auditUsers(db);
  yield* auditAttacks(db);
  const lists = yield* auditLists(db);
  yield* auditMailers(db);
  yield* auditFeed(db);
  const marks = yield* auditMarks(db);
  const optOuts = yield* auditOptOuts(db, marks, at);
  yield* auditFigureTotals(db);
  yield* auditErasedPeople(db);
  yield* auditNumbers(db);
  yield* auditCaps(db);
  yield* auditImports(db);
  yield* auditRemovals(db);
  yield* auditImportJobs(db);
  return { lists, optOuts };
}

interface SettingsRow extends Record<string, unknown> {
  id: number;
  public_id: string;
  thank_you: string;
}

/** Every setting has to pass the checks it passed when it was saved, and to come out of them as it stands. */
async function* auditLists(db: Db): AsyncGenerator<Breach, number> {
  let lists = 0;
  for (let after = 0; ;) {
    const found: unknown = await db('lists').where('id', '>', after).orderBy('id').limit(sliceRows);
    const rows = found as SettingsRow[];
    for (const row of rows) {
      const breach = (what: string): Breach => ({
        code: 'settings',
        table: 'lists',
        description: `list ${row.id}: ${what}`,
      });
      if (!/^[a-z2-9]{20}$/.test(row.public_id)) yield breach('public_id is none that could be asked for');
      for (const [setting, value] of Object.entries(settingsOf(row)) as [string, unknown][]) {
        const problem = problemOf(() => {
          const [saved] = Object.entries(columnsOf({ [setting]: value }, everythingConfirmed));
          return saved !== undefined && row[saved[0]] === saved[1];
        });
        if (problem !== null) yield breach(`${setting} does not pass (${problem})`);
      }
    }
    lists += rows.length;
    after = rows.at(-1)?.id ?? 0;
    if (rows.length < sliceRows) return lists;
  }
}

async function* auditMailers(db: Db): AsyncGenerator<Breach> {
  for (let after = 0; ;) {
    const rows = await db<{ id: number; ip_whitelist: string }>('mailers')
      .where('id', '>', after)
      .orderBy('id')
      .limit(sliceRows);
    for (const { id, ip_whitelist } of rows) {
      const problem = problemOf(
        () => reprintedWhitelist('ipWhitelist', ip_whitelist, everythingConfirmed) === ip_whitelist,
      );
      if (problem === null) continue;
      const description = `mailer ${id}: ipWhitelist does not pass (${problem})`;
      yield { code: 'settings', table: 'mailers', description };
    }
    after = rows.at(-1)?.id ?? 0;
    if (rows.length < sliceRows) return;
  }
}

interface FeedRow {
  id: number;
  epoch: string;
  last_number: number;
  purged_number: number;
  fencing: number;
}

async function* auditFeed(db: Db): AsyncGenerator<Breach> {
  const breach = (table: string, description: string): Breach => ({ code: 'feed', table, description });
  const rows = await db<FeedRow>('feed').limit(10);
  const [feed, ...others] = rows;
  if (feed?.id !== 1 || others.length > 0) yield breach('feed', 'has not exactly one row, with the id 1');
  // Read after the feed: a lease's fencing number only rises.
  const lease = await db<{ name: string; fencing: number }>('leases').where({ name: 'keeper' }).first();
  if (lease === undefined) yield breach('leases', 'has no row for the keeper');
  if (feed === undefined) return;
  if (!/^[\w-]{1,24}$/.test(feed.epoch)) yield breach('feed', 'epoch fits in no cursor');
  if (feed.last_number < 0) yield breach('feed', 'last_number is below 0');
  if (feed.purged_number < 0 || feed.purged_number > feed.last_number) {
    yield breach('feed', 'purged_number is not between 0 and last_number');
  }
  if (lease !== undefined && feed.fencing > lease.fencing) {
    yield breach(
      'feed',
      `was written under fencing number ${feed.fencing}, and the lease is at ${lease.fencing}`,
    );
  }
}

/** @returns all marks, some fifty thousand a year. */
async function* auditMarks(db: Db): AsyncGenerator<Breach, FeedMark[]> {
  const marks: FeedMark[] = [];
  for (let after = 0; ;) {
    const rows = await db<FeedMark>('feed_marks').where('at', '>', after).orderBy('at').limit(sliceRows);
    for (const { at, number } of rows) {
      const before = marks.at(-1)?.number ?? 0;
      marks.push({ at, number });
      if (number >= before) continue;
      const description = `the mark of ${at} has number ${number}, one before it has ${before}`;
      yield { code: 'feed-mark', table: 'feed_marks', description };
    }
    after = rows.at(-1)?.at ?? 0;
    if (rows.length < sliceRows) break;
  }
  // Read after the marks: it only rises.
  const feed = await db<FeedRow>('feed').where({ id: 1 }).first();
  const newest = marks.at(-1);
  if (feed !== undefined && newest !== undefined && newest.number > feed.last_number) {
    const description = `the mark of ${newest.at} has number ${newest.number}, the feed has come to ${feed.last_number}`;
    yield { code: 'feed-mark', table: 'feed_marks', description };
  }
  return marks;
}

/** All of them: a setting that is added later has to be added here. */
function settingsOf(row: SettingsRow): ListSettings {
  return {
    internalName: row.internal_name as string,
    name: row.name as string,
    state: row.state as string,
    directLink: row.direct_link as string,
    pixel: row.pixel === 1,
    thankYou: thankYouOf(row.thank_you),
    redirectTemplate: (row.redirect_template ?? '') as string,
    ipWhitelist: row.ip_whitelist as string,
    downloadsFromAnyAddress: row.downloads_from_any_address === 1,
    operatorName: row.operator_name as string,
    postalAddress: row.postal_address as string,
    contact: row.contact as string,
    privacyUrl: row.privacy_url as string,
    signedLinksOnly: row.signed_links_only === 1,
    cap: row.cap as number | null,
    defaultLanguage: row.default_language as string,
  };
}

/** What cannot be read becomes a language that there is none of. */
function thankYouOf(text: string): Record<string, string> {
  try {
    const texts: unknown = JSON.parse(text);
    const isReadable = typeof texts === 'object' && texts !== null;
    return isReadable && Object.values(texts).every((one) => typeof one === 'string')
      ? (texts as Record<string, string>)
      : { '': text };
  } catch {
    return { '': text };
  }
}

/** The code of what is wrong with a value; null for one that passes as it stands. */
function problemOf(isAsSaved: () => boolean): string | null {
  try {
    return isAsSaved() ? null : 'not as it would be saved';
  } catch (error) {
    // SQLite keeps whatever it is given, numbers in texts' places as well.
    return error instanceof Invalid ? error.problem : 'cannot be read';
  }
}
