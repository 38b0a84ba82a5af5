import { setTimeout as pause, setImmediate as everyoneElse } from 'node:timers/promises';
import type { Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { hasPendingChanges } from './feed.js';
import { feedWalk } from './opt-out-feed-walk.js';
import { createTest, keysOf, type OptOutFilter } from './opt-out-filter.js';

import {
  addressWalk,
  domainWalk,
  keyWalk,
  type FoundOptOut,
  type FoundRow,
  type Walk,
} from './opt-out-walks.js';
import { asItCounts, removalsUnderWay } from './removals-under-way.js';

/**
 * A search of one list's opt-outs for people who look at it page by page, whatever they ask: what no index
 * answers is gone through in stretches, each of which tells where to go on.
 */

/** Where a search goes on, and how far it has come: to be handed back as it is. */
export interface FindPlace {
  /** Of the walk that the filter leads to (opt-out-walks.ts). */
  readonly behind: readonly (string | number | null)[];
  /** Rows that have been looked at so far. */
  readonly looked: number;
}

export interface Found {
  readonly optOuts: FoundOptOut[];
  /** Null: there is no more. */
  readonly next: FindPlace | null;
  /** A stretch came to its end, by its rows or by the time, before there were enough. */
  readonly isCut: boolean;
  readonly looked: number;
  /** How much of the list has been looked at, approximately: 0 to 1; null where nobody can tell. */
  readonly share: number | null;
}

export interface FindOptions {
  readonly place?: FindPlace | null;
  /** Opt-outs. */
  readonly limit: number;
  /** UTC milliseconds; without it, now. */
  readonly at?: number;
  /** What a stretch costs at most: rows that are looked at, those of which all is read counting several times. */
  readonly rows?: number;
  /**
   * While nothing was found, it goes on beyond that for so long: milliseconds. After them, a tenth of it is enough,
   * whatever was found.
   */
  readonly patienceMs?: number;
  /** Ends it where nobody waits for it any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Some hundred milliseconds on two cores, in which others have their turns. */
const rowsAStretch = 100_000;
/** A page with nothing on it is of little use to anybody, but nobody waits long to see that the search goes on. */
const patienceMs = 150;

/**
 * The next opt-outs that a filter lets through. By time, the last ones to be recorded, or changed, come first
 * (without any part of an address, and wherever removed ones are looked for too); by beginning or part, they come
 * in the order of the addresses; by domain, in one of the index.
 *
 * While nothing changes, going on finds each of them once. What changes meanwhile may be missed, and is never
 * told as it was.
 *
 * @throws Unavailable while a large removal is taken back: half of a list must not pass for all of it.
 */
export async function findStretch(
  db: Db,
  listId: number,
  filter: OptOutFilter,
  { place = null, limit, at = Date.now(), signal, ...options }: FindOptions,
): Promise<Found> {
  const underWay = await removalsUnderWay(db, [listId]);
  if (underWay.some(({ state }) => state === 'restoring')) {
    throw new Unavailable('what was removed from the list is being brought back');
  }
  const { rows: most = rowsAStretch, patienceMs: patience = patienceMs } = options;
  const deadline = performance.now() + patience;
  const isWanted = createTest(filter, at);
  const walk = walkOf(filter);
  const asked = { db, listId, filter, at, isWhole: underWay.length === 0 };
  const optOuts: FoundRow[] = [];
  let looked = place?.looked ?? 0;
  let spent = 0;
  const told = async (behind: FindPlace['behind'] | null, isCut: boolean): Promise<Found> => {
    const next = behind === null ? null : { behind, looked };
    const share = behind === null ? 1 : await walk.share(asked, { behind, looked });
    return { optOuts: optOuts.map(withoutPlace), next, isCut, looked, share };
  };
  for await (const slice of walk.slices(asked, place?.behind ?? null)) {
    signal?.throwIfAborted();
    for (const row of slice.rows) {
      const counting = asItCounts(row, underWay);
      if (!isWanted(counting)) continue;
      const last = optOuts.at(-1);
      if (optOuts.length === limit && last !== undefined) return told(walk.behind(last, slice.edge), false);
      optOuts.push(counting);
    }
    looked += slice.looked;
    spent += slice.cost;
    if (slice.isLast) break;
    const isEnough = performance.now() >= deadline ? spent >= most / 10 : spent >= most && optOuts.length > 0;
    if (isEnough) return told(slice.edge, true);
    // SQLite answers without ever leaving this turn of the event loop.
    await everyoneElse();
  }
  return told(null, false);
}

/** All that a filter lets through, by slices that may be empty, in flat memory. @throws as `findStretch` */
export async function* findAll(
  db: Db,
  listId: number,
  filter: OptOutFilter,
  { at = Date.now(), slice = 2000, signal }: { at?: number; slice?: number; signal?: AbortSignal } = {},
): AsyncGenerator<FoundOptOut[]> {
  for (let place: FindPlace | null = null; ;) {
    const found: Found = await findStretch(db, listId, filter, { place, limit: slice, at, signal });
    yield found.optOuts;
    place = found.next;
    if (place === null) return;
  }
}

/** How many have been counted, and where to go on: as it is handed back. */
export interface Count {
  readonly count: number;
  /** Null: that is all. */
  readonly place: FindPlace | null;
  readonly share: number | null;
}

/**
 * Counts what a filter lets through, for some time: of a long list, several times one after the other.
 *
 * @param from what the count before has come to.
 * @param accepts counts only those of them.
 * @throws as `findStretch`
 */
export async function countFound(
  db: Db,
  listId: number,
  filter: OptOutFilter,
  {
    from = null,
    at,
    ms,
    accepts = () => true,
  }: { from?: Count | null; at: number; ms: number; accepts?: (optOut: FoundOptOut) => boolean },
): Promise<Count> {
  let count = from?.count ?? 0;
  let place = from?.place ?? null;
  for (const deadline = performance.now() + ms; ;) {
    const found = await findStretch(db, listId, filter, {
      place,
      limit: 5000,
      at,
      // A tenth of it, that is.
      rows: 200_000,
      patienceMs: 0,
    });
    count += found.optOuts.filter(accepts).length;
    place = found.next;
    if (place === null || performance.now() > deadline) return { count, place, share: found.share };
  }
}

function walkOf({ address, state }: OptOutFilter): Walk {
  if (address === null) return feedWalk;
  if (keysOf(address) !== null) return keyWalk;
  if (address.kind === 'domain') return domainWalk;
  // The index of addresses holds nothing that was removed, and no hashes.
  return state === 'standing' && address.kind !== 'hashed' ? addressWalk : feedWalk;
}

/** SQLite's number of the row means nothing to anybody else. */
function withoutPlace({ row_number: _, ...row }: FoundRow): FoundOptOut {
  return row;
}

const numberingMs = 700;

/**
 * Waits for a moment until the keeper has numbered what has been recorded just now, so that a search by time
 * shows it.
 *
 * @returns whether it has; false where the newest changes are still to be taken up.
 */
export async function untilTakenUp(db: Db, listId: number, ms = numberingMs): Promise<boolean> {
  for (const deadline = performance.now() + ms; ;) {
    // Not the expiries: they change nothing that a search would show.
    if (!(await hasPendingChanges(db, listId, -1))) return true;
    if (performance.now() > deadline) return false;
    await pause(25);
  }
}
