import { bulkRemovalsSince, getBulkRemoval, type BulkRemoval } from '../core/bulk-removals.js';
import { getListById, type List } from '../core/lists.js';
import { restoreRemoval, takeBackMs } from '../core/restore-removal.js';
import { NotFound } from '../errors.js';
import { actorsShown } from './actors.js';
import { idOf } from './door.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/removals.ejs');
const onePage = view('console/removal.ejs');

const removalsShown = 100;

/** How often a page is read again while the keeper is at work: seconds. */
const refreshSeconds = 3;

/** The removals of many opt-outs at once that can still be taken back, and those that were. */
export const removals: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, account, now } = visit;
    const found = await bulkRemovalsSince(deps.db, account.id, now - takeBackMs, removalsShown + 1);
    const shown = found.slice(0, removalsShown);
    const lists = new Map<number, List>();
    for (const { listId } of shown) {
      if (!lists.has(listId)) lists.set(listId, await getListById(deps.db, listId));
    }
    const nameOf = await actorsShown(
      visit,
      shown.map(({ actor }) => actor),
    );
    return page(t('removals.title'), {
      rows: shown.map((removal) => ({
        removal,
        list: lists.get(removal.listId),
        by: nameOf(removal.actor),
      })),
      isMore: found.length > removalsShown,
      ...(shown.some(isUnderWay) ? { refreshSeconds } : {}),
    });
  },
};

/** One of them, and to take it back. */
export const oneRemoval: Screen<AccountVisit> = {
  async show(visit) {
    const { deps, t, now } = visit;
    const removal = await removalOf(visit);
    const { actor, restoredBy } = removal;
    const nameOf = await actorsShown(visit, [actor, restoredBy ?? '']);
    return onePage(t('removals.one.title'), {
      removal,
      listOf: await getListById(deps.db, removal.listId),
      by: nameOf(actor),
      restoredBy: restoredBy === null ? null : nameOf(restoredBy),
      until: removal.at + takeBackMs,
      canTakeBack:
        (removal.state === 'removing' || removal.state === 'removed') && now <= removal.at + takeBackMs,
      ...(isUnderWay(removal) ? { refreshSeconds } : {}),
    });
  },
  async act(visit) {
    const removal = await removalOf(visit);
    await restoreRemoval(visit.deps.db, removal, { actor: visit.actor, now: visit.now });
    visit.deps.keeper.wake();
    const redirect = `/console/accounts/${visit.account.id}/removals/${removal.id}`;
    return { redirect, done: 'removal-taken-back' };
  },
};

function isUnderWay({ state }: BulkRemoval): boolean {
  return state === 'removing' || state === 'restoring';
}

/** @throws NotFound as well for another account's. */
async function removalOf({ deps, account, params }: AccountVisit): Promise<BulkRemoval> {
  const removal = await getBulkRemoval(deps.db, idOf(params.removal));
  if (removal.accountId !== account.id) throw new NotFound('This account has no such removal.');
  return removal;
}
