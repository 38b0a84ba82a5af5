import type { Db } from '../db/connect.js';
import { md5Of } from './address.js';
import { noteChanges } from './history.js';
import type { List } from './lists.js';
import { removeOptOuts } from './opt-outs.js';

/**
 * Takes addresses off a list again, all in one transaction, leaving tombstones that the feed carries out
 * as removals; the history notes each by its hash.
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
  const sorted = [...new Set(normalised)].sort((a, b) => Buffer.compare(md5Of(a), md5Of(b)));
  return db.transaction(async (trx) => {
    const removed = new Map<string, number>();
    for (const address of sorted) {
      const gone = await removeOptOuts(trx, list.id, address, { ...(tag === undefined ? {} : { tag }), at });
      if (gone > 0) removed.set(address, gone);
    }
    if (removed.size === 0) return removed;
    await noteChanges(
      trx,
      [...removed].map(([address, opt_outs]) => ({
        ...{ accountId: list.accountId, listId: list.id, actor, action: 'opt-out.removed' },
        ...{ subject: md5Of(address), details: { tag: tag ?? null, opt_outs } },
      })),
    );
    return removed;
  });
}
