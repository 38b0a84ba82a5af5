import { setTimeout as pause } from 'node:timers/promises';
import { retrying, type Db } from '../db/connect.js';
import { NotFound, Unavailable } from '../errors.js';
import { getCounts, hasPendingChanges } from './feed.js';
import { noteChange } from './history.js';
import type { List } from './lists.js';
import { carryOutFor } from './removal-slices.js';
import { mostUnderWay, removalsUnderWay } from './removals-under-way.js';

/**
 * Removals of many opt-outs at once. Each is one row, and takes effect for whoever asks by that: the
 * opt-outs themselves are removed by slices, by the caller for as long as a second, and by the keeper from
 * then on. For 30 days it can be taken back.
 *
 * All that is asked of single addresses, pages and spans of time (suppressed.ts, opt-out-search.ts,
 * opt-outs-by-time.ts) counts what is still to go as removed, and what is still to come back as back. Whatever reads
 * rows alone (downloads, the feed, check.ts, export.ts) suppresses for some seconds more what nobody need suppress
 * any more. While a removal is taken back that would be the other way round, so there it waits
 * (refuseWhileRestoring): only changes go on, and tell nobody that somebody has gone who is to come back.
 */
export interface BulkRemoval {
  readonly id: number;
  readonly accountId: number;
  readonly listId: number;
  /** All that the list held, or some of it that was named. */
  readonly kind: 'all' | 'some';
  /** What was recorded, or recorded again, from then on stays: UTC milliseconds. */
  readonly at: number;
  readonly actor: string;
  readonly credentialId: number | null;
  readonly state: 'removing' | 'removed' | 'restoring' | 'restored';
  /** Opt-outs that it has removed, and brought back, so far. */
  readonly optOuts: number;
  readonly restored: number;
  /** When the last of them was removed, or brought back; null while that goes on. */
  readonly finishedAt: number | null;
  /** When it was taken back, and by whom. */
  readonly restoredAt: number | null;
  readonly restoredBy: string | null;
}

export interface RemovalOptions {
  /** As the history names them: `credential 7`, `cli`. */
  readonly actor: string;
  readonly credentialId?: number | null;
  /** UTC milliseconds; without it, now. */
  readonly at?: number;
}

/** How long a caller waits for what he has begun, before the rest of it is left to the keeper. */
export const patienceMs = 1000;

/**
 * Removes all that suppresses on a list. It has taken effect when this returns, which it does within about
 * a second; of a large list, the keeper removes the rest (then the state is `removing`).
 *
 * An opt-out whose request comes after this has returned stays, whatever becomes of the rest; of one that is
 * being recorded at the same moment, nobody can say which of the two was first.
 *
 * @throws Unavailable where the database is, or where too many removals of this list are under way.
 */
export async function removeAll(db: Db, list: List, options: RemovalOptions): Promise<BulkRemoval> {
  const at = options.at ?? (await nextMillisecond());
  const isEmpty = await suppressesNobody(db, list.id);
  const id = await retrying(db, patienceMs, () =>
    db.transaction(async (trx) => {
      await lockList(trx, list.id);
      const underWay = await removalsUnderWay(trx, [list.id]);
      if (underWay.length >= mostUnderWay)
        throw new Unavailable('too many removals of the list are under way');
      const begun = { ...options, at, kind: 'all', state: isEmpty ? 'removed' : 'removing' } as const;
      const made = await beginRemoval(trx, list, begun);
      await noteRemoval(trx, list, made, begun);
      return made;
    }),
  );
  await carryOutFor(db, { id, list_id: list.id }, { ms: patienceMs });
  return getBulkRemoval(db, id);
}

/**
 * A time that is later than that of all that has been recorded, and no later than that of all that will be:
 * what came within the same millisecond would be on either side.
 */
export async function nextMillisecond(): Promise<number> {
  const at = Date.now() + 1;
  while (Date.now() < at) await pause(1);
  return at;
}

