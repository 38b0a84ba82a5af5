import { engineOf, type Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { LIVE, type OptOutRecord } from './opt-outs.js';
import { notStillToGo, removalsUnderWay } from './removals-under-way.js';

/** Of one opt-out on a list. */
export type OptOutKey = Pick<OptOutRecord, 'address_key' | 'tag'>;

export interface SliceOf {
  readonly removal: number;
  readonly listId: number;
  /** Of the removal. */
  readonly at: number;
  readonly recordedBefore: number;
}

/**
 * Removes a slice of what a removal takes, and counts it there.
 *
 * @returns those that suppressed until then.
 * @throws Refused `taken-back`
 */
export async function removeSlice(trx: Db, slice: SliceOf, keys: readonly OptOutKey[]): Promise<OptOutKey[]> {
  const { removal: id, listId } = slice;
  // The removal before its opt-outs, as whoever takes it back goes.
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
  const gone = await removeKeys(trx, listId, keys, slice);
  const now = Date.now();
  await trx('bulk_removals')
    .where({ id })
    .update({ opt_outs: trx.raw('opt_outs + ?', [gone.length]), carried_at: now, finished_at: now });
  return gone;
}

/** @returns those that suppressed until then. */
export async function removeKeys(
  trx: Db,
  listId: number,
  keys: readonly OptOutKey[],
  { removal, at, recordedBefore }: Pick<SliceOf, 'removal' | 'at' | 'recordedBefore'>,
): Promise<OptOutKey[]> {
  const named = new Set(keys.map(nameOf));
  const underWay = await removalsUnderWay(trx, [listId]);
  const byKey = () => trx(trx.raw(`opt_outs ${engineOf(trx).byIndex(null)}`)).where({ list_id: listId });
  // In the order of the key, as the recorder goes, so that the two never deadlock.
  const standing: OptOutKey[] = await byKey()
    .whereIn('address_key', [
      ...new Map(keys.map((key) => [key.address_key.toString('hex'), key.address_key])).values(),
    ])
    .where('last_at', '<', recordedBefore)
    .modify(notStillToGo, underWay)
    .whereRaw(LIVE, [at])
    .orderBy(['address_key', 'tag'])
    .forUpdate()
    .select('address_key', 'tag');
  const going = standing.filter((key) => named.has(nameOf(key)));
  const byTag = new Map<string, OptOutKey[]>();
  for (const key of going) {
    const tag = key.tag.toString('hex');
    byTag.set(tag, [...(byTag.get(tag) ?? []), key]);
  }
  for (const [tag, ofTag] of byTag) {
    await byKey()
      .whereIn(
        'address_key',
        ofTag.map((key) => key.address_key),
      )
      .where({ tag: Buffer.from(tag, 'hex') })
      .update({ removed_at: at, removal_id: removal, feed_number: null });
  }
  return going;
}

function nameOf({ address_key, tag }: OptOutKey): string {
  return `${address_key.toString('hex')} ${tag.toString('hex')}`;
}
