import type { Knex } from 'knex';
import type { Db } from '../db/connect.js';

/** Rows a query: few milliseconds each, so that a service on the same database goes on meanwhile. */
export const sliceRows = 1000;

/** Where a row stands in its list, in `opt_outs` and `expiries`. */
export interface Key {
  readonly address_key: Buffer;
  readonly tag: Buffer;
}

/** The lists that a table has rows of, by the first column of its key: one look-up each. */
export async function* listIdsIn(db: Db, table: string): AsyncGenerator<number> {
  for (let after = 0; ;) {
    const row: { list_id: number } | undefined = await db(table)
      .where('list_id', '>', after)
      .orderBy('list_id')
      .first('list_id');
    if (row === undefined) return;
    after = row.list_id;
    yield after;
  }
}

/**
 * Leaves out what stands up to a key. Written so that both engines go straight to the place: neither does
 * for (a, b) > (?, ?) in all its versions.
 */
export function behind(query: Knex.QueryBuilder, alias: string, after: Key | undefined): void {
  if (after === undefined) return;
  const [addressKey, tag] = [`${alias}.address_key`, `${alias}.tag`];
  void query
    .where(addressKey, '>=', after.address_key)
    .where((rest) => void rest.where(addressKey, '>', after.address_key).orWhere(tag, '>', after.tag));
}

/** How a breach names a row. */
export function nameOf(listId: number, { address_key, tag }: Key): string {
  return `list ${listId}, ${hex(address_key)} ${hex(tag)}`;
}

/** SQLite gives what was put in: where that was no binary, this must not fail. */
function hex(value: Buffer): string {
  return Buffer.from(value).toString('hex');
}
