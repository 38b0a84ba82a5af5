import { getCounts } from '../core/feed.js';
import { createList } from '../core/lists.js';
import { listsFor } from '../core/user-rights.js';
import { view, type AccountVisit, type Screen } from './screen.js';

const page = view('console/lists.ejs');
const newPage = view('console/list-new.ejs');

const listsAPage = 50;

/** The lists of an account that the user may see, a row each. */
export const lists: Screen<AccountVisit> = {
  async show({ deps, t, user, account, query }) {
    const beyond = Number(/^\d{1,9}$/.exec(query.get('beyond') ?? '')?.[0] ?? 0);
    const found = await listsFor(deps.db, user, account, { beyond, limit: listsAPage + 1 });
    const shown = found.slice(0, listsAPage);
    const rows = [];
    for (const list of shown) rows.push({ list, counts: await getCounts(deps.db, list.id) });
    return page(t('lists.title'), {
      rows,
      next: found.length > listsAPage ? (shown.at(-1)?.id ?? null) : null,
    });
  },
};

/** A new list: its names; all else is set afterwards. */
export const newList: Screen<AccountVisit> = {
  show: ({ t }) => Promise.resolve(newPage(t('lists.newTitle'))),
  async act({ deps, form, account, actor }) {
    const name = form?.get('name') ?? '';
    const internalName = form?.get('internalName')?.trim() || name;
    const list = await createList(deps.db, account.id, { name, internalName }, { actor });
    return { redirect: `/console/lists/${list.publicId}/service`, done: 'list-created' };
  },
};
