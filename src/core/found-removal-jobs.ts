import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { engineOf, retrying, type Db } from '../db/connect.js';
import { Refused, Unavailable } from '../errors.js';
import { behind, type Key } from './audit-slices.js';
import { removeSlice, type OptOutKey, type SliceOf } from './found-removal-slices.js';
import { createTest, type OptOutFilter } from './opt-out-filter.js';
import { foundColumns, type FoundOptOut } from './opt-out-walks.js';
import { asItCounts, removalsUnderWay } from './removals-under-way.js';

/** How removals of much that a search finds are carried out: by slices of the key, by whoever comes first. */

export interface FoundRemovalRow {
  removal_id: number;
  list_id: number;
  filter: string;
  recorded_before: number;
  most: number;
  position: string | null;
  looked: number;
}

/** More than this many a list are not begun. */
const mostUnderWay = 20;

/** Belongs in the transaction that begins the removal. @throws Unavailable */
export async function beginFoundRemoval(
  trx: Db,
  {
    removal,
    listId,
    filter,
    recordedBefore,
    most,
  }: { removal: number; listId: number; filter: OptOutFilter; recordedBefore: number; most: number },
): Promise<void> {
  const standing = await trx<FoundRemovalRow>('found_removals')
    .where({ list_id: listId })
    .limit(mostUnderWay);
  if (standing.length === mostUnderWay) throw new Unavailable('too many removals of the list are under way');
  await trx<FoundRemovalRow>('found_removals').insert({
    ...{ removal_id: removal, list_id: listId, filter: JSON.stringify(filter) },
    ...{ recorded_before: recordedBefore, most, looked: 0 },
  });
}

/** Rows a slice: few milliseconds of SQLite's one connection. */
const rowsASlice = { sqlite: 200, mysql: 1000 } as const;
/** What a transaction takes, or as many as are found within some time. */
const keysASlice = 200;
const passingMs = 20;

/**
 * A slice of one of them: the keeper calls it.
 *
 * @returns whether there is more to do.
 */
export async function carryOnFound(db: Db): Promise<boolean> {
  const rows = await db<FoundRemovalRow>('found_removals').orderBy('removal_id').limit(100);
  // Whoever removes millions does not keep the others waiting.
  const one = rows[Math.floor(Math.random() * rows.length)];
  if (one === undefined) return false;
  await carryOn(db, one);
  return true;
}

/** Carries one out for some time: it may be over by then. */
export async function carryOutFoundFor(db: Db, removal: number, ms: number): Promise<void> {
  const deadline = performance.now() + ms;
  while (performance.now() < deadline) {
    const row = await findJob(db, removal);
    if (row === undefined) return;
    const startedAt = performance.now();
    await retrying(db, ms, () => carryOn(db, row));
    // On SQLite, the others wait meanwhile: they get as much time.
    if (engineOf(db).name === 'sqlite') await pause(performance.now() - startedAt);
  }
}

/** @returns how many rows of its list a removal has gone through; null where it is over, or was never one. */
export async function foundRemovalUnderWay(
  db: Db,
  removal: number,
): Promise<{ looked: number; most: number } | null> {
  const row = await findJob(db, removal);
  return row === undefined ? null : { looked: row.looked, most: row.most };
}

async function findJob(db: Db, removal: number): Promise<FoundRemovalRow | undefined> {
  return db<FoundRemovalRow>('found_removals').where({ removal_id: removal }).first();
}

/** Killed anywhere, it is simply done again; of two who do it at once, one does nothing. */
async function carryOn(db: Db, job: FoundRemovalRow): Promise<void> {
  const removal = await db<{ id: number; at: number; opt_outs: number }>('bulk_removals')
    .where({ id: job.removal_id })
    .first('at', 'opt_outs');
  const left = removal === undefined ? 0 : job.most - removal.opt_outs;
  if (removal === undefined || left <= 0) return end(db, job);
  const underWay = await removalsUnderWay(db, [job.list_id]);
  const isWanted = createTest(JSON.parse(job.filter) as OptOutFilter, removal.at);
  const limit = rowsASlice[engineOf(db).name];
  const deadline = performance.now() + passingMs;
  const keys: OptOutKey[] = [];
  let last = keyIn(job.position);
  for (let looked = job.looked; ;) {
    const rows = await rowsBehind(db, job.list_id, last, limit);
    const found = rows.filter(
      (row) => row.last_at < job.recorded_before && isWanted(asItCounts(row, underWay)),
    );
    keys.push(...found.slice(0, left - keys.length));
    last = rows.at(-1) ?? last;
    looked += rows.length;
    const isLast = rows.length < limit;
    if (keys.length >= keysASlice || keys.length === left || isLast || performance.now() > deadline) {
      const slice = { removal: job.removal_id, listId: job.list_id, at: removal.at };
      const done = { position: last === undefined ? null : textOf(last), looked, isLast };
      return write(db, job, { ...slice, recordedBefore: job.recorded_before }, keys, done);
    }
    await nextTurn();
  }
}

async function write(
  db: Db,
  job: FoundRemovalRow,
  slice: SliceOf,
  keys: readonly OptOutKey[],
  { isLast, ...done }: { position: string | null; looked: number; isLast: boolean },
): Promise<void> {
  try {
    await db.transaction(async (trx) => {
      const own = trx<FoundRemovalRow>('found_removals')
        .where({ removal_id: job.removal_id })
        .whereRaw(`position ${engineOf(trx).nullSafeEqual} ?`, [job.position]);
      // Only from where it stood: somebody else may have done this meanwhile.
      const moved = isLast ? await own.delete() : await own.update(done);
      if (moved > 0 && keys.length > 0) await removeSlice(trx, slice, keys);
    });
  } catch (error) {
    // Somebody has taken it back before it was over: nothing more goes.
    if (!(error instanceof Refused)) throw error;
    await end(db, job);
  }
}

async function end(db: Db, { removal_id }: FoundRemovalRow): Promise<void> {
  await db<FoundRemovalRow>('found_removals').where({ removal_id }).delete();
}

async function rowsBehind(
  db: Db,
  listId: number,
  last: Key | undefined,
  limit: number,
): Promise<FoundOptOut[]> {
  return db(db.raw(`opt_outs AS o ${engineOf(db).byIndex(null)}`))
    .where({ list_id: listId })
    .modify(behind, 'o', last)
    .orderBy(['address_key', 'tag'])
    .limit(limit)
    .select(...foundColumns);
}

function textOf({ address_key, tag }: Key): string {
  return `${address_key.toString('hex')} ${tag.toString('hex')}`;
}

function keyIn(position: string | null): Key | undefined {
  if (position === null) return undefined;
  const [key = '', tag = ''] = position.split(' ');
  return { address_key: Buffer.from(key, 'hex'), tag: Buffer.from(tag, 'hex') };
}
