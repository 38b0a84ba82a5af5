import { engineOf, rowsOf, type Db } from '../db/connect.js';
import { CursorGone, Invalid } from '../errors.js';

/**
 * The feed: the numbered order of changes, from which deltas are cut. A change leaves its row without a
 * number; the keeper numbers rows after they have committed, so that no number can turn up below one
 * that a reader has already seen.
 */

const markEveryMs = 10 * 60_000;

/**
 * Ties the feed to the clock now and then, for downloads of what was recorded since a date.
 *
 * @param clock read after the feed: with an earlier time, a process that was held up in between would tie
 *   the feed to a time before some of its rows were recorded, and they would be missed.
 */
export async function markFeed(db: Db, clock: () => number = Date.now): Promise<void> {
  const feed = await getFeed(db);
  const at = clock();
  const newest = await db<{ at: number; number: number }>('feed_marks').orderBy('at', 'desc').first();
  if (newest !== undefined && (newest.number === feed.lastNumber || newest.at > at - markEveryMs)) return;
  await db('feed_marks').insert({ at, number: feed.lastNumber }).onConflict('at').merge({ at });
}

/** How far apart the clocks of nodes may be. */
const clockSkewMs = 10 * 60_000;

/** A feed number that no row recorded at or after `since` has, nor any below it: 0 where none is known. */
export async function numberBefore(db: Db, since: number): Promise<number> {
  const mark = await db<{ at: number; number: number }>('feed_marks')
    .where('at', '<=', since - clockSkewMs)
    .orderBy('at', 'desc')
    .first();
  return mark?.number ?? 0;
}

export interface Feed {
  readonly epoch: string;
  readonly lastNumber: number;
  readonly purgedNumber: number;
}

export async function getFeed(db: Db): Promise<Feed> {
  const row = await db<{ epoch: string; last_number: number; purged_number: number; id: number }>('feed')
    .where({ id: 1 })
    .first();
  if (row === undefined) throw new Error('the feed has no row: run signoff migrate');
  return { epoch: row.epoch, lastNumber: row.last_number, purgedNumber: row.purged_number };
}

/**
 * How long the keeper's work has been waiting: since when a change has had no number, or an expiry has
 * been due. Of many waiting changes one is looked at, so the time is a lower bound.
 *
 * @returns UTC milliseconds; null where nothing waits.
 */
export async function workWaitsSince(db: Db, at = Date.now()): Promise<number | null> {
  const { straightJoin } = engineOf(db);
  const result: unknown = await db.raw(
    `SELECT o.recorded_at, o.last_at, o.removed_at, o.removal_id FROM lists ${straightJoin} opt_outs AS o
       ON o.list_id = lists.id AND o.feed_number IS NULL LIMIT 1`,
  );
  const [row] = rowsOf<WaitingRow>(db, result);
  const due = await db<{ expires_at: number }>('expiries')
    .where('expires_at', '<=', at)
    .orderBy('expires_at')
    .first('expires_at');
  const since = [
    ...(row === undefined ? [] : [await changedAt(db, row)]),
    ...(due === undefined ? [] : [due.expires_at]),
  ];
  return since.length === 0 ? null : Math.min(...since);
}

interface WaitingRow {
  readonly recorded_at: number;
  readonly last_at: number;
  readonly removed_at: number | null;
  readonly removal_id: number | null;
}

/** What a bulk removal took, or brought back, may have been changed long after the time that the row tells. */
async function changedAt(db: Db, row: WaitingRow): Promise<number> {
  const { recorded_at, last_at, removed_at, removal_id: id } = row;
  const removal =
    id === null
      ? undefined
      : await db<{ id: number; carried_at: number }>('bulk_removals').where({ id }).first('carried_at');
  return Math.max(recorded_at, last_at, removed_at ?? 0, removal?.carried_at ?? 0);
}

/** Whether rows of a list wait for their numbers, or for the removal that their expiry brings. */
export async function hasPendingChanges(db: Db, listId: number, at = Date.now()): Promise<boolean> {
  // Statistics from when a whole import waited would have MySQL go through the whole list.
  const by = (table: string, index: string) => db.raw(`${table} ${engineOf(db).byIndex(index)}`);
  // In the order in which rows go on, so that one which does so between the two is seen in its next place.
  const expired: unknown = await db(by('expiries', 'expiries_list'))
    .where({ list_id: listId })
    .where('expires_at', '<=', at)
    .first('list_id');
  if (expired !== undefined) return true;
  const unnumbered: unknown = await db(by('opt_outs', 'opt_outs_feed'))
    .where({ list_id: listId })
    .whereNull('feed_number')
    .first('list_id');
  return unnumbered !== undefined;
}

/** A place in the feed, as readers keep it: its epoch and the last number that they have seen. */
export function cursorText(feed: Feed): string {
  return `${feed.epoch}.${feed.lastNumber}`;
}

/**
 * @param markedAt the number at which the account last changed its global list (GlobalMark).
 * @returns the number after which the delta begins.
 * @throws Invalid for what was never a cursor.
 * @throws CursorGone for one of another epoch (a backup was restored), from the future, from before
 *   tombstones were purged, or from before `markedAt`: the whole list has to be taken.
 */
export function readCursor(feed: Feed, text: string, markedAt = 0): number {
  const [, epoch, digits] = /^([\w-]{1,24})\.(\d{1,15})$/.exec(text) ?? [];
  if (epoch === undefined || digits === undefined) {
    throw new Invalid('cursor', 'malformed', 'cursor is not one that a download has given');
  }
  const number = Number(digits);
  const oldest = Math.max(feed.purgedNumber, markedAt);
  if (epoch !== feed.epoch || number > feed.lastNumber || number < oldest) {
    throw new CursorGone('This cursor is no longer served: take the whole list.');
  }
  return number;
}

export interface ListCounts {
  readonly addresses: number;
  readonly md5_only: number;
  readonly sha256_only: number;
  readonly erased: number;
  /** The list's newest feed number. */
  readonly last_number: number;
}

/** What a list held at its last numbering: entries by kind, one a tag. */
export async function getCounts(db: Db, listId: number): Promise<ListCounts> {
  const row = await db<ListCounts & { list_id: number }>('list_counts').where({ list_id: listId }).first();
  return row ?? { addresses: 0, md5_only: 0, sha256_only: 0, erased: 0, last_number: 0 };
}
