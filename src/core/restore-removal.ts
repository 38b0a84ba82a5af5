import { retrying, type Db } from '../db/connect.js';
import { NotFound, Refused } from '../errors.js';
import {
  getBulkRemoval,
  lockList,
  patienceMs,
  type BulkRemoval,
  type BulkRemovalRow,
} from './bulk-removals.js';
import { roomIn } from './evicted.js';
import { noteChange } from './history.js';
import { carryOutFor } from './removal-slices.js';
import { removalsUnderWay, type RemovalUnderWay } from './removals-under-way.js';

/** For how long a removal can be taken back: milliseconds. */
export const takeBackMs = 30 * 24 * 60 * 60_000;

/**
 * Takes a removal back: what it removed suppresses again, but for what has been recorded anew, removed
 * otherwise, or has run out since. An erased person stays erased: the hashes come back, as they are. Of a large
 * list, the keeper brings the rest back (then the state is `restoring`).
 *
 * @throws Refused `too-late` after 30 days, `taken-back` where it was before, `removal-under-way` while another
 *   removal of the list goes on, `cap` where the list would come to hold more than its cap.
 */
export async function restoreRemoval(
  db: Db,
  { id, listId, accountId }: BulkRemoval,
  { actor, now = Date.now() }: { readonly actor: string; readonly now?: number },
): Promise<BulkRemoval> {
  await retrying(db, patienceMs, () =>
    db.transaction(async (trx) => {
      await lockList(trx, listId);
      const row = await trx<BulkRemovalRow>('bulk_removals').where({ id }).forUpdate().first();
      if (row === undefined) throw new NotFound(`There is no removal ${id} (signoff removals list).`);
      checkCanBeTakenBack(row, await removalsUnderWay(trx, [listId]), now);
      await checkRoom(trx, row);
      await trx('bulk_removals')
        .where({ id })
        .update({
          ...{ state: 'restoring', position: null, carried_at: now },
          ...{ finished_at: null, restored_at: now, restored_by: actor },
        });
      await noteChange(trx, {
        ...{ accountId, listId, actor, action: 'opt-outs.restored' },
        details: { removal: id },
      });
    }),
  );
  await carryOutFor(db, { id, list_id: listId }, { ms: patienceMs, now });
  return getBulkRemoval(db, id);
}

/** @throws Refused */
function checkCanBeTakenBack(row: BulkRemovalRow, underWay: readonly RemovalUnderWay[], now: number): void {
  if (row.state === 'restoring' || row.state === 'restored') {
    throw new Refused('taken-back', `Removal ${row.id} has been taken back already.`);
  }
  if (now > row.at + takeBackMs) {
    throw new Refused(
      'too-late',
      `Removal ${row.id} is more than 30 days old: it can no longer be taken back.`,
    );
  }
  // What came back would be removed by it, or not, as it happens.
  if (underWay.some(({ id, state }) => state === 'removing' && id !== row.id)) {
    throw new Refused(
      'removal-under-way',
      'Another removal of this list is being carried out: try again soon.',
    );
  }
}

/** Over its cap, the list would lose who has opted out since. @throws Refused, Unavailable */
async function checkRoom(trx: Db, { id, list_id, opt_outs }: BulkRemovalRow): Promise<void> {
  if (opt_outs <= (await roomIn(trx, list_id))) return;
  throw new Refused(
    'cap',
    `With the ${opt_outs} opt-outs of removal ${id} the list would hold more than its cap, and others would leave it: raise the cap first.`,
  );
}
