import type { Knex } from 'knex';
import { engineOf, type Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';

/**
 * How opt-outs are read while a removal of all of a list, or its taking back, is being carried out: as they
 * will stand when it is over (bulk-removals.ts).
 */
export interface RemovalUnderWay {
  readonly id: number;
  readonly list_id: number;
  readonly at: number;
  readonly state: 'removing' | 'restoring';
}

/** More than this many a list are not begun. */
export const mostUnderWay = 20;

/** Those of some lists, at most a few; none, nearly always. */
export async function removalsUnderWay(db: Db, listIds: readonly number[]): Promise<RemovalUnderWay[]> {
  const rows: RemovalUnderWay[] = await db(
    db.raw(`bulk_removals ${engineOf(db).byIndex('bulk_removals_list')}`),
  )
    .whereIn('list_id', listIds)
    .whereIn('state', ['removing', 'restoring'])
    .select('id', 'list_id', 'at', 'state');
  return rows.sort((a, b) => a.id - b.id);
}

/**
 * For those who read rows alone, and would take people for mailable who are still to be brought back. To be asked
 * before the first row is read: what is begun to be brought back after that was removed when they asked.
 *
 * @throws Unavailable while anything is being brought back to one of the lists.
 */
export async function refuseWhileRestoring(db: Db, listIds: readonly number[]): Promise<void> {
  const underWay = await removalsUnderWay(db, listIds);
  if (underWay.some(({ state }) => state === 'restoring')) {
    throw new Unavailable('what was removed from the list is being brought back');
  }
}

/** What of a row has to do with it. */
export interface RemovableRow {
  readonly list_id: number;
  readonly last_at: number;
  readonly expires_at: number | null;
  readonly removed_at: number | null;
  readonly removal_id: number | null;
}

/** Whether a row was removed by what is being brought back: by and by it suppresses again. */
export function isToComeBack(
  row: Pick<RemovableRow, 'list_id' | 'removed_at' | 'removal_id'>,
  underWay: readonly RemovalUnderWay[],
): boolean {
  return underWay.some(
    ({ id, list_id, at, state }) =>
      state === 'restoring' && list_id === row.list_id && id === row.removal_id && at === row.removed_at,
  );
}

/**
 * When a row was removed, if it was: what is still to go has gone, and what is still to come back is back.
 * What was begun to be brought back is so before anything that is begun to be removed.
 */
export function removedAtOf(row: RemovableRow, underWay: readonly RemovalUnderWay[]): number | null {
  if (row.removed_at !== null && !isToComeBack(row, underWay)) return row.removed_at;
  const taken = underWay.find(
    ({ list_id, at, state }) =>
      state === 'removing' &&
      list_id === row.list_id &&
      row.last_at < at &&
      (row.expires_at === null || row.expires_at > at),
  );
  return taken?.at ?? null;
}

/** A row as it counts. */
export function asItCounts<T extends RemovableRow>(row: T, underWay: readonly RemovalUnderWay[]): T {
  return underWay.length === 0 ? row : { ...row, removed_at: removedAtOf(row, underWay) };
}

/** Leaves out what is still to go: nobody can remove it once more. */
export function notStillToGo(query: Knex.QueryBuilder, underWay: readonly RemovalUnderWay[]): void {
  for (const { list_id, at } of underWay.filter(({ state }) => state === 'removing')) {
    void query.where((or) => void or.whereNot({ list_id }).orWhere('last_at', '>=', at));
  }
}
