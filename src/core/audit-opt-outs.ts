import type { Db } from '../db/connect.js';
import type { Breach } from './audit.js';
import { auditErased } from './audit-erased.js';
import { auditFiguresOf, noteStanding, type Standing } from './audit-figures.js';
import { auditRemovalsOf } from './audit-removals.js';
import { faultsOf, type AuditedRow, type FeedMark } from './audit-row.js';
import { behind, listIdsIn, nameOf, sliceRows, type Key } from './audit-slices.js';

/** What list_counts counts, in the order of `counted` from 1 on. */
const kinds = ['addresses', 'md5_only', 'sha256_only', 'erased'] as const;
type Counts = Record<(typeof kinds)[number], number>;

/**
 * Goes through all opt-outs by their key, and through what other tables say of them.
 *
 * @returns how many there are.
 */
export async function* auditOptOuts(
  db: Db,
  marks: readonly FeedMark[],
  at: number,
): AsyncGenerator<Breach, number> {
  let rows = 0;
  for await (const listId of listIdsIn(db, 'opt_outs')) {
    const list = await db<{ id: number; account_id: number }>('lists').where({ id: listId }).first();
    if (list === undefined) {
      const description = `list_id ${listId} is in no row of lists`;
      yield { code: 'reference', table: 'opt_outs', description };
    }
    const counts = yield* auditRows(db, listId, list?.account_id ?? null, marks, at);
    rows += counts.rows;
    yield* auditCounts(db, listId, counts);
  }
  for await (const listId of listIdsIn(db, 'list_counts')) yield* auditLastNumber(db, listId);
  for await (const listId of listIdsIn(db, 'expiries')) yield* auditExpiries(db, listId);
  return rows;
}

async function* auditRows(
  db: Db,
  listId: number,
  accountId: number | null,
  marks: readonly FeedMark[],
  at: number,
): AsyncGenerator<Breach, Counts & { rows: number }> {
  const counts = { addresses: 0, md5_only: 0, sha256_only: 0, erased: 0, rows: 0 };
  const knownMailers = new Map<number, number>();
  const standing: Standing = new Map();
  for (let after: AuditedRow | undefined; ;) {
    const rows = await readRows(db, listId, after);
    for (const row of rows) {
      for (const { code, what } of faultsOf(row, marks, at)) yield breachOf(listId, row, code, what);
      const kind = kinds[row.counted - 1];
      if (kind !== undefined) counts[kind]++;
    }
    yield* auditHeight(db, listId, rows);
    yield* auditMailersOf(db, listId, accountId, rows, knownMailers);
    yield* auditExpiring(db, listId, rows);
    yield* auditRemovalsOf(db, listId, rows, at);
    yield* auditErased(db, { listId, accountId, at }, rows);
    noteStanding(standing, rows);
    counts.rows += rows.length;
    after = rows.at(-1);
    if (rows.length < sliceRows) break;
  }
  yield* auditFiguresOf(db, listId, standing);
  return counts;
}

async function readRows(db: Db, listId: number, after: Key | undefined): Promise<AuditedRow[]> {
  return db('opt_outs as o')
    .where('o.list_id', listId)
    .modify(behind, 'o', after)
    .orderBy(['o.address_key', 'o.tag'])
    .limit(sliceRows)
    .select('address_key', 'tag', 'address', 'sha256', 'created_at', 'recorded_at', 'last_at', 'repeats')
    .select(
      'source',
      'expires_at',
      'mailer_id',
      'removed_at',
      'removal_id',
      'feed_number',
      'counted',
      'vouched',
      'figured',
      'stands_from',
      'left_again_at',
    )
    .select(db.raw('CASE WHEN given IS NULL THEN 0 ELSE 1 END AS has_given'));
}

/** The feed's last number is read after the rows, since both are committed together and it only rises. */
async function* auditHeight(db: Db, listId: number, rows: readonly AuditedRow[]): AsyncGenerator<Breach> {
  const feed = await db<{ id: number; last_number: number }>('feed').where({ id: 1 }).first();
  for (const row of rows) {
    if (feed !== undefined && row.stands_from > feed.last_number) {
      const what = `stands_from ${row.stands_from} is beyond the feed's last, ${feed.last_number}`;
      yield breachOf(listId, row, 'feed-number', what);
    }
    if (feed === undefined || row.feed_number === null || row.feed_number <= feed.last_number) continue;
    const what = `feed_number ${row.feed_number} is beyond the feed's last, ${feed.last_number}`;
    yield breachOf(listId, row, 'feed-number', what);
  }
}

async function* auditMailersOf(
  db: Db,
  listId: number,
  accountId: number | null,
  rows: readonly AuditedRow[],
  known: Map<number, number>,
): AsyncGenerator<Breach> {
  const named = [...new Set(rows.flatMap(({ mailer_id }) => (mailer_id === null ? [] : [mailer_id])))];
  if (known.size > 10 * sliceRows) known.clear();
  const unknown = named.filter((id) => !known.has(id));
  if (unknown.length > 0) {
    const found = await db<{ id: number; account_id: number }>('mailers').whereIn('id', unknown);
    for (const { id, account_id } of found) known.set(id, account_id);
  }
  for (const row of rows) {
    if (row.mailer_id === null) continue;
    const account = known.get(row.mailer_id);
    if (account === undefined) {
      yield breachOf(listId, row, 'reference', `mailer_id ${row.mailer_id} is in no row of mailers`);
    } else if (accountId !== null && account !== accountId) {
      yield breachOf(listId, row, 'account', `mailer ${row.mailer_id} is of another account`);
    }
  }
}

