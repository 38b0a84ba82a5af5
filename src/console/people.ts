import type { Account } from '../core/accounts.js';
import { adminFor, userOfAccountFor } from '../core/user-rights.js';
import { listAdmins, usersOfAccount, type User } from '../core/users.js';
import { idOf } from './door.js';
import type { AccountVisit, UserVisit } from './screen.js';

/** Whose people a page is about: those of an account, or the admins of the installation. */
export interface People<V extends UserVisit> {
  /** Begins the keys of its texts, where they differ. */
  readonly key: 'users' | 'admins';
  /** Where its pages stand. */
  base(visit: V): string;
  all(visit: V): Promise<User[]>;
  /** Whom the path names: among these alone. @throws NotFound */
  named(visit: V): Promise<User>;
  account(visit: V): Account | null;
}

export const ofAccount: People<AccountVisit> = {
  key: 'users',
  base: ({ account }) => `/console/accounts/${account.id}/users`,
  all: ({ deps, account }) => usersOfAccount(deps.db, account.id),
  named: ({ deps, account, params }) => userOfAccountFor(deps.db, account, idOf(params.user)),
  account: ({ account }) => account,
};

export const ofInstallation: People<UserVisit> = {
  key: 'admins',
  base: () => '/console/admins',
  all: ({ deps }) => listAdmins(deps.db),
  named: ({ deps, user, params }) => adminFor(deps.db, user, idOf(params.admin)),
  account: () => null,
};
