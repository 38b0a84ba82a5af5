import { createAccount, listAccounts } from '../core/accounts.js';
import { view, type Screen, type UserVisit } from './screen.js';

const page = view('console/accounts.ejs');

/** All accounts of the installation: an admin's beginning. */
export const accounts: Screen<UserVisit> = {
  async show({ deps, t }) {
    return page(t('accounts.title'), { accounts: await listAccounts(deps.db) });
  },
  async act({ deps, form, actor }) {
    const account = await createAccount(deps.db, form?.get('name') ?? '', { actor });
    return { redirect: `/console/accounts/${account.id}/lists`, done: 'account-created' };
  },
};
