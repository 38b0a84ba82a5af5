import { accounts } from './accounts.js';
import type { Route } from './door.js';
import { home } from './home.js';
import { lists, newList } from './lists.js';
import type { AccountVisit, AnyVisit, ListVisit, May, Screen, UserVisit } from './screen.js';
import { invitation, newPassword, setUp } from './set-up.js';
import { signIn, signInCode, signOut } from './sign-in.js';

const admins = ['admin'] as const;
const owners = ['admin', 'owner'] as const;
const everyUser = ['admin', 'owner', 'mailer'] as const;

/** The whole console: where each screen stands, and for whom. Below `:account` and `:list`, within the user's reach. */
export const routes: readonly Route[] = [
  // Signing in
  forAnyone('/sign-in', signIn),
  forAnyone('/sign-in/code', signInCode),
  forAnyone('/sign-out', signOut),
  forAnyone('/set-up/:token', setUp),
  forAnyone('/invitation/:token', invitation),
  forAnyone('/password/:token', newPassword),

  // The installation
  forUser('', everyUser, home),
  forUser('/accounts', admins, accounts),

  // Lists
  forAccount('/lists', everyUser, lists),
  forAccount('/lists/new', owners, newList),
];

function forAnyone(path: string, screen: Screen<AnyVisit>): Route {
  return { path: `/console${path}`, may: 'anyone', screen };
}

function forUser(path: string, may: May, screen: Screen<UserVisit>): Route {
  return { path: `/console${path}`, may, screen };
}

function forAccount(path: string, may: May, screen: Screen<AccountVisit>): Route {
  return { path: `/console/accounts/:account${path}`, may, screen };
}

function forList(path: string, may: May, screen: Screen<ListVisit>): Route {
  return { path: `/console/lists/:list${path}`, may, screen };
}
