import { engineOf, retrying, type Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { entryKeysOf, md5Of } from './address.js';
import {
  beginRemoval,
  getBulkRemoval,
  nextMillisecond,
  noteRemoval,
  type BulkRemoval,
  type RemovalOptions,
} from './bulk-removals.js';
import { noteChanges } from './history.js';
import type { List } from './lists.js';
import { LIVE, removeOptOuts } from './opt-outs.js';
import { notStillToGo, removalsUnderWay } from './removals-under-way.js';

/**
 * Takes addresses off a list again, all in one transaction, leaving tombstones that the feed carries out
 * as removals; the history notes each by its hash. Several at once are a removal that can be taken back
 * (bulk-removals.ts).
 *
 * @param normalised some hundred at most: the transaction holds SQLite's one connection.
 * @param options.tag one tag's opt-outs; without it, all of an address.
 * @returns how many opt-outs ceased to suppress, by address; those that had none are left out.
 */
export async function removeAddresses(
  db: Db,
  list: List,
  normalised: readonly string[],
  { tag, actor, at = Date.now() }: { tag?: string | undefined; actor: string; at?: number },
): Promise<Map<string, number>> {
  // By the key, as the recorder goes, so that the two never deadlock.
  const sorted = sortedByKey(normalised);
  return db.transaction(async (trx) => {
    const underWay = await removalsUnderWay(trx, [list.id]);
    const removal =
      sorted.length < 2 ? null : await beginRemoval(trx, list, { actor, at, kind: 'some', state: 'removed' });
    const removed = new Map<string, number>();
    for (const address of sorted) {
      const gone = await removeOptOuts(trx, list.id, address, {
        ...(tag === undefined ? {} : { tag }),
        ...{ at, removalId: removal, underWay },
      });
      if (gone > 0) removed.set(address, gone);
    }
    if (removal !== null && removed.size === 0) await trx('bulk_removals').where({ id: removal }).delete();
    if (removed.size === 0) return removed;
    if (removal !== null) {
      const optOuts = [...removed.values()].reduce((sum, gone) => sum + gone, 0);
      await trx('bulk_removals').where({ id: removal }).update({ opt_outs: optOuts });
    }
    await noteChanges(
      trx,
      [...removed].map(([address, opt_outs]) => ({
        ...{ accountId: list.accountId, listId: list.id, actor, action: 'opt-out.removed' },
        subject: md5Of(address),
        details: { tag: tag ?? null, opt_outs, ...(removal === null ? {} : { removal }) },
      })),
    );
    return removed;
  });
}

function sortedByKey(normalised: readonly string[]): string[] {
  return [...new Set(normalised)].sort((a, b) => Buffer.compare(md5Of(a), md5Of(b)));
}

/** What a removal of many has come to. */
export interface ManyRemoved {
  /** Null where there was nothing to remove. */
  readonly removal: BulkRemoval | null;
  /** How many addresses had opt-outs that ceased to suppress. */
  readonly addresses: number;
}

export interface ManyOptions extends RemovalOptions {
  /** One tag's opt-outs; without it, all of an address. */
  readonly tag?: string | undefined;
  /** Only what left from then on, and before then: of an address, the rest stays. UTC milliseconds. */
  readonly leftBetween?: { readonly from: number; readonly to: number } | undefined;
  /** For how long each slice is repeated where the database is busy: milliseconds. */
  readonly retryMs: number;
}

/** What one transaction takes: some milliseconds on SQLite, where everyone else waits. */
const addressesASlice = 100;

/**
 * Removes the opt-outs of any number of addresses, in slices, as one removal that can be taken back as one. What
 * is recorded, or recorded again, meanwhile stays. Broken off, what has gone can be taken back; done again, it
 * removes the rest.
 *
 * @param batches normalised addresses, some thousand at most each; read while the removal goes on.
 * @throws Unavailable
 * @throws Refused `taken-back` where somebody takes it back before it is over.
 */
export async function removeMany(
  db: Db,
  list: List,
  batches: AsyncIterable<readonly string[]>,
  { retryMs, ...options }: ManyOptions,
): Promise<ManyRemoved> {
  const at = options.at ?? (await nextMillisecond());
  let id: number | null = null;
  let addresses = 0;
  for await (const batch of batches) {
    const sorted = sortedByKey(batch);
    for (let i = 0; i < sorted.length; i += addressesASlice) {
      const slice = sorted.slice(i, i + addressesASlice);
      const standing: number | null = id;
      const done: Done = await retrying(db, retryMs, () =>
        db.transaction((trx) => removeSlice(trx, list, slice, { ...options, at, id: standing })),
      );
      id = done.id;
      addresses += done.addresses;
    }
  }
  return { removal: id === null ? null : await getBulkRemoval(db, id), addresses };
}

interface Done {
  readonly id: number | null;
  readonly addresses: number;
}

async function removeSlice(
  trx: Db,
  list: List,
  normalised: readonly string[],
  { id: standing, ...options }: Omit<ManyOptions, 'retryMs'> & { at: number; id: number | null },
): Promise<Done> {
  const { tag, leftBetween, at } = options;
  // The removal before its opt-outs, as whoever takes it back goes.
  if (standing !== null) await lockRemoval(trx, standing);
  const underWay = await removalsUnderWay(trx, [list.id]);
  const leaving = () =>
    trx(trx.raw(`opt_outs ${engineOf(trx).byIndex(null)}`))
      .where({ list_id: list.id })
      .whereIn('address_key', normalised.flatMap(entryKeysOf))
      .where('last_at', '<', at)
      .modify((query) => {
        if (tag !== undefined) void query.where({ tag: Buffer.from(tag) });
        if (leftBetween === undefined) return;
        void query.where('created_at', '>=', leftBetween.from).where('created_at', '<', leftBetween.to);
      })
      .modify(notStillToGo, underWay)
      .whereRaw(LIVE, [at]);
  const rows: { address_key: Buffer }[] = await leaving()
    .orderBy(['address_key', 'tag'])
    .forUpdate()
    .select('address_key');
  if (rows.length === 0) return { id: standing, addresses: 0 };
  const begun = { ...options, kind: 'some', state: 'removed' } as const;
  const id = standing ?? (await beginRemoval(trx, list, begun));
  if (standing === null) await noteRemoval(trx, list, id, begun);
  const gone = await leaving().update({ removed_at: at, removal_id: id, feed_number: null });
  await trx('bulk_removals')
    .where({ id })
    .update({ opt_outs: trx.raw('opt_outs + ?', [gone]), carried_at: Date.now(), finished_at: Date.now() });
  const keys = new Set(rows.map((row) => row.address_key.toString('hex')));
  const isGone = (address: string) => entryKeysOf(address).some((key) => keys.has(key.toString('hex')));
  return { id, addresses: normalised.filter(isGone).length };
}

async function lockRemoval(trx: Db, id: number): Promise<void> {
  const row = await trx<{ id: number; state: string }>('bulk_removals')
    .where({ id })
    .forUpdate()
    .first('state');
  if (row?.state !== 'removed') {
    throw new Refused(
      'taken-back',
      `Removal ${id} was taken back before it was over: nothing more was removed.`,
    );
  }
}
