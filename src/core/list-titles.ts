import type { Db } from '../db/connect.js';

/** What a list is called, for where it is only named: all of it costs more queries than one. */
export interface ListTitle {
  readonly id: number;
  readonly accountId: number;
  readonly publicId: string;
  readonly internalName: string;
  readonly isArchived: boolean;
}

interface TitleRow {
  readonly id: number;
  readonly account_id: number;
  readonly public_id: string;
  readonly internal_name: string;
  readonly archived_at: number | null;
}

/**
 * The lists of an account, oldest first.
 *
 * @param options.beyond a list's id: only those after it.
 * @param options.limit at most 1,000.
 */
export async function listTitles(
  db: Db,
  accountId: number,
  { beyond = 0, limit }: { beyond?: number; limit: number },
): Promise<ListTitle[]> {
  const rows = await titleRows(db)
    .where({ account_id: accountId })
    .where('id', '>', beyond)
    .orderBy('id')
    .limit(Math.min(limit, 1000));
  return rows.map(titleOf);
}

/** Of these ids, those that the account has, by id; at most 1,000. */
export async function listTitlesOf(
  db: Db,
  accountId: number,
  ids: readonly number[],
): Promise<Map<number, ListTitle>> {
  const rows = await titleRows(db)
    .where({ account_id: accountId })
    .whereIn('id', [...new Set(ids)].slice(0, 1000));
  return new Map(rows.map((row) => [row.id, titleOf(row)]));
}

function titleRows(db: Db) {
  return db<TitleRow>('lists').select('id', 'account_id', 'public_id', 'internal_name', 'archived_at');
}

function titleOf({ id, account_id, public_id, internal_name, archived_at }: TitleRow): ListTitle {
  return {
    ...{ id, accountId: account_id, publicId: public_id, internalName: internal_name },
    isArchived: archived_at !== null,
  };
}
