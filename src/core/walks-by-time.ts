import { setImmediate as everyoneElse } from 'node:timers/promises';
import { engineOf, type Db } from '../db/connect.js';

/** Where a walk through the rows of a log stands, which goes from the newest to the oldest: behind this row. */
export interface TimePlace {
  readonly at: number;
  readonly id: number;
}

export interface Walked<Row> {
  readonly rows: Row[];
  /** Where it goes on, the rows being too many to be looked at in one go; null: there are enough, or no more. */
  readonly cutAt: TimePlace | null;
}

/** Rows a statement: few milliseconds. */
const sliceRows = 500;

/** Rows a walk: half a second on two cores, in which others have their turns. */
export const rowsAWalk = 50_000;

/**
 * The newest rows of a log that are accepted, by an index that has them by time. What no index knows is gone
 * through in slices, and not all in one go.
 *
 * @param from.among what the index begins with; then come time and id. MariaDB is told to use it: left alone, it looks
 *   for `among` only, and reads all that is newer than the place once more with each slice.
 * @param options.limit rows.
 * @param options.mostRows that are looked at.
 */
export async function walkByTime<Row extends TimePlace>(
  db: Db,
  from: {
    readonly table: string;
    readonly index: string;
    readonly among: Readonly<Record<string, number>>;
    readonly columns: readonly string[];
  },
  accepts: (row: Row) => boolean,
  {
    before,
    limit,
    mostRows = rowsAWalk,
  }: { before: TimePlace | null; limit: number; mostRows?: number | undefined },
): Promise<Walked<Row>> {
  const { table, index, among, columns } = from;
  const rows: Row[] = [];
  let place = before;
  for (let looked = 0; looked < mostRows; looked += sliceRows) {
    // Where nothing is passed over, a page is all that has to be read.
    const size = looked === 0 ? Math.min(limit, sliceRows) : sliceRows;
    const slice = (await db(db.raw(`?? ${engineOf(db).byIndex(index)}`, [table]))
      .where(among)
      .modify((query) => {
        if (place === null) return;
        const { at, id } = place;
        void query
          .where('at', '<=', at)
          .where((rest) => void rest.where('at', '<', at).orWhere('id', '<', id));
      })
      .orderBy([
        { column: 'at', order: 'desc' },
        { column: 'id', order: 'desc' },
      ])
      .limit(size)
      .select(columns)) as Row[];
    for (const row of slice) {
      if (accepts(row)) rows.push(row);
      if (rows.length === limit) return { rows, cutAt: null };
    }
    const last = slice.at(-1);
    if (last === undefined || slice.length < size) return { rows, cutAt: null };
    place = { at: last.at, id: last.id };
    await everyoneElse();
  }
  return { rows, cutAt: place };
}
