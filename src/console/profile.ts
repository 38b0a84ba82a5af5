import { waitingEmail } from '../core/email-changes.js';
import { countRecoveryCodes } from '../core/recovery-codes.js';
import { sessionsOf } from '../core/sessions.js';
import { stillStands, storePassword } from '../core/user-passwords.js';
import { consoleLanguages, editUser } from '../core/users.js';
import { Refused } from '../errors.js';
import { changing } from './changing.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type Screen, type UserVisit } from './screen.js';
import { chosenPassword } from './set-up.js';
import { startSession } from './sign-in.js';
import { queueNotice } from './user-mails.js';

const page = view('console/profile.ejs');
const passwordPage = view('console/profile-password.ejs');

/** What a user sets for itself. */
export const profile: Screen<UserVisit> = {
  async show({ deps, t, user }) {
    return page(t('profile.title'), {
      languageChoices: [
        ['', t('profile.browserLanguage')],
        ...consoleLanguages.map((code) => [code, t(`nav.language.${code}`)]),
      ],
      sessions: (await sessionsOf(deps.db, user)).length,
      recoveryCodes: await countRecoveryCodes(deps.db, user),
      waitingEmail: await waitingEmail(deps.db, user),
    });
  },
  async act({ deps, form, user, actor }) {
    const name = form?.get('name') ?? '';
    const language = form?.get('language') || null;
    await changing(deps, (trx) => editUser(trx, user, { name, language }, { actor }));
    return { redirect: '/console/profile', done: 'saved' };
  },
};

/** A new password: wherever else the user is signed in, that is over. */
export const profilePassword: Screen<UserVisit> = {
  show: ({ t }) => Promise.resolve(passwordPage(t('profile.password.title'))),
  async act(visit) {
    const { deps, user, actor, language } = visit;
    await checkReEnteredPassword(visit, 'current');
    const passwordHash = await chosenPassword(visit, user);
    await startSession(visit, async (trx) => {
      if (!(await stillStands(trx, user))) {
        throw new Refused('changed-meanwhile', 'Your password was changed meanwhile. Sign in again.');
      }
      await queueNotice(trx, deps, user, 'password-changed', language);
      return storePassword(trx, user, passwordHash, { actor });
    });
    return { redirect: '/console/profile', done: 'password-changed' };
  },
};
