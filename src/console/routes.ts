import { abuse, blockLift, blockWhitelist } from './abuse.js';
import { accounts } from './accounts.js';
import { alerts } from './alerts.js';
import { oneBurst } from './burst.js';
import { forgotten } from './forgotten.js';
import { endedCredential, credential, rotatedCredential } from './credential-page.js';
import { chosenSurface, newCredential } from './credential-new.js';
import { credentials } from './credentials.js';
import type { Route } from './door.js';
import { edit } from './edit.js';
import { editNames } from './edit-names.js';
import { editArchive, editClear, editGlobal, editSpecial } from './edit-special.js';
import { editTags } from './edit-tags.js';
import { listDownloads, mailerDownloads } from './downloads.js';
import { listDownloadsCsv, mailerDownloadsCsv } from './downloads-csv.js';
import { history, installationHistory } from './history.js';
import { home } from './home.js';
import { importRefused } from './import-refused.js';
import { importEnd, importRestart, oneImport } from './import.js';
import { imports } from './imports.js';
import { listFile } from './list-file.js';
import { links } from './links.js';
import { rotatedLinks } from './links-rotate.js';
import { verifiedLink } from './link-verified.js';
import { lists, newList } from './lists.js';
import { endedAccessKeys, newAccessKey } from './mailer-keys.js';
import { mailer } from './mailer-page.js';
import { editedMailer, grantedToMailer } from './mailer-settings.js';
import { mailers, newMailer } from './mailers.js';
import { preview } from './preview.js';
import { profileCodes, profileCodesOff, profileRecovery } from './profile-codes.js';
import { endAllOtherSessions, endOneSession, profileSessions } from './profile-sessions.js';
import { confirmedEmail, profileEmail } from './profile-email.js';
import { profile, profilePassword } from './profile.js';
import { erasePersonOf } from './opt-out-erase.js';
import { optOut } from './opt-out.js';
import { downloadOptOuts } from './opt-outs-download.js';
import { newOptOuts } from './opt-outs-new.js';
import { removalOfOptOuts, removeOptOuts } from './opt-outs-remove.js';
import { optOuts } from './opt-outs.js';
import { overview } from './overview.js';
import { erasedPersonOf, person, personFile } from './person.js';
import { oneRemoval, removals } from './removals.js';
import type { AccountVisit, AnyVisit, ListVisit, May, Screen, UserVisit } from './screen.js';
import { scrub } from './scrub.js';
import { clearedZipPassword, settings, zipSettings } from './settings.js';
import { invitation, newPassword, setUp } from './set-up.js';
import { service, serviceTry } from './service.js';
import { signIn, signInCode, signOut } from './sign-in.js';
import {
  adminCodesOff,
  adminEnd,
  adminLink,
  adminRevive,
  userCodesOff,
  userEnd,
  userLink,
  userRevive,
} from './user-changes.js';
import { admins as allAdmins, newAdmin, newUser, users } from './users.js';

const admins = ['admin'] as const;
const owners = ['admin', 'owner'] as const;
const everyUser = ['admin', 'owner', 'mailer'] as const;
const mailersAlone = ['mailer'] as const;

