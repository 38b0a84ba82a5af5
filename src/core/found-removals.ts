import { retrying, type Db } from '../db/connect.js';
import { beginRemoval, getBulkRemoval, nextMillisecond, type BulkRemoval } from './bulk-removals.js';
import { beginFoundRemoval, carryOutFoundFor } from './found-removal-jobs.js';
import { removeSlice, type OptOutKey } from './found-removal-slices.js';
import { noteChange, noteChanges } from './history.js';
import type { List } from './lists.js';
import { findAll } from './opt-out-find.js';
import type { OptOutFilter } from './opt-out-filter.js';

/**
 * Removals by people who look at opt-outs: those that they have ticked, and all that a search finds. Each can be
 * taken back for 30 days, one opt-out as well (bulk-removals.ts).
 */

export interface Asked {
  readonly actor: string;
  /** When somebody was asked: what was recorded, or recorded again, from then on stays. UTC milliseconds. */
  readonly recordedBefore: number;
  /** For how long each part is repeated where the database is busy: milliseconds. */
  readonly retryMs: number;
}

/**
 * Removes opt-outs that were named one by one, some hundred at a time; the history notes each by its hash.
 *
 * @param keys a thousand at most: their caller waits.
 * @returns null where none of them suppresses any more.
 * @throws Refused `taken-back` where somebody takes it back before it is over.
 */
export async function removeNamed(
  db: Db,
  list: List,
  keys: readonly OptOutKey[],
  { actor, recordedBefore, retryMs }: Asked,
): Promise<BulkRemoval | null> {
  const at = await nextMillisecond();
  let id: number | null = null;
  for (let i = 0; i < keys.length; i += keysASlice) {
    const slice = keys.slice(i, i + keysASlice);
    const begun: number | null = id;
    id = await retrying(db, retryMs, (): Promise<number | null> =>
      db.transaction(async (trx) => {
        const removal: number =
          begun ?? (await beginRemoval(trx, list, { actor, at, kind: 'some', state: 'removed' }));
        const gone = await removeSlice(trx, { removal, listId: list.id, at, recordedBefore }, slice);
        if (gone.length === 0) {
          if (begun === null) await trx('bulk_removals').where({ id: removal }).delete();
          return begun;
        }
        await noteChanges(
          trx,
          gone.map(({ address_key, tag }) => ({
            ...{ accountId: list.accountId, listId: list.id, actor, action: 'opt-out.removed' },
            ...{ subject: address_key, details: { tag: tag.toString(), opt_outs: 1, removal } },
          })),
        );
        return removal;
      }),
    );
  }
  return id === null ? null : getBulkRemoval(db, id);
}

/** So many are removed while their caller waits; beyond, the keeper does it. */
export const mostAtOnce = 5000;

const keysASlice = 200;
/** How long a caller waits for what he has begun, before the rest of it is left to the keeper. */
const patienceMs = 1000;

/**
 * Removes what a search finds. Of so much that it would take long, the keeper removes what is left after a second:
 * `foundRemovalUnderWay` (found-removal-jobs.ts) tells how far it has come.
 *
 * @param most what somebody was told that it finds: no more goes.
 * @throws Refused `taken-back` where somebody takes it back before it is over.
 * @throws Unavailable
 */
export async function removeFound(
  db: Db,
  list: List,
  filter: OptOutFilter,
  { most, ...asked }: Asked & { readonly most: number },
): Promise<BulkRemoval> {
  const { actor, recordedBefore, retryMs } = asked;
  const at = await nextMillisecond();
  const begun = { actor, at, kind: 'some', state: 'removed' } as const;
  const isLarge = most > mostAtOnce;
  const id = await retrying(db, retryMs, () =>
    db.transaction(async (trx) => {
      const removal = await beginRemoval(trx, list, begun);
      const change = { accountId: list.accountId, listId: list.id, actor, action: 'opt-outs.removed' };
      await noteChange(trx, {
        ...change,
        details: { removal, kind: 'some', found_by: withoutAddress(filter) },
      });
      if (isLarge) await beginFoundRemoval(trx, { removal, listId: list.id, filter, recordedBefore, most });
      return removal;
    }),
  );
  if (isLarge) await carryOutFoundFor(db, id, patienceMs);
  else {
    let left = most;
    for await (const found of findAll(db, list.id, filter, { slice: keysASlice })) {
      // What somebody has recorded since they were asked does not count among them.
      const keys = found.filter((row) => row.last_at < recordedBefore).slice(0, left);
      if (keys.length > 0) {
        const gone = await retrying(db, retryMs, () =>
          db.transaction((trx) =>
            removeSlice(trx, { removal: id, listId: list.id, at, recordedBefore }, keys),
          ),
        );
        left -= gone.length;
      }
      if (left === 0) break;
    }
  }
  return getBulkRemoval(db, id);
}

/** What the history and the log of downloads may say of a search: no address, and no part of one. */
export function withoutAddress({ address, ...rest }: OptOutFilter): Record<string, unknown> {
  const set = Object.entries(rest).filter(([, value]) => value !== null);
  return { ...(address === null ? {} : { address: address.kind }), ...Object.fromEntries(set) };
}
