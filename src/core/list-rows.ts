import type { Db } from '../db/connect.js';
import type { Account } from './accounts.js';
import { isPublicId } from './lists.js';
import { listsInReach } from './user-rights.js';
import type { User } from './users.js';

/** What a table of many lists tells of each: a page of them costs as many queries as one list does. */
export interface ListRow {
  readonly id: number;
  readonly publicId: string;
  readonly internalName: string;
  readonly name: string;
  readonly isClosed: boolean;
  readonly isArchived: boolean;
  /** Whether its own whitelist lets anybody in; a mailer's own may do so as well. */
  readonly hasWhitelist: boolean;
  readonly downloadsFromAnyAddress: boolean;
}

export interface RowsAsked {
  /** A part of either name, whatever its case, or an address of the list (`https://…/l/…`). Null: all of them. */
  readonly search?: string | null;
  /** Only archived ones, only the others, or all: these come last. */
  readonly archived: 'only' | 'without' | 'last';
  /** The id of a list: only those after it, or, backwards, before it; in the order of the rows. */
  readonly beyond?: number | null;
  readonly backwards?: boolean;
  /** At most 1,000. */
  readonly limit: number;
}

interface Row {
  id: number;
  public_id: string;
  internal_name: string;
  name: string;
  state: string;
  archived_at: number | null;
  has_whitelist: number;
  downloads_from_any_address: number;
}

interface Place {
  id: number;
  is_last: number;
  sorted_by: string;
}

const isLast = 'CASE WHEN archived_at IS NULL THEN 0 ELSE 1 END';
const sortedBy = 'LOWER(internal_name)';

/** The lists of an account that a user may see, by their internal names. */
export async function listRowsFor(
  db: Db,
  user: User,
  account: Account,
  { search = null, archived, beyond = null, backwards = false, limit }: RowsAsked,
): Promise<ListRow[]> {
  const rows = () => listsInReach(db, user).where('account_id', account.id);
  const place: Place | undefined =
    beyond === null
      ? undefined
      : await rows()
          .where('id', beyond)
          .first('id', db.raw(`${isLast} AS is_last`), db.raw(`${sortedBy} AS sorted_by`));
  const [sign, way] = backwards ? ['<', 'DESC'] : ['>', 'ASC'];
  const found: Row[] = await rows()
    .modify((query) => {
      if (archived !== 'last') void query[archived === 'only' ? 'whereNotNull' : 'whereNull']('archived_at');
      if (search !== null) void query.whereRaw(...matches(search));
      if (place === undefined) return;
      // Written out: MySQL goes through all rows for a comparison of tuples.
      const { is_last, sorted_by, id } = place;
      void query.whereRaw(
        `(${isLast} ${sign} ? OR (${isLast} = ? AND (${sortedBy} ${sign} ? OR (${sortedBy} = ? AND id ${sign} ?))))`,
        [is_last, is_last, sorted_by, sorted_by, id],
      );
    })
    .orderByRaw(`${isLast} ${way}, ${sortedBy} ${way}, id ${way}`)
    .limit(Math.min(limit, 1000))
    .select('id', 'public_id', 'internal_name', 'name', 'state', 'archived_at', 'downloads_from_any_address')
    .select(db.raw("CASE WHEN ip_whitelist = '' THEN 0 ELSE 1 END AS has_whitelist"));
  return (backwards ? found.reverse() : found).map((row) => ({
    id: row.id,
    publicId: row.public_id,
    internalName: row.internal_name,
    name: row.name,
    isClosed: row.state === 'closed',
    isArchived: row.archived_at !== null,
    hasWhitelist: Number(row.has_whitelist) !== 0,
    downloadsFromAnyAddress: row.downloads_from_any_address !== 0,
  }));
}

/** How many lists of an account a user may see. */
export async function countListsFor(
  db: Db,
  user: User,
  account: Account,
): Promise<{ active: number; archived: number }> {
  const [row]: { lists: number | string; archived: number | string | null }[] = await listsInReach(db, user)
    .where('account_id', account.id)
    .select(db.raw('COUNT(*) AS lists'), db.raw(`SUM(${isLast}) AS archived`));
  const archived = Number(row?.archived ?? 0);
  return { active: Number(row?.lists ?? 0) - archived, archived };
}

/** Opt-outs that some lists hold, one a tag, as of their last numbering. */
export async function totalsOfLists(db: Db, listIds: readonly number[]): Promise<Map<number, number>> {
  const rows = await db('list_counts')
    .whereIn('list_id', listIds)
    .select<Record<'list_id' | 'addresses' | 'md5_only' | 'sha256_only' | 'erased', number>[]>(
      ...['list_id', 'addresses', 'md5_only', 'sha256_only', 'erased'],
    );
  return new Map(
    rows.map((row) => [
      Number(row.list_id),
      Number(row.addresses) + Number(row.md5_only) + Number(row.sha256_only) + Number(row.erased),
    ]),
  );
}

export interface LastDownload {
  readonly at: number;
  readonly mailer: string;
}

/**
 * When each of some lists was last downloaded, and by which mailer; one that was told that nothing is new counts, a
 * scrub does not.
 *
 * @param mailerId only downloads of this mailer.
 */
export async function lastDownloadsOf(
  db: Db,
  listIds: readonly number[],
  mailerId: number | null = null,
): Promise<Map<number, LastDownload>> {
  // By the index, from its end, once a list: the newest of all by a GROUP BY would go through every download.
  const newest = db('downloads')
    .whereRaw('downloads.list_id = lists.id')
    .whereIn('status', [200, 304])
    .whereNot('extent', 'scrub')
    .modify((query) => {
      if (mailerId !== null) void query.where('mailer_id', mailerId);
    })
    .orderBy('at', 'desc')
    .limit(1)
    .select('downloads.id');
  const ids: { download: number | null }[] = await db('lists')
    .whereIn('lists.id', listIds)
    .select({ download: newest });
  const found = ids.flatMap(({ download }) => (download === null ? [] : [download]));
  const rows: { list_id: number; at: number; name: string | null }[] = await db('downloads')
    .whereIn('downloads.id', found)
    .leftJoin('mailers', 'mailers.id', 'downloads.mailer_id')
    .select('downloads.list_id', 'downloads.at', 'mailers.name');
  return new Map(rows.map(({ list_id, at, name }) => [list_id, { at: Number(at), mailer: name ?? '' }]));
}

/** LOWER() of SQLite knows ASCII alone, so names are compared as they were typed, too. */
function matches(search: string): [string, string[]] {
  const text = search.trim().normalize('NFC');
  const part = `%${text.replace(/[!%_]/g, '!$&')}%`;
  const columns = ['internal_name', 'name'].flatMap((column) => [
    `LOWER(${column}) LIKE ? ESCAPE '!'`,
    `${column} LIKE ? ESCAPE '!'`,
  ]);
  const publicId =
    text
      .toLowerCase()
      .split(/[/?#\s]/)
      .find(isPublicId) ?? '';
  return [
    `(${columns.join(' OR ')} OR public_id = ?)`,
    [part.toLowerCase(), part, part.toLowerCase(), part, publicId],
  ];
}
