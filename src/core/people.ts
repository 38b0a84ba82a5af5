import { engineOf, type Db } from '../db/connect.js';
import { addressForms, entryKeysOf, md5Of } from './address.js';
import type { OptOutRecord } from './opt-outs.js';

/** What an account holds about one person: an address, over all of its lists. */

/** A list as far as whoever asks about a person needs it. */
export interface NamedList {
  readonly id: number;
  readonly publicId: string;
  readonly internalName: string;
}

/** What one list holds of a person: a row a tag, removed ones included. */
export interface HeldByList {
  readonly list: NamedList;
  readonly rows: readonly OptOutRecord[];
}

/** Lists a query. */
const listsAtOnce = 500;

/**
 * All that an account's lists hold of an address, list by list, archived lists included. Entries of which only
 * a hash is known are found as well. Memory stays flat, however many lists there are.
 */
export async function* heldByLists(
  db: Db,
  accountId: number,
  normalised: string,
): AsyncGenerator<HeldByList> {
  for await (const lists of listsWith(db, accountId, normalised)) {
    for (const list of lists) {
      const rows = await rowsOfPerson(db, list.id, normalised);
      if (rows.length > 0) yield { list, rows };
    }
  }
}

/** The lists of an account that hold anything of an address, by slices, in the order of their ids. */
export async function* listsWith(db: Db, accountId: number, normalised: string): AsyncGenerator<NamedList[]> {
  for (let after = 0; ;) {
    const rows: { id: number; public_id: string; internal_name: string }[] = await db('lists')
      .where({ account_id: accountId })
      .where('id', '>', after)
      .orderBy('id')
      .limit(listsAtOnce)
      .select('id', 'public_id', 'internal_name');
    const ids = rows.map(({ id }) => id);
    const byKey = db.raw(`opt_outs ${engineOf(db).byIndex(null)}`);
    const holding = (await db(byKey)
      .distinct('list_id')
      .whereIn('list_id', ids)
      .whereIn('address_key', entryKeysOf(normalised))
      .pluck('list_id')) as number[];
    const found = new Set(holding);
    yield rows
      .filter(({ id }) => found.has(id))
      .map(({ id, public_id, internal_name }) => ({ id, publicId: public_id, internalName: internal_name }));
    after = ids.at(-1) ?? 0;
    if (rows.length < listsAtOnce) return;
  }
}

/** As many as a list has tags, at most. */
async function rowsOfPerson(db: Db, listId: number, normalised: string): Promise<OptOutRecord[]> {
  const rows = await db<OptOutRecord>('opt_outs')
    .where({ list_id: listId })
    .whereIn('address_key', entryKeysOf(normalised))
    .orderBy(['address_key', 'tag']);
  return rows;
}

/** What the history notes of a person, by the hash of the address. */
export interface NotedOfPerson {
  readonly at: number;
  readonly listId: number | null;
  readonly actor: string;
  readonly action: string;
}

/** Oldest first; the newest 1,000. */
export async function historyOfPerson(
  db: Db,
  accountId: number,
  normalised: string,
): Promise<NotedOfPerson[]> {
  const rows: { at: number; list_id: number | null; actor: string; action: string }[] = await db('history')
    .where({ account_id: accountId })
    .whereIn('subject', addressForms(normalised).map(md5Of))
    .orderBy('id', 'desc')
    .limit(1000)
    .select('at', 'list_id', 'actor', 'action');
  return rows.map(({ list_id, ...row }) => ({ ...row, listId: list_id })).reverse();
}

/** The names of the mailers that brought opt-outs, by id. */
export async function namesOfMailers(db: Db, ids: readonly number[]): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  for (let i = 0; i < ids.length; i += 500) {
    const rows = await db<{ id: number; name: string }>('mailers')
      .whereIn('id', ids.slice(i, i + 500))
      .select('id', 'name');
    for (const row of rows) names.set(row.id, row.name);
  }
  return names;
}
