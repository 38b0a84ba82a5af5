import { engineOf, retrying, type Db } from '../db/connect.js';
import { LIVE } from './opt-outs.js';

/**
 * How far each mailer has come with a list: up to which feed number it has been given all that began to suppress.
 * A download counts once it came to its end, and where it left nothing out:
 *
 * - a whole list does;
 * - a delta does where it begins at, or before, the place that the mailer had come to;
 * - what was recorded since a date does where nothing that is new since that place was recorded before the date;
 * - one of a single tag never does, nor does a scrub, which tells of the addresses of one file alone.
 */

/** A download that was given out whole. */
export interface Fetch {
  readonly downloadId: number;
  readonly listId: number;
  readonly mailerId: number;
  /** The lists that count for it: it, and the global one. */
  readonly listIds: readonly number[];
  readonly extent: 'all' | 'since' | 'delta';
  /** The feed number after which a delta begins, or the time since which. */
  readonly from: number | null;
  /** Where the feed was when the download began, and when that was read. */
  readonly reached: number;
  readonly reachedAt: number;
  /** The account last changed its global list at this number: GlobalMark. */
  readonly markedAt: number;
}

export interface FetchRow {
  readonly list_id: number;
  readonly mailer_id: number;
  /** -1 where none of its downloads counts so far. */
  readonly reached: number;
  readonly reached_at: number;
  readonly whole_at: number | null;
  readonly scrubbed_at: number | null;
}

/**
 * Notes how far a download has brought its mailer, where it counts.
 *
 * @param forMs how long this is repeated while the database is busy.
 */
export async function noteFetch(db: Db, fetch: Fetch, forMs: number, now = Date.now()): Promise<void> {
  const covers = fetch.extent !== 'since' || (await isNothingBefore(db, fetch));
  if (!covers) return;
  await retrying(db, forMs, () =>
    db.transaction(async (trx) => {
      if (!(await moveOn(trx, fetch, now))) return;
      await trx('downloads').where({ id: fetch.downloadId }).update({ reached: fetch.reached });
    }),
  );
}

/** @returns whether it counts. */
async function moveOn(trx: Db, fetch: Fetch, now: number): Promise<boolean> {
  const { listId, mailerId, extent, from, reached, reachedAt } = fetch;
  const { incoming, larger } = engineOf(trx);
  if (extent === 'all') {
    await trx('fetches')
      .insert({ list_id: listId, mailer_id: mailerId, reached, reached_at: reachedAt, whole_at: now })
      .onConflict(['list_id', 'mailer_id'])
      .merge({
        reached: trx.raw(larger('fetches.reached', incoming('reached'))),
        reached_at: trx.raw(larger('fetches.reached_at', incoming('reached_at'))),
        whole_at: now,
      });
    return true;
  }
  const updated = await trx('fetches')
    .where({ list_id: listId, mailer_id: mailerId })
    .modify((query) => {
      if (extent === 'delta') void query.where('reached', '>=', from);
    })
    .update({
      reached: trx.raw(larger('reached', '?'), [reached]),
      reached_at: trx.raw(larger('reached_at', '?'), [reachedAt]),
    });
  return updated > 0;
}

/** Rows that are looked at; where there are more, the download is held to have left something out. */
const mostLooked = 5000;

async function isNothingBefore(
  db: Db,
  { listId, mailerId, listIds, from, reached, markedAt }: Fetch,
): Promise<boolean> {
  const standing = await findFetch(db, listId, mailerId);
  // Where the global list is another one since, nobody has seen what is on it from before.
  if (standing === null || standing.reached < markedAt) return false;
  for (const id of listIds) {
    let looked = 0;
    for (let after = standing.reached; ;) {
      const rows: { feed_number: number; stands_from: number; recorded_at: number; is_live: number }[] =
        await db(db.raw(`opt_outs ${engineOf(db).byIndex('opt_outs_feed')}`))
          .where({ list_id: id })
          .where('feed_number', '>', after)
          .where('feed_number', '<=', reached)
          .orderBy('feed_number')
          .limit(500)
          .select('feed_number', 'stands_from', 'recorded_at')
          .select(db.raw(`CASE WHEN ${LIVE} THEN 1 ELSE 0 END AS is_live`, [Date.now()]));
      const isMissed = rows.some(
        (row) => row.is_live === 1 && row.stands_from > standing.reached && row.recorded_at < (from ?? 0),
      );
      looked += rows.length;
      if (isMissed || looked > mostLooked) return false;
      after = rows.at(-1)?.feed_number ?? reached;
      if (rows.length < 500) break;
    }
  }
  return true;
}

/** Notes that a mailer has had a file held against the list. */
export async function noteScrub(
  db: Db,
  { listId, mailerId }: Pick<Fetch, 'listId' | 'mailerId'>,
  now = Date.now(),
): Promise<void> {
  await db('fetches')
    .insert({ list_id: listId, mailer_id: mailerId, reached: -1, reached_at: 0, scrubbed_at: now })
    .onConflict(['list_id', 'mailer_id'])
    .merge({ scrubbed_at: now });
}

export async function findFetch(db: Db, listId: number, mailerId: number): Promise<FetchRow | null> {
  const row = await db<FetchRow>('fetches').where({ list_id: listId, mailer_id: mailerId }).first();
  return row ?? null;
}
