import { setImmediate as everyoneElse } from 'node:timers/promises';
import { engineOf, rowsOf, type Db } from '../db/connect.js';
import type { Account } from './accounts.js';
import { tenBusinessDaysAfter } from './business-days.js';
import { soonMs, stateOf, type ComplianceState, type Waiting } from './compliance.js';
import { getCounts } from './feed.js';
import { getGlobalMark, withGlobal } from './global-list.js';
import { LIVE } from './opt-outs.js';

/**
 * The compliance clock (compliance.ts) of many mailers and lists at once, for tables. However many rows there are,
 * it is one query for what may wait, and a few for how much: each bounded, and none a row.
 */

/** What waits for one mailer of one list. */
export interface WaitingOfList extends Waiting {
  readonly mailerId: number;
  readonly listId: number;
}

/** Several of them, or one, in a word. */
export interface ComplianceOverview extends Waiting {
  readonly state: ComplianceState;
  readonly isUnlawful: boolean;
}

/** A mailer and a list that has something which the mailer has not fetched. */
interface Pair {
  readonly list_id: number;
  readonly mailer_id: number;
  /** -1: nothing so far. */
  readonly reached: number;
  /** When it was granted the list, or last had all there was: nobody waits for longer. */
  readonly since: number;
}

/** More are not looked at: those that have fetched nothing for the longest time come first. */
const mostPairs = 1000;
/** Places of lists' feeds from which on opt-outs are counted; mailers that fetch together share one. */
const mostPlaces = 200;
/** Rows that are looked at of each place at first, then in each round of those that have more. */
const fewestRows = 100;
const rowsARound = 20_000;
const rounds = 3;
/** Rows a statement: few milliseconds of SQLite's one connection. */
const rowsAStatement = 2000;

/**
 * What waits for some mailers of an account, by mailer and list; where nothing does, there is nothing. Archived
 * lists give no downloads, and do not count.
 *
 * @param of.mailerIds of these mailers; @param of.listIds and of these lists. One of them has to be said.
 * @param of.isOverdueOnly leaves out what has waited for less than a day, for who asks for the state alone.
 */
export async function waitingOf(
  db: Db,
  account: Pick<Account, 'id'>,
  of: { mailerIds?: readonly number[]; listIds?: readonly number[]; isOverdueOnly?: boolean },
  now: number,
): Promise<WaitingOfList[]> {
  const mark = await getGlobalMark(db, account.id);
  const onGlobal = mark.listId === null ? 0 : (await getCounts(db, mark.listId)).last_number;
  const pairs = await pairsOf(db, of, { ...mark, last: onGlobal }, now);
  // What was on the global list when it became that is in no delta.
  const placesOf = ({ list_id, reached }: Pair) =>
    withGlobal(list_id, mark.listId).map((id) =>
      id !== list_id && reached < mark.number ? `${id} -1` : `${id} ${reached}`,
    );
  const all = [...new Set(pairs.flatMap(placesOf))];
  const found = await countAll(db, all.slice(0, mostPlaces), of.isOverdueOnly === true, now);
  return pairs.flatMap((pair) => {
    const counted = placesOf(pair).map((place) => found.get(place));
    const known = counted.filter((one) => one !== undefined);
    const sum = sumOf(known);
    const isMore = sum.isMore || known.length < counted.length;
    if (sum.optOuts === 0 && !isMore) return [];
    const since = sum.since === null ? null : Math.min(now, Math.max(sum.since, pair.since));
    return [{ mailerId: pair.mailer_id, listId: pair.list_id, optOuts: sum.optOuts, isMore, since }];
  });
}

/** @param zone whose business days count. */
export function overviewOf(
  waiting: readonly Waiting[],
  { zone, now }: { zone: string; now: number },
): ComplianceOverview {
  const sum = sumOf(waiting);
  const state = stateOf(sum.since, now);
  const isUnlawful = state === 'late' && sum.since !== null && now >= tenBusinessDaysAfter(sum.since, zone);
  return { ...sum, state, isUnlawful };
}

function sumOf(waiting: readonly Waiting[]): Waiting {
  const times = waiting.flatMap(({ since }) => since ?? []);
  return {
    optOuts: waiting.reduce((sum, { optOuts }) => sum + optOuts, 0),
    isMore: waiting.some(({ isMore }) => isMore),
    since: times.length === 0 ? null : Math.min(...times),
  };
}

