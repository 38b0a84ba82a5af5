import type { Db } from '../db/connect.js';
import type { Breach } from './audit.js';
import { sliceRows } from './audit-slices.js';

interface ImportRow {
  import_key: Buffer;
  account_id: number;
  list_id: number;
  /** Null where no list has this id. */
  owner: number | null;
  line: number;
  taken: number;
  refused: number;
  refused_octets: number;
  started_at: number;
  saved_at: number;
  finished_at: number | null;
}

/** How far imports have come: of a list of the account's, in numbers that a file can have. */
export async function* auditImports(db: Db): AsyncGenerator<Breach> {
  for (let after: Buffer | null = null; ;) {
    const rows: ImportRow[] = await db('imports')
      .leftJoin('lists', 'lists.id', 'imports.list_id')
      .modify((query) => {
        if (after !== null) void query.where('import_key', '>', after);
      })
      .orderBy('import_key')
      .limit(sliceRows)
      .select('imports.*', 'lists.account_id as owner');
    for (const row of rows) {
      for (const [code, what] of faultsOf(row)) {
        const description = `import ${Buffer.from(row.import_key).toString('hex')}: ${what}`;
        yield { code, table: 'imports', description };
      }
    }
    after = rows.at(-1)?.import_key ?? null;
    if (rows.length < sliceRows) return;
  }
}

function faultsOf(row: ImportRow): [code: string, what: string][] {
  const { line, taken, refused, refused_octets, started_at, saved_at, finished_at } = row;
  const faults: [string, string][] = [];
  if (row.owner === null) faults.push(['reference', `list_id ${row.list_id} is in no row of lists`]);
  else if (row.owner !== row.account_id) faults.push(['account', `list ${row.list_id} is another account's`]);
  const numbers = [line, taken, refused, refused_octets];
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!numbers.every(isCount) || taken + refused > line) {
    faults.push(['import', `${taken} taken and ${refused} refused of ${line} lines`]);
  }
  if (saved_at < started_at || (finished_at !== null && finished_at < started_at)) {
    faults.push(['time', 'was kept before it was begun']);
  }
  return faults;
}
