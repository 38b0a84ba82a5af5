import { setImmediate as everyoneElse } from 'node:timers/promises';
import { engineOf, type Db } from '../db/connect.js';
import { tenBusinessDaysAfter } from './business-days.js';
import type { FetchRow } from './fetches.js';
import { getGlobalMark, withGlobal } from './global-list.js';
import type { List } from './lists.js';
import { LIVE } from './opt-outs.js';

/**
 * The compliance clock: what mailers have not fetched yet of the lists granted to them, and how long it has waited.
 * Two limits: 48 hours, which Gmail and Yahoo ask of bulk senders since 2024, and the 10 business days of CAN-SPAM
 * (15 USC 7704(a)(4)). RFC 8058 itself sets none.
 */

const hourMs = 3_600_000;
export const twoDaysMs = 48 * hourMs;
/** From then on it is due soon: a day of the two is left. */
export const soonMs = 24 * hourMs;

/** Opt-outs that are counted of what waits; beyond, there are so many or more. */
export const mostCounted = 10_000;

export type ComplianceState = 'ok' | 'due-soon' | 'late';

/** What opt-outs wait for a mailer to fetch them. */
export interface Waiting {
  readonly optOuts: number;
  /** There may be more: no more of them are counted. */
  readonly isMore: boolean;
  /** Since when the oldest of them waits: since it was recorded, and never since before the mailer's last download. */
  readonly since: number | null;
}

/** One mailer and one list that is granted to it. */
export interface Compliance extends Waiting {
  readonly mailerId: number;
  readonly mailerName: string;
  readonly listId: number;
  /** When it last had all there was, and when it last took the whole list: null where it never has. */
  readonly fetchedAt: number | null;
  readonly wholeAt: number | null;
  /** When it last had a file held against the list, which brings it no opt-outs to keep. */
  readonly scrubbedAt: number | null;
  /** When the oldest that waits will have waited 48 hours, and for ten business days; null where nothing waits. */
  readonly dueAt: number | null;
  readonly lawfulUntil: number | null;
  /** Against the 48 hours. */
  readonly state: ComplianceState;
  /** The ten business days are over. */
  readonly isUnlawful: boolean;
}

export interface Grant {
  readonly list_id: number;
  readonly mailer_id: number;
  readonly created_at: number;
  readonly name: string;
}

/** Mailers of a list that are told of at once. */
export const mailersAPage = 50;

/**
 * All mailers that a list is granted to, by name.
 *
 * @param options.mailerId this one alone.
 * @param options.beyond mailers to pass over: 50 come at once.
 * @param options.zone whose business days count.
 */
export async function complianceOfList(
  db: Db,
  list: Pick<List, 'id' | 'accountId'>,
  {
    mailerId,
    beyond = 0,
    zone,
    now,
  }: { mailerId?: number | undefined; beyond?: number; zone: string; now: number },
): Promise<Compliance[]> {
  const grants: Grant[] = await db('grants')
    .join('mailers', 'mailers.id', 'grants.mailer_id')
    .where({ 'grants.list_id': list.id })
    .modify((query) => {
      if (mailerId !== undefined) void query.where({ 'grants.mailer_id': mailerId });
    })
    .orderBy('mailers.name')
    .orderBy('mailers.id')
    .offset(beyond)
    .limit(mailersAPage)
    .select('grants.list_id', 'grants.mailer_id', 'grants.created_at', 'mailers.name');
  const fetches = await fetchesOf(db, [list.id]);
  const found: Compliance[] = [];
  for (const grant of grants) {
    const fetch = fetches.get(`${grant.list_id} ${grant.mailer_id}`);
    found.push(await complianceOf(db, list, grant, fetch, { zone, now, limit: mostCounted }));
  }
  return found;
}

/** How far mailers have come with some lists, by `list mailer`. */
export async function fetchesOf(db: Db, listIds: readonly number[]): Promise<Map<string, FetchRow>> {
  const rows = await db<FetchRow>('fetches').whereIn('list_id', listIds);
  return new Map(rows.map((row) => [`${row.list_id} ${row.mailer_id}`, row]));
}

