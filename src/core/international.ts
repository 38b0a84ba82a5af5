import { engineOf, type Db } from '../db/connect.js';

/** Rows a query: few milliseconds, since they are read in an index alone. */
const sliceRows = 4000;

/** What begins each label of a domain that has a Unicode form (RFC 5890, section 2.3.2.5). */
const aceMark = Buffer.from('xn--');

/**
 * The addresses of some lists whose domain has a Unicode form, by slices. Lists without such a domain are
 * told by their domains, of which there are few; those that have one are gone through by address.
 */
export async function* walkInternational(db: Db, listIds: readonly number[]): AsyncGenerator<string[]> {
  for (const listId of listIds) {
    let hasAny = false;
    for await (const { found } of walk(db, listId, 'domain')) {
      hasAny = found > 0;
      if (hasAny) break;
      yield [];
    }
    if (!hasAny) continue;
    for await (const { after, last, found } of walk(db, listId, 'standing_address')) {
      yield found === 0 ? [] : await addressesWithin(db, listId, after, last);
    }
  }
}

const indexOf = { domain: 'opt_outs_domain', standing_address: 'opt_outs_address' } as const;
type Column = keyof typeof indexOf;

interface Step {
  readonly after: Buffer;
  readonly last: Buffer;
  /** How many of its rows have such a domain. */
  readonly found: number;
}

/** Goes through an index of a list, and past whatever is in it more than once. */
async function* walk(db: Db, listId: number, column: Column): AsyncGenerator<Step> {
  const slice = db(fromIndex(db, column))
    .where({ list_id: listId })
    .orderBy(column)
    .limit(sliceRows)
    .select(column);
  for (let after: Buffer = Buffer.alloc(0); ;) {
    const row: { last: Buffer | null; found: number | string | null } | undefined = await db
      .from(slice.clone().where(column, '>', after).as('slice'))
      .first(db.raw('MAX(??) AS last, SUM(INSTR(??, ?) > 0) AS found', [column, column, aceMark]));
    if (row === undefined || row.last === null) return;
    yield { after, last: row.last, found: Number(row.found) };
    after = row.last;
  }
}

async function addressesWithin(db: Db, listId: number, after: Buffer, last: Buffer): Promise<string[]> {
  const rows = await db(fromIndex(db, 'standing_address'))
    .where({ list_id: listId })
    .where('standing_address', '>', after)
    .where('standing_address', '<=', last)
    .whereRaw('INSTR(standing_address, ?) > 0', [aceMark])
    .pluck('standing_address');
  return (rows as Buffer[]).map((address) => address.toString());
}

function fromIndex(db: Db, column: Column) {
  return db.raw(`opt_outs ${engineOf(db).byIndex(indexOf[column])}`);
}
