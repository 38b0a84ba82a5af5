import { engineOf, rowsOf, type Db } from '../db/connect.js';

/** Keys behind one and up to another: of an address in them all rows are. */
export interface KeyRange {
  readonly after: Buffer;
  readonly upTo: Buffer;
}

/** Rows of all lists together: few milliseconds on SQLite, whose driver blocks the process meanwhile. */
const rowsARange = { sqlite: 1000, mysql: 16_000 } as const;

const beforeAll: Buffer = Buffer.alloc(0);
const behindAll: Buffer = Buffer.alloc(17, 0xff);
/** Keys are told apart by their first six octets, which is what a number can hold. */
const lastPlace = 2 ** 48 - 1;

/**
 * All keys of some lists, in their order, in ranges of some thousand rows: a range is read by one statement, which
 * nothing else would keep from going through a whole list.
 */
export function keyRanges(db: Db, listIds: readonly number[]): AsyncGenerator<KeyRange> {
  return engineOf(db).name === 'sqlite' ? countedRanges(db, listIds) : estimatedRanges(db, listIds);
}

/** Counted off in the index: a tenth of what it takes to read them. */
async function* countedRanges(db: Db, listIds: readonly number[]): AsyncGenerator<KeyRange> {
  for (let after = beforeAll; ;) {
    const upTo = await lastOfRange(db, listIds, after);
    yield { after, upTo: upTo ?? behindAll };
    if (upTo === null) return;
    after = upTo;
  }
}

/**
 * Keys are hashes, so as many are in one range as in another of its width; to count them off would take half as long
 * as to read them. How many there are, the planner tells from a few pages of the index. Where that is far more than
 * they should be, somebody has brought hashes that are none, and they are counted off.
 */
async function* estimatedRanges(db: Db, listIds: readonly number[]): AsyncGenerator<KeyRange> {
  const wanted = rowsARange.mysql;
  let width = lastPlace;
  for (let after = beforeAll; ;) {
    let upTo = keyBehind(after, width);
    let rows = await estimate(db, listIds, { after, upTo });
    for (let attempt = 0; attempt < 3 && rows > 2 * wanted; attempt++) {
      width = Math.max(1, Math.floor((width * wanted) / rows));
      upTo = keyBehind(after, width);
      rows = await estimate(db, listIds, { after, upTo });
    }
    if (rows > 4 * wanted) upTo = (await lastOfRange(db, listIds, after)) ?? behindAll;
    else if (rows < wanted / 2) width = Math.min(lastPlace, width * (rows < wanted / 16 ? 16 : 2));
    yield { after, upTo };
    if (upTo === behindAll) return;
    after = upTo;
  }
}

/** @throws Error where keys that have to be told apart begin alike. */
export function halvesOf({ after, upTo }: KeyRange): [KeyRange, KeyRange] {
  const [low, high] = [placeOf(after), Math.min(placeOf(upTo), lastPlace)];
  const middle = keyBehind(after, Math.floor((high - low) / 2));
  if (high - low < 2) throw new Error('too much stands under keys that begin alike');
  return [
    { after, upTo: middle },
    { after: middle, upTo },
  ];
}

function keyBehind(after: Buffer, width: number): Buffer {
  const place = placeOf(after) + width;
  if (place >= lastPlace) return behindAll;
  const key = Buffer.alloc(16, 0xff);
  key.writeUIntBE(place, 0, 6);
  return key;
}

function placeOf(key: Buffer): number {
  return key.length === 0 ? -1 : key.readUIntBE(0, 6);
}

async function estimate(db: Db, listIds: readonly number[], range: KeyRange): Promise<number> {
  let sum = 0;
  for (const listId of listIds) {
    const explained: unknown = await db.raw(
      `EXPLAIN SELECT tag FROM opt_outs ${engineOf(db).byIndex(null)} WHERE list_id = ? AND address_key > ? AND address_key <= ?`,
      [listId, range.after, range.upTo],
    );
    const [row] = rowsOf<{ rows: number | string | null }>(db, explained);
    sum += Number(row?.rows ?? 0);
  }
  return sum;
}

/** @returns null where the rest of all lists is less than a range. */
async function lastOfRange(db: Db, listIds: readonly number[], after: Buffer): Promise<Buffer | null> {
  const offset = Math.ceil(rowsARange[engineOf(db).name] / listIds.length) - 1;
  const ends: Buffer[] = [];
  for (const listId of listIds) {
    const row: { address_key: Buffer } | undefined = await db(
      db.raw(`opt_outs ${engineOf(db).byIndex(null)}`),
    )
      .where({ list_id: listId })
      .where('address_key', '>', after)
      .orderBy(['address_key', 'tag'])
      .offset(offset)
      .first('address_key');
    if (row !== undefined) ends.push(row.address_key);
  }
  return ends.sort((a, b) => Buffer.compare(a, b))[0] ?? null;
}