/** Each numbered row that runs out has to be noted where the keeper looks, for then or for earlier. */
async function* auditExpiring(db: Db, listId: number, rows: readonly AuditedRow[]): AsyncGenerator<Breach> {
  const expiring = rows.filter(
    (row) => row.expires_at !== null && row.removed_at === null && row.feed_number !== null,
  );
  if (expiring.length === 0) return;
  const noted: (Key & { expires_at: number })[] = await db('expiries')
    .where({ list_id: listId })
    .whereIn('address_key', [...new Set(expiring.map((row) => row.address_key))])
    .select('address_key', 'tag', 'expires_at');
  const times = new Map(noted.map((one) => [nameOf(listId, one), one.expires_at]));
  for (const row of expiring) {
    if ((times.get(nameOf(listId, row)) ?? Infinity) <= (row.expires_at ?? 0)) continue;
    // It may have been revived, removed or numbered again between the two readings: both in one, then.
    const still: unknown = await db('opt_outs as o')
      .leftJoin('expiries as e', (on) => {
        void on.on('e.list_id', 'o.list_id').on('e.address_key', 'o.address_key').on('e.tag', 'o.tag');
      })
      .where({ 'o.list_id': listId, 'o.address_key': row.address_key, 'o.tag': row.tag })
      .whereNull('o.removed_at')
      .whereNotNull('o.feed_number')
      .whereNotNull('o.expires_at')
      .where((or) => void or.whereNull('e.expires_at').orWhere('e.expires_at', '>', db.ref('o.expires_at')))
      .first('o.list_id');
    if (still !== undefined) {
      yield breachOf(listId, row, 'expiry', 'it expires, and the keeper has no note of it by then');
    }
  }
}

/** An expiry is noted in the transaction that numbers its row, and rows stay as tombstones. */
async function* auditExpiries(db: Db, listId: number): AsyncGenerator<Breach> {
  for (let after: Key | undefined; ;) {
    const rows: (Key & { opt_out: number | null })[] = await db('expiries as e')
      .leftJoin('opt_outs as o', (on) => {
        void on.on('o.list_id', 'e.list_id').on('o.address_key', 'e.address_key').on('o.tag', 'e.tag');
      })
      .where('e.list_id', listId)
      .modify(behind, 'e', after)
      .orderBy(['e.address_key', 'e.tag'])
      .limit(sliceRows)
      .select('e.address_key', 'e.tag', 'o.list_id as opt_out');
    for (const row of rows) {
      if (row.opt_out !== null) continue;
      yield { code: 'expiry', table: 'expiries', description: `${nameOf(listId, row)}: it is of no opt-out` };
    }
    after = rows.at(-1);
    if (rows.length < sliceRows) return;
  }
}

async function* auditCounts(db: Db, listId: number, counted: Counts): AsyncGenerator<Breach> {
  const noted = await db<Counts & { list_id: number }>('list_counts').where({ list_id: listId }).first();
  if (kinds.every((kind) => (noted?.[kind] ?? 0) === counted[kind])) return;
  // The list may have been numbered while its rows were read: one statement sees rows and counts as one.
  const sums = kinds.flatMap((kind, i) => [
    `COALESCE(SUM(o.counted = ${i + 1}), 0) AS ${kind}`,
    `COALESCE(MAX(c.${kind}), 0) AS noted_${kind}`,
  ]);
  const exact: Record<string, number | string> | undefined = await db('opt_outs as o')
    .leftJoin('list_counts as c', 'c.list_id', 'o.list_id')
    .where('o.list_id', listId)
    .first(db.raw(sums.join(', ')));
  for (const kind of kinds) {
    const [rows, note] = [Number(exact?.[kind]), Number(exact?.[`noted_${kind}`])];
    if (rows === note) continue;
    const description = `list ${listId}: ${kind} is ${note}, and ${rows} rows are counted so`;
    yield { code: 'counts', table: 'list_counts', description };
  }
}

/**
 * A list's newest number is on one of its rows, unless that row has lost it (and waits for a new one), or
 * was a tombstone that has been purged.
 */
async function* auditLastNumber(db: Db, listId: number): AsyncGenerator<Breach> {
  const ofList = () => db('opt_outs').where({ list_id: listId });
  const row: Record<'noted' | 'newest' | 'unnumbered' | 'purged', number | null> | undefined = await db(
    'list_counts as c',
  )
    .where('c.list_id', listId)
    .first({
      noted: 'c.last_number',
      newest: ofList().max('feed_number'),
      unnumbered: ofList().whereNull('feed_number').select('list_id').limit(1),
      purged: db('feed').where({ id: 1 }).select('purged_number'),
    });
  if (row === undefined) return;
  const [noted, newest] = [row.noted ?? 0, row.newest ?? 0];
  const isExplained = row.unnumbered !== null || noted <= (row.purged ?? 0);
  if (newest === noted || (newest < noted && isExplained)) return;
  const description = `list ${listId}: last_number is ${noted}, and its newest row has ${newest}`;
  yield { code: 'last-number', table: 'list_counts', description };
}

function breachOf(listId: number, key: Key, code: string, what: string): Breach {
  return { code, table: 'opt_outs', description: `${nameOf(listId, key)}: ${what}` };
}
