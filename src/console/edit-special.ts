import { removeAll } from '../core/bulk-removals.js';
import { getCounts, hasPendingChanges } from '../core/feed.js';
import { countOtherLists, getGlobalMark, setGlobalList } from '../core/global-list.js';
import { archiveList, getListById } from '../core/lists.js';
import { Refused } from '../errors.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type ListVisit, type PageAnswer, type Screen } from './screen.js';

const page = view('console/edit-special.ejs');

/** What is done to a list once in its life, if at all; each with what it means. */
export const editSpecial: Screen<ListVisit> = { show: (visit) => shown(visit) };

/** Makes the list the global one of its account, or ends that. */
export const editGlobal: Screen<ListVisit> = {
  show: (visit, error) => shown(visit, error === null ? null : 'global'),
  async act(visit) {
    const { deps, form, list, account, actor } = visit;
    const before = (await getGlobalMark(deps.db, account.id)).listId;
    const isMarking = form?.get('do') === 'mark';
    // What was confirmed named the list whose place this one takes.
    if ((form?.get('before') ?? '') !== String(before ?? '')) {
      throw new Refused('global-list-changed', 'Another list has become the global one meanwhile.');
    }
    const after = isMarking ? list : before === list.id ? null : undefined;
    // Another one in its place ends it as well.
    if (after !== undefined && before !== null && before !== after?.id) await checkReEnteredPassword(visit);
    if (after !== undefined) await setGlobalList(deps.db, account, after, { actor });
    return { redirect: specialOf(list.publicId), done: isMarking ? 'global-marked' : 'global-unmarked' };
  },
};

/** Archives the list, or takes that back. */
export const editArchive: Screen<ListVisit> = {
  show: (visit) => shown(visit),
  async act({ deps, form, list, actor }) {
    const isArchived = form?.get('do') === 'archive';
    await archiveList(deps.db, list, isArchived, { actor });
    return { redirect: specialOf(list.publicId), done: isArchived ? 'list-archived' : 'list-unarchived' };
  },
};

/** Removes all that the list holds. */
export const editClear: Screen<ListVisit> = {
  show: (visit, error) => shown(visit, error === null ? null : 'clear'),
  async act(visit) {
    await checkReEnteredPassword(visit);
    const { deps, list, actor } = visit;
    await removeAll(deps.db, list, { actor });
    return { redirect: specialOf(list.publicId), done: 'list-cleared' };
  },
};

async function shown(visit: ListVisit, refused: 'global' | 'clear' | null = null): Promise<PageAnswer> {
  const { deps, t, list, account } = visit;
  const before = (await getGlobalMark(deps.db, account.id)).listId;
  const counts = await getCounts(deps.db, list.id);
  const entries = counts.addresses + counts.md5_only + counts.sha256_only + counts.erased;
  return page(t('edit-special.title'), {
    globalList: before === null ? null : await getListById(deps.db, before),
    otherLists: await countOtherLists(deps.db, list),
    entries,
    isEmpty: entries === 0 && !(await hasPendingChanges(deps.db, list.id)),
    refused,
  });
}

function specialOf(publicId: string): string {
  return `/console/lists/${publicId}/edit/special`;
}
