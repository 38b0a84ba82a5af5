import { accountOverviews } from '../core/account-overviews.js';
import { createAccount } from '../core/accounts.js';
import { changing } from './changing.js';
import { beyondIn } from './paging.js';
import { view, type Screen, type UserVisit } from './screen.js';

const page = view('console/accounts.ejs');

const accountsAPage = 50;

/** All accounts of the installation: an admin's beginning. */
export const accounts: Screen<UserVisit> = {
  async show({ deps, t, query }) {
    const beyond = beyondIn(query);
    const found = await accountOverviews(deps.db, { beyond, limit: accountsAPage + 1 });
    const rows = found.slice(0, accountsAPage);
    return page(t('accounts.title'), {
      rows,
      isFirst: beyond === 0,
      next: found.length > accountsAPage ? (rows.at(-1)?.account.id ?? null) : null,
    });
  },
  async act({ deps, form, actor }) {
    const name = form?.get('name') ?? '';
    const account = await changing(deps, (db) => createAccount(db, name, { actor }));
    return { redirect: `/console/accounts/${account.id}/lists`, done: 'account-created' };
  },
};