/** Who has something to fetch, as far as the newest number of each list tells. */
async function pairsOf(
  db: Db,
  { mailerIds, listIds, isOverdueOnly = false }: Parameters<typeof waitingOf>[2],
  mark: { listId: number | null; number: number; last: number },
  now: number,
): Promise<Pair[]> {
  const reached = 'COALESCE(f.reached, -1)';
  const had = `CASE WHEN ${reached} > 0 THEN f.reached ELSE 0 END`;
  const since = 'CASE WHEN COALESCE(f.reached_at, 0) > g.created_at THEN f.reached_at ELSE g.created_at END';
  return db('grants AS g')
    .join('lists', 'lists.id', 'g.list_id')
    .leftJoin('fetches AS f', (on) =>
      on.on('f.list_id', '=', 'g.list_id').andOn('f.mailer_id', '=', 'g.mailer_id'),
    )
    .leftJoin('list_counts AS c', 'c.list_id', 'g.list_id')
    .whereNull('lists.archived_at')
    .modify((query) => {
      if (mailerIds !== undefined) void query.whereIn('g.mailer_id', mailerIds);
      if (listIds !== undefined) void query.whereIn('g.list_id', listIds);
      if (isOverdueOnly) void query.whereRaw(`${since} <= ?`, [now - soonMs]);
    })
    .where((isNew) => {
      void isNew.whereRaw(`COALESCE(c.last_number, 0) > ${had}`);
      if (mark.last > 0) void isNew.orWhereRaw(`? > ${had} OR ${reached} < ?`, [mark.last, mark.number]);
    })
    .orderByRaw(`${since}, g.mailer_id, g.list_id`)
    .limit(mostPairs)
    .select('g.list_id', 'g.mailer_id', db.raw(`${reached} AS reached`), db.raw(`${since} AS since`));
}

/** A place, and how far behind it has been looked. */
interface Due {
  /** `list number`: what began to suppress after that number of the feed, and still does. */
  readonly place: string;
  readonly after: number;
}

/** @param isForState a place at which anything was found is looked at no further. */
async function countAll(
  db: Db,
  places: readonly string[],
  isForState: boolean,
  now: number,
): Promise<Map<string, Waiting>> {
  const found = new Map<string, Waiting>();
  let due: Due[] = places.map((place) => ({ place, after: Number(place.split(' ')[1]) }));
  for (let round = 1; due.length > 0 && round <= rounds; round++) {
    // Mostly little waits; of what is left, each place gets its share.
    const share = Math.floor(rowsARound / due.length);
    const limit = round === 1 ? fewestRows : Math.max(fewestRows, Math.min(rowsAStatement, share));
    const further: Due[] = [];
    const atOnce = Math.floor(rowsAStatement / limit);
    for (let i = 0; i < due.length; i += atOnce) {
      const some = due.slice(i, i + atOnce);
      for (const counted of await countSome(db, some, limit, now)) {
        const place = some[Number(counted.slice)]?.place ?? '';
        const isMore = Number(counted.looked) === limit;
        const since = counted.since === null ? null : Number(counted.since);
        const before = found.get(place) ?? { optOuts: 0, isMore, since: null };
        const sum = sumOf([before, { optOuts: Number(counted.waiting ?? 0), isMore, since }]);
        found.set(place, { ...sum, isMore });
        if (isMore && (sum.optOuts === 0 || !isForState))
          further.push({ place, after: Number(counted.edge) });
      }
      await everyoneElse();
    }
    due = further;
  }
  return found;
}

type Counted = Record<'slice' | 'looked' | 'waiting' | 'since' | 'edge', number | string | null>;

/** One statement for several places. */
async function countSome(db: Db, places: readonly Due[], limit: number, now: number): Promise<Counted[]> {
  const index = engineOf(db).byIndex('opt_outs_feed');
  const parts = places.map(
    (_, i) =>
      `SELECT ${i} AS slice, COUNT(*) AS looked, SUM(waits) AS waiting,
         MIN(CASE WHEN waits = 1 THEN recorded_at END) AS since, MAX(feed_number) AS edge
       FROM (SELECT feed_number, recorded_at, CASE WHEN stands_from > ? AND ${LIVE} THEN 1 ELSE 0 END AS waits
         FROM opt_outs ${index} WHERE list_id = ? AND feed_number > ? ORDER BY feed_number LIMIT ?) AS s${i}`,
  );
  const values = places.flatMap(({ place, after }) => {
    const [listId = 0, reached = -1] = place.split(' ').map(Number);
    return [reached, now, listId, after, limit];
  });
  const result: unknown = await db.raw(parts.join(' UNION ALL '), values);
  return rowsOf<Counted>(db, result);
}
