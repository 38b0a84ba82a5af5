/** Who may come in: users of which roles, as it should be, whatever the console's own table says. */
export const groups = {
  /** Whoever runs the installation. */
  admins: ['admin'],
  /** And the owners of the account that it is about. */
  owners: ['admin', 'owner'],
  /** And the users of a mailer that the list is granted to, or of the account. */
  everyUser: ['admin', 'owner', 'mailer'],
  /** What owners have in another way. */
  mailers: ['mailer'],
  /** Nobody need be signed in. */
  anyone: ['admin', 'owner', 'mailer', 'nobody'],
} as const;

/** Each route of the console, by its path without `/console`: who may open it. A route without a row fails the build. */
export const matrix: Readonly<Record<string, keyof typeof groups>> = {
  '/sign-in': 'anyone',
  '/sign-in/code': 'anyone',
  '/sign-out': 'anyone',
  '/forgotten': 'anyone',
  '/set-up/:token': 'anyone',
  '/invitation/:token': 'anyone',
  '/password/:token': 'anyone',

  '': 'everyUser',
  '/accounts': 'admins',
  '/admins': 'admins',
  '/admins/new': 'admins',
  '/admins/:admin/link': 'admins',
  '/admins/:admin/end': 'admins',
  '/admins/:admin/revive': 'admins',

  '/profile': 'everyUser',
  '/profile/email': 'everyUser',
  '/profile/password': 'everyUser',
  '/profile/codes': 'everyUser',
  '/profile/codes/off': 'everyUser',
  '/profile/codes/recovery': 'everyUser',
  '/profile/sessions': 'everyUser',
  '/profile/sessions/end': 'everyUser',
  '/profile/sessions/end-others': 'everyUser',

  '/accounts/:account/users': 'owners',
  '/accounts/:account/users/new': 'owners',
  '/accounts/:account/users/:user/link': 'owners',
  '/accounts/:account/users/:user/end': 'owners',
  '/accounts/:account/users/:user/revive': 'owners',

  '/accounts/:account/lists': 'everyUser',
  '/accounts/:account/lists/new': 'owners',
  '/lists/:list': 'everyUser',
  '/lists/:list/alerts': 'owners',
  '/lists/:list/service': 'everyUser',
  '/lists/:list/service/try': 'everyUser',
  '/lists/:list/links': 'owners',
  '/lists/:list/links/verify': 'owners',
  '/lists/:list/links/rotate': 'owners',

  '/accounts/:account/mailers': 'everyUser',
  '/accounts/:account/mailers/new': 'owners',
  '/accounts/:account/mailers/:mailer': 'everyUser',
  '/accounts/:account/mailers/:mailer/edit': 'owners',
  '/accounts/:account/mailers/:mailer/lists': 'owners',
  '/accounts/:account/mailers/:mailer/keys/new': 'everyUser',
  '/accounts/:account/mailers/:mailer/keys/end': 'owners',
  '/accounts/:account/mailers/:mailer/downloads': 'everyUser',
  '/accounts/:account/mailers/:mailer/downloads.csv': 'everyUser',
  '/lists/:list/downloads': 'everyUser',
  '/lists/:list/downloads.csv': 'everyUser',
  '/lists/:list/downloads/file': 'mailers',
  '/lists/:list/scrub': 'everyUser',

  '/accounts/:account/credentials': 'owners',
  '/accounts/:account/credentials/new': 'owners',
  '/accounts/:account/credentials/new/:surface': 'owners',
  '/accounts/:account/credentials/:credential': 'owners',
  '/accounts/:account/credentials/:credential/rotate': 'owners',
  '/accounts/:account/credentials/:credential/end': 'owners',

  '/accounts/:account/settings': 'owners',
  '/accounts/:account/settings/zip': 'owners',
  '/accounts/:account/settings/zip/clear': 'owners',
  '/accounts/:account/history': 'owners',
  '/history': 'admins',

  '/accounts/:account/abuse': 'owners',
  '/accounts/:account/abuse/lift': 'owners',
  '/accounts/:account/abuse/whitelist': 'owners',
  '/accounts/:account/abuse/bursts/:burst': 'owners',
  '/accounts/:account/removals': 'owners',
  '/accounts/:account/removals/:removal': 'owners',
  '/accounts/:account/people': 'owners',
  '/accounts/:account/people/file': 'owners',
  '/accounts/:account/people/erase': 'owners',

  '/lists/:list/imports': 'owners',
  '/lists/:list/imports/:import': 'owners',
  '/lists/:list/imports/:import/end': 'owners',
  '/lists/:list/imports/:import/restart': 'owners',
  '/lists/:list/imports/:import/refused.csv': 'owners',

  '/lists/:list/edit': 'owners',
  '/lists/:list/edit/tags': 'owners',
  '/lists/:list/edit/names': 'owners',
  '/lists/:list/edit/special': 'owners',
  '/lists/:list/edit/global': 'owners',
  '/lists/:list/edit/archive': 'owners',
  '/lists/:list/edit/clear': 'owners',
  '/lists/:list/preview': 'owners',

  '/lists/:list/opt-outs': 'everyUser',
  '/lists/:list/opt-outs/new': 'owners',
  '/lists/:list/opt-outs/remove': 'owners',
  '/lists/:list/opt-outs/removals/:removal': 'owners',
  '/lists/:list/opt-outs/download': 'owners',
  '/lists/:list/opt-outs/:optOut': 'everyUser',
  '/lists/:list/opt-outs/:optOut/erase': 'owners',
};