/** @param options.limit of opt-outs that are counted. */
export async function complianceOf(
  db: Db,
  list: Pick<List, 'id' | 'accountId'>,
  grant: Grant,
  fetch: FetchRow | undefined,
  { zone, now, limit }: { zone: string; now: number; limit: number },
): Promise<Compliance> {
  const mark = await getGlobalMark(db, list.accountId);
  const listIds = withGlobal(list.id, mark.listId);
  const reached = fetch?.reached ?? -1;
  const waiting = { optOuts: 0, isMore: false, since: null as number | null };
  for (const id of listIds) {
    // What was on the global list when it became that is in no delta.
    const from = id !== list.id && reached < mark.number ? -1 : reached;
    const some = await countWaiting(db, id, from, { now, limit: limit - waiting.optOuts });
    waiting.optOuts += some.optOuts;
    waiting.isMore ||= some.isMore;
    waiting.since = Math.min(waiting.since ?? Infinity, some.since ?? Infinity);
    if (waiting.since === Infinity) waiting.since = null;
    if (waiting.isMore) break;
  }
  // Who has just been granted a list, or had all of it a moment ago, has kept nobody waiting for longer.
  const since =
    waiting.since === null
      ? null
      : Math.min(now, Math.max(waiting.since, grant.created_at, fetch?.reached_at ?? 0));
  const lawfulUntil = since === null ? null : tenBusinessDaysAfter(since, zone);
  return {
    mailerId: grant.mailer_id,
    mailerName: grant.name,
    listId: list.id,
    fetchedAt: reached === -1 ? null : (fetch?.reached_at ?? null),
    wholeAt: fetch?.whole_at ?? null,
    scrubbedAt: fetch?.scrubbed_at ?? null,
    ...{ ...waiting, since },
    dueAt: since === null ? null : since + twoDaysMs,
    lawfulUntil,
    state: stateOf(since, now),
    isUnlawful: lawfulUntil !== null && now >= lawfulUntil,
  };
}

export function stateOf(since: number | null, now: number): ComplianceState {
  if (since === null || now < since + soonMs) return 'ok';
  return now < since + twoDaysMs ? 'due-soon' : 'late';
}

/** Rows a query: a millisecond or two on SQLite, whose driver blocks the process meanwhile. */
const sliceRows = 1000;

/**
 * What began to suppress after a place of the feed, and still does. What only got another number since (an erased
 * person, a later expiry) had been fetched before.
 *
 * @param reached -1: all there is.
 */
async function countWaiting(
  db: Db,
  listId: number,
  reached: number,
  { now, limit }: { now: number; limit: number },
): Promise<Waiting> {
  const atOnce = Math.min(sliceRows, limit);
  let [optOuts, looked] = [0, 0];
  let since: number | null = null;
  for (let after = reached; looked < mostCounted && optOuts < limit;) {
    const slice = db(db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_feed')}`))
      .where({ list_id: listId })
      .where('feed_number', '>', after)
      .orderBy('feed_number')
      .limit(atOnce)
      .select('feed_number', 'recorded_at')
      .select(db.raw(`CASE WHEN stands_from > ? AND ${LIVE} THEN 1 ELSE 0 END AS waits`, [reached, now]));
    const [row]: Record<'looked' | 'waiting' | 'since' | 'edge', number | string | null>[] = await db
      .from(slice.as('of_list'))
      .select(
        db.raw(
          'COUNT(*) AS looked, SUM(waits) AS waiting, MIN(CASE WHEN waits = 1 THEN recorded_at END) AS since, MAX(feed_number) AS edge',
        ),
      );
    const rows = Number(row?.looked);
    optOuts += Number(row?.waiting);
    looked += rows;
    if (row?.since != null) since = Math.min(since ?? Infinity, Number(row.since));
    if (rows < atOnce) return { optOuts, isMore: false, since };
    after = Number(row?.edge);
    await everyoneElse();
  }
  return { optOuts: Math.min(optOuts, limit), isMore: true, since };
}