/** The whole console: where each screen stands, and for whom. Below `:account` and `:list`, within the user's reach. */
export const routes: readonly Route[] = [
  // Signing in
  forAnyone('/sign-in', signIn),
  forAnyone('/sign-in/code', signInCode),
  forAnyone('/sign-out', signOut),
  forAnyone('/forgotten', forgotten),
  forAnyone('/set-up/:token', setUp),
  forAnyone('/invitation/:token', invitation),
  forAnyone('/password/:token', newPassword),

  // The installation
  forUser('', everyUser, home),
  forUser('/accounts', admins, accounts),
  forUser('/history', admins, installationHistory),
  forUser('/admins', admins, allAdmins),
  forUser('/admins/new', admins, newAdmin),
  forUser('/admins/:admin/link', admins, adminLink),
  forUser('/admins/:admin/codes-off', admins, adminCodesOff),
  forUser('/admins/:admin/end', admins, adminEnd),
  forUser('/admins/:admin/revive', admins, adminRevive),

  // A user's own settings
  forUser('/profile', everyUser, profile),
  forUser('/profile/email', everyUser, profileEmail),
  forUser('/profile/email/:token', everyUser, confirmedEmail),
  forUser('/profile/password', everyUser, profilePassword),
  forUser('/profile/codes', everyUser, profileCodes),
  forUser('/profile/codes/off', everyUser, profileCodesOff),
  forUser('/profile/codes/recovery', everyUser, profileRecovery),
  forUser('/profile/sessions', everyUser, profileSessions),
  forUser('/profile/sessions/end', everyUser, endOneSession),
  forUser('/profile/sessions/end-others', everyUser, endAllOtherSessions),

  // People
  forAccount('/users', owners, users),
  forAccount('/users/new', owners, newUser),
  forAccount('/users/:user/link', owners, userLink),
  forAccount('/users/:user/codes-off', owners, userCodesOff),
  forAccount('/users/:user/end', owners, userEnd),
  forAccount('/users/:user/revive', owners, userRevive),

  // Lists
  forAccount('/lists', everyUser, lists),
  forAccount('/lists/new', owners, newList),
  forList('/service', everyUser, service),
  forList('/service/try', everyUser, serviceTry),
  forList('/links', owners, links),
  forList('/links/verify', owners, verifiedLink),
  forList('/links/rotate', owners, rotatedLinks),

  // Pictures
  forList('', everyUser, overview),
  forList('/alerts', owners, alerts),

  // Mailers and their access keys
  forAccount('/mailers', everyUser, mailers),
  forAccount('/mailers/new', owners, newMailer),
  forAccount('/mailers/:mailer', everyUser, mailer),
  forAccount('/mailers/:mailer/edit', owners, editedMailer),
  forAccount('/mailers/:mailer/lists', owners, grantedToMailer),
  forAccount('/mailers/:mailer/keys/new', everyUser, newAccessKey),
  forAccount('/mailers/:mailer/keys/end', owners, endedAccessKeys),
  forAccount('/mailers/:mailer/downloads', everyUser, mailerDownloads),
  forAccount('/mailers/:mailer/downloads.csv', everyUser, mailerDownloadsCsv),
  forList('/downloads', everyUser, listDownloads),
  forList('/downloads.csv', everyUser, listDownloadsCsv),
  forList('/downloads/file', mailersAlone, listFile),
  forList('/scrub', everyUser, scrub),

  // API keys
  forAccount('/credentials', owners, credentials),
  forAccount('/credentials/new', owners, chosenSurface),
  forAccount('/credentials/new/:surface', owners, newCredential),
  forAccount('/credentials/:credential', owners, credential),
  forAccount('/credentials/:credential/rotate', owners, rotatedCredential),
  forAccount('/credentials/:credential/end', owners, endedCredential),

  // Settings of the account
  forAccount('/settings', owners, settings),
  forAccount('/settings/zip', owners, zipSettings),
  forAccount('/settings/zip/clear', owners, clearedZipPassword),
  forAccount('/history', owners, history),

  // Imports
  forList('/imports', owners, imports),
  forList('/imports/:import', owners, oneImport),
  forList('/imports/:import/end', owners, importEnd),
  forList('/imports/:import/restart', owners, importRestart),
  forList('/imports/:import/refused.csv', owners, importRefused),

  // The settings of a list
  forList('/edit', owners, edit),
  forList('/edit/tags', owners, editTags),
  forList('/edit/names', owners, editNames),
  forList('/edit/special', owners, editSpecial),
  forList('/edit/global', owners, editGlobal),
  forList('/edit/archive', owners, editArchive),
  forList('/edit/clear', owners, editClear),
  forList('/preview', owners, preview),

  // Opt-outs
  forList('/opt-outs', everyUser, optOuts),
  forList('/opt-outs/new', owners, newOptOuts),
  forList('/opt-outs/remove', owners, removeOptOuts),
  forList('/opt-outs/removals/:removal', owners, removalOfOptOuts),
  forList('/opt-outs/download', owners, downloadOptOuts),
  forList('/opt-outs/:optOut', everyUser, optOut),
  forList('/opt-outs/:optOut/erase', owners, erasePersonOf),

  // Abuse, and removals of many opt-outs at once
  forAccount('/abuse', owners, abuse),
  forAccount('/abuse/lift', owners, blockLift),
  forAccount('/abuse/whitelist', owners, blockWhitelist),
  forAccount('/abuse/bursts/:burst', owners, oneBurst),
  forAccount('/removals', owners, removals),
  forAccount('/removals/:removal', owners, oneRemoval),

  // One person, over all lists
  forAccount('/people', owners, person),
  forAccount('/people/file', owners, personFile),
  forAccount('/people/erase', owners, erasedPersonOf),
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
