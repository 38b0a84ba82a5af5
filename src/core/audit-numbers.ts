import type { Db } from '../db/connect.js';
import type { Breach } from './audit.js';
import { listIdsIn, nameOf, type Key } from './audit-slices.js';

/** Numbers a query; they come from an index alone. */
const sliceNumbers = 10_000;

/** Numbers a pass: 32 MB at a bit each. Few installations ever come to a second pass. */
const passNumbers = 2 ** 28;

/**
 * No two opt-outs have the same feed number, whichever their lists. There is no index on the number alone:
 * each list's are read in order, and marked in one set of bits. A number is never given twice, so one that
 * is met twice is a breach, whatever changed meanwhile; a row that is renumbered only turns up twice.
 */
export async function* auditNumbers(db: Db, numbersAPass = passNumbers): AsyncGenerator<Breach> {
  const feed = await db<{ id: number; last_number: number }>('feed').where({ id: 1 }).first();
  const last = feed?.last_number ?? 0;
  for (let from = 0; from < last; from += numbersAPass) {
    const to = Math.min(from + numbersAPass, last);
    const met = new Uint8Array(Math.ceil((to - from) / 8));
    for await (const listId of listIdsIn(db, 'opt_outs')) {
      for (let after = from; ;) {
        const rows = await readNumbers(db, listId, after, to);
        for (const { feed_number, times } of rows) {
          const place = feed_number - from - 1;
          const [octet, bit] = [place >>> 3, 1 << (place & 7)];
          if (times > 1 || ((met[octet] ?? 0) & bit) !== 0) yield* tellWhose(db, feed_number);
          met[octet] = (met[octet] ?? 0) | bit;
        }
        after = rows.at(-1)?.feed_number ?? to;
        if (rows.length < sliceNumbers) break;
      }
    }
  }
}

/** Grouped, so that the end of a slice cannot part two rows of one number. */
async function readNumbers(
  db: Db,
  listId: number,
  after: number,
  to: number,
): Promise<{ feed_number: number; times: number }[]> {
  return db('opt_outs')
    .where({ list_id: listId })
    .where('feed_number', '>', after)
    .where('feed_number', '<=', to)
    .groupBy('feed_number')
    .orderBy('feed_number')
    .limit(sliceNumbers)
    .select('feed_number')
    .count('* as times') as Promise<{ feed_number: number; times: number }[]>;
}

async function* tellWhose(db: Db, number: number): AsyncGenerator<Breach> {
  const names: string[] = [];
  for await (const listId of listIdsIn(db, 'opt_outs')) {
    const rows: Key[] = await db('opt_outs')
      .where({ list_id: listId, feed_number: number })
      .limit(10)
      .select('address_key', 'tag');
    names.push(...rows.map((row) => nameOf(listId, row)));
    if (names.length >= 10) break;
  }
  const description = `feed_number ${number} is given to several: ${names.join('; ')}`;
  yield { code: 'feed-number-twice', table: 'opt_outs', description };
}
