import {
  askForEmail,
  confirmEmail,
  findEmailChange,
  giveUpEmail,
  waitingEmail,
} from '../core/email-changes.js';
import { canSendMail } from '../core/mails.js';
import { countTry } from '../core/sign-in-limit.js';
import { editUser } from '../core/users.js';
import type { Db } from '../db/connect.js';
import { Unavailable } from '../errors.js';
import { HttpError } from '../http/http-error.js';
import { changing } from './changing.js';
import { endOthers } from './profile-sessions.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type Screen, type UserVisit } from './screen.js';
import { queueEmailLink, queueNotice } from './user-mails.js';

const page = view('console/profile-email.ejs');
const confirmPage = view('console/profile-email-confirm.ejs');

/**
 * Another address to sign in with: once it is confirmed by a link, or at once where no mail is sent. What waits is
 * given up without a password: nothing changes then.
 */
export const profileEmail: Screen<UserVisit> = {
  async show({ deps, t, user }) {
    return page(t('profile.email.title'), {
      canSendMail: canSendMail(deps.config),
      waiting: await waitingEmail(deps.db, user),
    });
  },
  async act(visit) {
    const { deps, form, user, ip } = visit;
    if (form?.has('giveUp') === true) {
      await changing(deps, (trx) => giveUpEmail(trx, user));
      return { redirect: '/console/profile', done: 'email-given-up' };
    }
    await checkReEnteredPassword(visit);
    await countTry(deps.db, 'invitation', user.email, ip);
    const email = form?.get('email') ?? '';
    const isMailed = canSendMail(deps.config);
    await changing(deps, (trx) => (isMailed ? mailLink(trx, visit, email) : changeAtOnce(trx, visit, email)));
    if (!isMailed) return { redirect: '/console/profile', done: 'email-changed' };
    const isWaiting = (await waitingEmail(deps.db, user)) !== null;
    return { redirect: '/console/profile', done: isWaiting ? 'email-asked' : 'saved' };
  },
};

async function mailLink(trx: Db, visit: UserVisit, typed: string): Promise<void> {
  const { deps, user, actor, language } = visit;
  const asked = await askForEmail(trx, user, typed, { actor });
  if (asked === null) return;
  const isQueued = await queueEmailLink(trx, deps, user, asked, language);
  if (!isQueued) throw new Unavailable('so many mails wait that no link can be sent');
  await queueNotice(trx, deps, user, 'email-asked', language);
}

async function changeAtOnce(trx: Db, visit: UserVisit, email: string): Promise<void> {
  const { user, actor } = visit;
  const edited = await editUser(trx, user, { email }, { actor });
  if (edited.email !== user.email) await endOthers(trx, visit);
}

/**
 * What the link opens: the user is signed in, here or after the sign-in that comes first. Programs that look at what
 * stands in mails only open the page. Wherever else the user is signed in, that is over.
 */
export const confirmedEmail: Screen<UserVisit> = {
  async show({ deps, t, user, params }) {
    const token = params.token ?? '';
    const change = await findEmailChange(deps.db, user, token);
    if (change === null) throw usedUp();
    return confirmPage(t('profile.email.confirmTitle'), { token, email: change.email });
  },
  async act(visit) {
    const { deps, user, actor, params, language } = visit;
    await changing(deps, async (trx) => {
      const confirmed = await confirmEmail(trx, user, params.token ?? '', { actor });
      if (confirmed === null) throw usedUp();
      await endOthers(trx, visit);
      await queueNotice(trx, deps, user, 'email-changed', language);
    });
    return { redirect: '/console/profile', done: 'email-changed' };
  },
};

function usedUp(): HttpError {
  return new HttpError(404, 'email-link', 'This link was used already, has run out, or is of somebody else.');
}
