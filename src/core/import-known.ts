import { engineOf, type Db } from '../db/connect.js';
import { rowOf, type HashedOptOut, type OptOut, type OptOutRow } from './opt-outs.js';

/** Of a row of a file: it may be several opt-outs, one a tag. */
interface Recorded {
  /** The place of its row. */
  readonly place: number;
  readonly optOut: OptOut | HashedOptOut;
}

/** Keys a query: look-ups in the primary key, a millisecond or two of SQLite's one connection. */
const keysAtOnce = 250;

/**
 * How many rows say nothing new: all of their opt-outs stood on the list before a time. Asked once they are
 * recorded: to record an opt-out that stands leaves the time at which we learnt of it, so the answer stays the same
 * however often a batch is repeated, and whatever other doors record meanwhile.
 *
 * @param before UTC milliseconds; none of the rows may have been recorded as of an earlier time.
 */
export async function countKnown(
  db: Db,
  listId: number,
  recorded: readonly Recorded[],
  before: number,
): Promise<number> {
  const rows = recorded.map(({ place, optOut }) => ({ place, row: rowOf(optOut) }));
  const keys = [...new Map(rows.map(({ row }) => [keyOf(row).toString('hex'), keyOf(row)])).values()];
  const standing = new Set<string>();
  for (let i = 0; i < keys.length; i += keysAtOnce) {
    const found: { address_key: Buffer; tag: Buffer }[] = await db(
      db.raw(`opt_outs ${engineOf(db).byIndex(null)}`),
    )
      .where({ list_id: listId })
      .whereIn('address_key', keys.slice(i, i + keysAtOnce))
      .where('recorded_at', '<', before)
      .select('address_key', 'tag');
    for (const row of found) standing.add(nameOf(row.address_key, row.tag));
  }
  const places = new Set(rows.map(({ place }) => place));
  for (const { place, row } of rows)
    if (!standing.has(nameOf(keyOf(row), row[2] as Buffer))) places.delete(place);
  return places.size;
}

function keyOf(row: OptOutRow): Buffer {
  return row[1] as Buffer;
}

function nameOf(key: Buffer, tag: Buffer): string {
  return `${key.toString('hex')} ${tag.toString('hex')}`;
}
