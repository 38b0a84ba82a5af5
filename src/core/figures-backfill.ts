import { engineOf, type Db } from '../db/connect.js';
import { behind } from './audit-slices.js';
import { addToFigures } from './opt-out-figures.js';
import { currentPass, inNextList, keepPass, type Pass } from './passes.js';

const name = 'figures';

interface UncountedRow {
  readonly list_id: number;
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly recorded_at: number;
  readonly source: string;
  readonly figured: number;
  readonly counted: number;
}

/**
 * Puts into the figures what was there before figures were kept, as far as it stands: what had been removed by then
 * is in none. Goes once through all opt-outs, by their key; broken off, it goes on where it was. Each row is marked
 * in the transaction that counts it, so whoever comes second finds it done.
 *
 * @returns whether it goes on.
 */
export async function countOldOptOuts(
  db: Db,
  at: number,
  rowsAtOnce = engineOf(db).name === 'sqlite' ? 150 : 1000,
): Promise<boolean> {
  const pass = await currentPass(db, name, at, null);
  if (pass === null) return false;
  const rows = await rowsBehind(db, pass, rowsAtOnce);
  const old = rows.filter((row) => row.figured === 0 && row.counted !== 0);
  if (old.length > 0) await db.transaction((trx) => count(trx, pass.list_id, old));
  const last = rows.at(-1);
  const isCut = last !== undefined && rows.length === rowsAtOnce;
  const next = isCut
    ? { ...pass, address_key: last.address_key, tag: last.tag }
    : await inNextList(db, pass, at);
  await keepPass(db, next);
  return next.ended_at === null;
}

function rowsBehind(db: Db, pass: Pass, limit: number): Promise<UncountedRow[]> {
  return db(db.raw(`opt_outs AS o ${engineOf(db).byIndex(null)}`))
    .where('o.list_id', pass.list_id)
    .modify(behind, 'o', pass)
    .orderBy(['o.address_key', 'o.tag'])
    .limit(limit)
    .select('list_id', 'address_key', 'tag', 'recorded_at', 'source', 'figured', 'counted') as Promise<
    UncountedRow[]
  >;
}

/**
 * Only what is still to be counted, read once more under a lock. What has no number at the moment is the numbering's
 * to count, so no row can come to these while they are being counted.
 */
async function count(trx: Db, listId: number, old: readonly UncountedRow[]): Promise<void> {
  const keys = [...new Set(old.map((row) => row.address_key))];
  const uncounted = () =>
    trx<UncountedRow>(trx.raw(`opt_outs ${engineOf(trx).byIndex(null)}`))
      .where({ list_id: listId })
      .whereIn('address_key', keys)
      .whereRaw('figured = 0 AND counted <> 0 AND +feed_number IS NOT NULL');
  const rows: UncountedRow[] = await uncounted()
    .orderBy(['address_key', 'tag'])
    .forUpdate()
    .select('list_id', 'address_key', 'tag', 'recorded_at', 'source', 'figured', 'counted');
  await addToFigures(trx, rows);
  await uncounted().update({ figured: 1 });
}
