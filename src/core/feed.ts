import { engineOf, type Db } from '../db/connect.js';
import { CursorGone, Invalid } from '../errors.js';

/**
 * The feed: the numbered order of changes, from which deltas are cut. A change leaves its row without a
 * number; the keeper numbers rows after they have committed, so that no number can turn up below one
 * that a reader has already seen.
 */

/** What an entry counts as: 0 suppresses nobody. The order of list_counts' columns. */
const kinds = ['addresses', 'md5_only', 'sha256_only', 'erased'] as const;

/** `counted` as it should be for the row `o` as it stands; an expired row counts until the keeper removes it. */
const KIND = `CASE WHEN o.removed_at IS NOT NULL THEN 0 WHEN o.address IS NOT NULL THEN 1 WHEN o.sha256 IS NULL THEN 2
  WHEN SUBSTR(o.sha256, 1, 16) = o.address_key THEN 3 ELSE 4 END`;

/** Rolls a numbering back: a row that it read has changed since. */
const changedMeanwhile = new Error('a row changed while it was being numbered');

interface PendingRow {
  list_id: number;
  address_key: Buffer;
  tag: Buffer;
  counted: number;
  kind: number;
  expires_at: number | null;
}

/**
 * Gives rows that have committed since the last call their feed numbers, and brings the counts of their
 * lists up to date in the same transaction.
 *
 * @param fencing the keeper's lease; the feed takes nothing from a keeper that has lost it.
 * @param limit rows a call: what one transaction takes, and SQLite's one connection is held for.
 * @returns how many rows were numbered; 0 when there were none, when a row changed meanwhile (the next
 *   call sees it again), or when the lease was lost.
 */
export async function numberChanges(db: Db, fencing: number, limit = 1000): Promise<number> {
  const { straightJoin, byIndex } = engineOf(db);
  const result: unknown = await db.raw(
    `SELECT o.list_id, o.address_key, o.tag, o.counted, o.expires_at, ${KIND} AS kind
     FROM lists ${straightJoin} opt_outs AS o ${byIndex('opt_outs_feed')}
       ON o.list_id = lists.id AND o.feed_number IS NULL LIMIT ?`,
    [limit],
  );
  const rows = rowsOf<PendingRow>(db, result);
  if (rows.length === 0) return 0;
  // The recorder's order, so that the two never deadlock.
  rows.sort(
    (a, b) =>
      a.list_id - b.list_id || Buffer.compare(a.address_key, b.address_key) || Buffer.compare(a.tag, b.tag),
  );

  try {
    return await db.transaction((trx) => number(trx, rows, fencing));
  } catch (error) {
    if (error === changedMeanwhile) return 0;
    throw error;
  }
}

async function number(trx: Db, rows: readonly PendingRow[], fencing: number): Promise<number> {
  const feed = await trx<{ id: number; last_number: number; fencing: number }>('feed')
    .where({ id: 1 })
    .forUpdate()
    .first('last_number', 'fencing');
  if (feed === undefined || feed.fencing > fencing) return 0;

  const numbered = rows.map((row, i) => ({ ...row, number: feed.last_number + 1 + i }));
  if ((await writeNumbers(trx, numbered)) !== rows.length) throw changedMeanwhile;
  for (const [listId, counts] of countsByList(numbered)) await addCounts(trx, listId, counts);
  await noteExpiries(trx, rows);
  await trx('feed')
    .where({ id: 1 })
    .update({ last_number: feed.last_number + rows.length, fencing });
  return rows.length;
}

/**
 * Only rows that are as they were read: of one that changed meanwhile, the count would be wrong.
 *
 * @returns how many rows took their number.
 */
async function writeNumbers(trx: Db, rows: readonly (PendingRow & { number: number })[]): Promise<number> {
  const { name, nullSafeEqual, byIndex } = engineOf(trx);
  const json = JSON.stringify(
    rows.map((row) => [
      row.list_id,
      row.address_key.toString('hex'),
      row.tag.toString('hex'),
      row.counted,
      row.kind,
      row.number,
      row.expires_at,
    ]),
  );
  // The + keeps SQLite from going through all rows without a number for each one that gets its own.
  const isAsRead = `+o.feed_number IS NULL AND o.counted = j.counted AND (${KIND}) = j.kind
    AND o.expires_at ${nullSafeEqual} j.expires_at`;
  if (name === 'sqlite') {
    const result: { changes: number } = await trx.raw(
      `UPDATE opt_outs AS o SET feed_number = j.number, counted = j.kind
       FROM (SELECT value ->> 0 AS list_id, unhex(value ->> 1) AS address_key, unhex(value ->> 2) AS tag,
               value ->> 3 AS counted, value ->> 4 AS kind, value ->> 5 AS number,
               value ->> 6 AS expires_at FROM json_each(?)) AS j
       WHERE o.list_id = j.list_id AND o.address_key = j.address_key AND o.tag = j.tag AND ${isAsRead}`,
      [json],
    );
    return result.changes;
  }
  const [result] = (await trx.raw(
    `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (list_id INT UNSIGNED PATH '$[0]', address_key VARCHAR(32) PATH '$[1]',
       tag VARCHAR(256) PATH '$[2]', counted INT PATH '$[3]', kind INT PATH '$[4]', number BIGINT PATH '$[5]',
       expires_at BIGINT PATH '$[6]')) AS j
     STRAIGHT_JOIN opt_outs AS o ${byIndex(null)}
       ON o.list_id = j.list_id AND o.address_key = UNHEX(j.address_key) AND o.tag = UNHEX(j.tag)
     SET o.feed_number = j.number, o.counted = j.kind
     WHERE ${isAsRead}`,
    [json],
  )) as [{ affectedRows: number }];
  return result.affectedRows;
}

