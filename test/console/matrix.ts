/** Who may come in: users of which roles, as it should be, whatever the console's own table says. */
export const groups = {
  /** Whoever runs the installation. */
  admins: ['admin'],
  /** And the owners of the account that it is about. */
  owners: ['admin', 'owner'],
  /** And the users of a mailer that the list is granted to, or of the account. */
  everyUser: ['admin', 'owner', 'mailer'],
  /** Nobody need be signed in. */
  anyone: ['admin', 'owner', 'mailer', 'nobody'],
} as const;

/** Each route of the console, by its path without `/console`: who may open it. A route without a row fails the build. */
export const matrix: Readonly<Record<string, keyof typeof groups>> = {
  '/sign-in': 'anyone',
  '/sign-in/code': 'anyone',
  '/sign-out': 'anyone',
  '/set-up/:token': 'anyone',
  '/invitation/:token': 'anyone',
  '/password/:token': 'anyone',

  '': 'everyUser',
  '/accounts': 'admins',

  '/accounts/:account/lists': 'everyUser',
  '/accounts/:account/lists/new': 'owners',
};