/** In this order: a row that was waiting for its number is counted once it has it. */
async function suppressesNobody(db: Db, listId: number): Promise<boolean> {
  if (await hasPendingChanges(db, listId)) return false;
  const { addresses, md5_only, sha256_only, erased } = await getCounts(db, listId);
  return addresses + md5_only + sha256_only + erased === 0;
}

/** Removals and takings back of one list are begun one after the other. */
export async function lockList(trx: Db, id: number): Promise<void> {
  await trx('lists').where({ id }).forUpdate().first('id');
}

/** @returns its id; the history is the caller's. */
export async function beginRemoval(
  trx: Db,
  list: List,
  {
    actor,
    credentialId = null,
    at,
    kind,
    state,
  }: RemovalOptions & Pick<BulkRemoval, 'at' | 'kind' | 'state'>,
): Promise<number> {
  const now = Date.now();
  const [id = 0] = await trx('bulk_removals').insert({
    ...{ account_id: list.accountId, list_id: list.id, kind, at, actor, credential_id: credentialId },
    ...{ state, carried_at: now, finished_at: state === 'removed' ? now : null },
  });
  return id;
}

/** One entry of the history for all of a removal. */
export async function noteRemoval(
  trx: Db,
  list: List,
  removal: number,
  { actor, kind }: Pick<BulkRemoval, 'actor' | 'kind'>,
): Promise<void> {
  const change = { accountId: list.accountId, listId: list.id, actor, action: 'opt-outs.removed' };
  await noteChange(trx, { ...change, details: { removal, kind } });
}

/** @throws NotFound */
export async function getBulkRemoval(db: Db, id: number): Promise<BulkRemoval> {
  const row = await db<BulkRemovalRow>('bulk_removals').where({ id }).first();
  if (row === undefined) throw new NotFound(`There is no removal ${id} (signoff removals list).`);
  return removalOf(row);
}

/** Of an account, or of all, the newest first; at most 1,000. */
export async function bulkRemovalsOfAccount(db: Db, accountId: number | null): Promise<BulkRemoval[]> {
  return newest(db, accountId === null ? {} : { account_id: accountId });
}

/** The newest first, of those since a time; at most `limit`. */
export async function bulkRemovalsSince(
  db: Db,
  accountId: number,
  since: number,
  limit: number,
): Promise<BulkRemoval[]> {
  const rows = await db<BulkRemovalRow>('bulk_removals')
    .where({ account_id: accountId })
    .where('at', '>=', since)
    .orderBy('id', 'desc')
    .limit(Math.min(limit, 1000));
  return rows.map(removalOf);
}

export async function bulkRemovalsOfList(db: Db, listId: number): Promise<BulkRemoval[]> {
  return newest(db, { list_id: listId });
}

async function newest(db: Db, of: Partial<BulkRemovalRow>): Promise<BulkRemoval[]> {
  const rows = await db<BulkRemovalRow>('bulk_removals').where(of).orderBy('id', 'desc').limit(1000);
  return rows.map(removalOf);
}

/** A row of `bulk_removals`. */
export interface BulkRemovalRow {
  id: number;
  account_id: number;
  list_id: number;
  kind: BulkRemoval['kind'];
  at: number;
  actor: string;
  credential_id: number | null;
  state: BulkRemoval['state'];
  position: Buffer | null;
  carried_at: number;
  opt_outs: number;
  restored: number;
  finished_at: number | null;
  restored_at: number | null;
  restored_by: string | null;
}

function removalOf(row: BulkRemovalRow): BulkRemoval {
  return {
    id: row.id,
    accountId: row.account_id,
    listId: row.list_id,
    kind: row.kind,
    at: row.at,
    actor: row.actor,
    credentialId: row.credential_id,
    state: row.state,
    optOuts: row.opt_outs,
    restored: row.restored,
    finishedAt: row.finished_at,
    restoredAt: row.restored_at,
    restoredBy: row.restored_by,
  };
}
