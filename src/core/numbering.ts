import { engineOf, rowsOf, type Db } from '../db/connect.js';
import { addToFigures } from './opt-out-figures.js';

/**
 * The keeper's writes to the feed: numbers for what has changed, and removals for what has expired. See
 * feed.ts for what the numbers mean.
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
  recorded_at: number;
  source: string;
  figured: number;
}

/**
 * Gives rows that have committed since the last call their feed numbers, and brings the counts of their
 * lists, and the figures (opt-out-figures.ts), up to date in the same transaction.
 *
 * @param fencing the keeper's lease; the feed takes nothing from a keeper that has lost it.
 * @param limit rows a call: what one transaction takes, and SQLite's one connection is held for.
 * @returns how many rows were numbered; 0 when there were none, when a row changed meanwhile (the next
 *   call sees it again), or when the lease was lost.
 */
export async function numberChanges(db: Db, fencing: number, limit = 1000): Promise<number> {
  const { straightJoin, byIndex } = engineOf(db);
  const result: unknown = await db.raw(
    `SELECT o.list_id, o.address_key, o.tag, o.counted, o.expires_at, o.recorded_at, o.source,
       o.figured, ${KIND} AS kind
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
  await addToFigures(
    trx,
    rows.filter((row) => row.kind !== 0 && row.figured === 0),
  );
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
      row.recorded_at,
      row.source,
      row.figured,
    ]),
  );
  // The + keeps SQLite from going through all rows without a number for each one that gets its own.
  const isAsRead = `+o.feed_number IS NULL AND o.counted = j.counted AND (${KIND}) = j.kind
    AND o.expires_at ${nullSafeEqual} j.expires_at AND o.recorded_at = j.recorded_at AND o.source = j.source
    AND o.figured = j.figured`;
  // By what was read: MySQL may assign in any order here.
  const standsFrom = 'CASE WHEN j.counted = 0 AND j.kind <> 0 THEN j.number ELSE o.stands_from END';
  const figured = 'CASE WHEN j.figured = 0 AND j.kind <> 0 THEN 1 ELSE j.figured END';
  if (name === 'sqlite') {
    const result: { changes: number } = await trx.raw(
      `UPDATE opt_outs AS o SET feed_number = j.number, counted = j.kind, stands_from = ${standsFrom},
         figured = ${figured}
       FROM (SELECT value ->> 0 AS list_id, unhex(value ->> 1) AS address_key, unhex(value ->> 2) AS tag,
               value ->> 3 AS counted, value ->> 4 AS kind, value ->> 5 AS number,
               value ->> 6 AS expires_at, value ->> 7 AS recorded_at, value ->> 8 AS source,
               value ->> 9 AS figured FROM json_each(?)) AS j
       WHERE o.list_id = j.list_id AND o.address_key = j.address_key AND o.tag = j.tag AND ${isAsRead}`,
      [json],
    );
    return result.changes;
  }
  const [result] = (await trx.raw(
    `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (list_id INT UNSIGNED PATH '$[0]', address_key VARCHAR(32) PATH '$[1]',
       tag VARCHAR(256) PATH '$[2]', counted INT PATH '$[3]', kind INT PATH '$[4]', number BIGINT PATH '$[5]',
       expires_at BIGINT PATH '$[6]', recorded_at BIGINT PATH '$[7]', source VARCHAR(12) PATH '$[8]',
       figured INT PATH '$[9]')) AS j
     STRAIGHT_JOIN opt_outs AS o ${byIndex(null)}
       ON o.list_id = j.list_id AND o.address_key = UNHEX(j.address_key) AND o.tag = UNHEX(j.tag)
     SET o.feed_number = j.number, o.counted = j.kind, o.stands_from = ${standsFrom}, o.figured = ${figured}
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
