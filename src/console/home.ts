import { type Screen, type UserVisit } from './screen.js';

/** Where a user begins: an admin with the accounts, everybody else with the lists of the own one. */
export const home: Screen<UserVisit> = {
  show: ({ user }) =>
    Promise.resolve({
      redirect: user.accountId === null ? '/console/accounts' : `/console/accounts/${user.accountId}/lists`,
    }),
};
