import type { Db } from '../db/connect.js';
import type { Breach } from './audit.js';
import { listIdsIn, nameOf, sliceRows, type Key } from './audit-slices.js';

interface NumberedKey extends Key {
  readonly feed_number: number;
  readonly counted: number;
}

/** What counts as an address, or as an MD5 alone; of a SHA-256 alone, the person may have been erased. */
const canLeave = [1, 2];

/**
 * Up to the place that the keeper has come to with a list's cap, nothing is left that could leave. The place
 * is read before the rows, since it only rises, and whatever changes gets a number above it.
 */
export async function* auditCaps(db: Db): AsyncGenerator<Breach> {
  for await (const listId of listIdsIn(db, 'list_counts')) {
    const counts = await db<{ list_id: number; evicted_number: number; last_number: number }>('list_counts')
      .where({ list_id: listId })
      .first('evicted_number', 'last_number');
    if (counts === undefined) continue;
    const { evicted_number: place, last_number: last } = counts;
    if (place < 0 || place > last) {
      const description = `list ${listId}: evicted_number is ${place}, and last_number ${last}`;
      yield { code: 'cap', table: 'list_counts', description };
    }
    for (let after = 0; after < place;) {
      const rows: NumberedKey[] = await db('opt_outs')
        .where({ list_id: listId })
        .where('feed_number', '>', after)
        .where('feed_number', '<=', place)
        .orderBy('feed_number')
        .limit(sliceRows)
        .select('address_key', 'tag', 'feed_number', 'counted');
      for (const row of rows.filter(({ counted }) => canLeave.includes(counted))) {
        const description = `${nameOf(listId, row)}: it stands below ${place}, from where its list's cap goes on`;
        yield { code: 'cap', table: 'opt_outs', description };
      }
      after = rows.length < sliceRows ? place : (rows.at(-1)?.feed_number ?? place);
    }
  }
}