interface CountChanges {
  last_number: number;
  changes: number[];
}

function countsByList(rows: readonly (PendingRow & { number: number })[]): Map<number, CountChanges> {
  const lists = new Map<number, CountChanges>();
  for (const row of rows) {
    const counts = lists.get(row.list_id) ?? { last_number: 0, changes: [0, 0, 0, 0, 0] };
    counts.last_number = row.number;
    counts.changes[row.counted] = (counts.changes[row.counted] ?? 0) - 1;
    counts.changes[row.kind] = (counts.changes[row.kind] ?? 0) + 1;
    lists.set(row.list_id, counts);
  }
  return lists;
}

async function addCounts(trx: Db, listId: number, { last_number, changes }: CountChanges): Promise<void> {
  const increments = Object.fromEntries(kinds.map((kind, i) => [kind, changes[i + 1] ?? 0]));
  const updated = await trx('list_counts')
    .where({ list_id: listId })
    .update({
      last_number,
      ...Object.fromEntries(kinds.map((kind) => [kind, trx.raw('?? + ?', [kind, increments[kind] ?? 0])])),
    });
  if (updated === 0) await trx('list_counts').insert({ list_id: listId, last_number, ...increments });
}

/** An expiry is noted when its row is numbered, so that the hot table needs no index on it. */
async function noteExpiries(trx: Db, rows: readonly PendingRow[]): Promise<void> {
  const expiring = rows.filter((row) => row.expires_at !== null && row.kind !== 0);
  for (const { list_id, address_key, tag, expires_at } of expiring) {
    await trx('expiries')
      .insert({ list_id, address_key, tag, expires_at })
      .onConflict(['list_id', 'address_key', 'tag'])
      .merge({ expires_at });
  }
}

/**
 * Turns opt-outs whose time has run out into removals, which the feed then carries.
 *
 * @returns how many expiries were looked at; call again while it is `limit`.
 */
export async function expireOptOuts(db: Db, at: number, limit = 500): Promise<number> {
  const due = await db<PendingRow>('expiries')
    .where('expires_at', '<=', at)
    .orderBy('expires_at')
    .limit(limit)
    .select('list_id', 'address_key', 'tag');
  if (due.length === 0) return 0;
  await db.transaction(async (trx) => {
    for (const { list_id, address_key, tag } of due) {
      const key = { list_id, address_key, tag };
      await trx('opt_outs')
        .where(key)
        .whereNull('removed_at')
        .where('expires_at', '<=', at)
        .update({ removed_at: trx.ref('expires_at'), feed_number: null });
      // The opt-out may have been prolonged since this was noted.
      const standing = await trx<PendingRow>('opt_outs')
        .where(key)
        .whereNull('removed_at')
        .where('expires_at', '>', at)
        .first('expires_at');
      // Nor is it ours to delete where another keeper has noted a later one meanwhile.
      if (standing === undefined) await trx('expiries').where(key).where('expires_at', '<=', at).delete();
      else await trx('expiries').where(key).update({ expires_at: standing.expires_at });
    }
  });
  return due.length;
}

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
    `SELECT o.recorded_at, o.last_at, o.removed_at FROM lists ${straightJoin} opt_outs AS o
       ON o.list_id = lists.id AND o.feed_number IS NULL LIMIT 1`,
  );
  const [row] = rowsOf<{ recorded_at: number; last_at: number; removed_at: number | null }>(db, result);
  const due = await db<{ expires_at: number }>('expiries')
    .where('expires_at', '<=', at)
    .orderBy('expires_at')
    .first('expires_at');
  const since = [
    ...(row === undefined ? [] : [Math.max(row.recorded_at, row.last_at, row.removed_at ?? 0)]),
    ...(due === undefined ? [] : [due.expires_at]),
  ];
  return since.length === 0 ? null : Math.min(...since);
}

/** Whether rows of a list wait for their numbers, or for the removal that their expiry brings. */
export async function hasPendingChanges(db: Db, listId: number, at = Date.now()): Promise<boolean> {
  // Statistics from when a whole import waited would have MySQL go through the whole list.
  const byFeed = db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_feed')}`);
  const unnumbered: unknown = await db(byFeed)
    .where({ list_id: listId })
    .whereNull('feed_number')
    .first('list_id');
  if (unnumbered !== undefined) return true;
  const expired: unknown = await db('expiries')
    .where({ list_id: listId })
    .where('expires_at', '<=', at)
    .first('list_id');
  return expired !== undefined;
}

/** A place in the feed, as readers keep it: its epoch and the last number that they have seen. */
export function cursorText(feed: Feed): string {
  return `${feed.epoch}.${feed.lastNumber}`;
}

/**
 * @returns the number after which the delta begins.
 * @throws Invalid for what was never a cursor.
 * @throws CursorGone for one of another epoch (a backup was restored), from the future, or from before
 *   tombstones were purged: the whole list has to be taken.
 */
export function readCursor(feed: Feed, text: string): number {
  const [, epoch, digits] = /^([\w-]{1,24})\.(\d{1,15})$/.exec(text) ?? [];
  if (epoch === undefined || digits === undefined) {
    throw new Invalid('cursor', 'malformed', 'cursor is not one that a download has given');
  }
  const number = Number(digits);
  if (epoch !== feed.epoch || number > feed.lastNumber || number < feed.purgedNumber) {
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

function rowsOf<T>(db: Db, result: unknown): T[] {
  return (engineOf(db).name === 'sqlite' ? result : (result as unknown[])[0]) as T[];
}
