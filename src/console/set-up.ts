import { findLink, useLink, type LinkPurpose } from '../core/one-time-links.js';
import { createFirstAdmin } from '../core/first-admin.js';
import { hashPassword } from '../core/passwords.js';
import { checkChosen, stillStands, storePassword } from '../core/user-passwords.js';
import { actorOf, checkEmail } from '../core/users.js';
import { checkText } from '../core/text.js';
import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { HttpError } from '../http/http-error.js';
import { brake } from './brake.js';
import { changing } from './changing.js';
import { signedIn } from './sign-in.js';
import { view, type AnyVisit, type Screen } from './screen.js';

const setUpPage = view('console/set-up.ejs');
const invitationPage = view('console/invitation.ejs');

/** What the first start's link opens: it makes the first admin, once. */
export const setUp: Screen<AnyVisit> = {
  async show({ deps, params, t }) {
    if ((await findLink(deps.db, 'set-up', params.token ?? '')) === null) throw usedUp();
    return setUpPage(t('set-up.title'), { token: params.token });
  },
  async act(visit) {
    const { deps, params, form } = visit;
    brake(visit);
    const token = params.token ?? '';
    if ((await findLink(deps.db, 'set-up', token)) === null) throw usedUp();
    const name = checkText('name', form?.get('name') ?? '', { max: 200 });
    const email = checkEmail('email', form?.get('email') ?? '');
    const passwordHash = await chosenPassword(visit, { email, name });
    await signedIn(visit, '/console', async (trx) => {
      const admin = await createFirstAdmin(trx, token, { email, name, passwordHash });
      if (admin === null) throw usedUp();
      return admin;
    });
    return { redirect: '/console/accounts', done: 'set-up' };
  },
};

/** What an invitation, or the mail about a forgotten password, opens: a new password. */
export const invitation = passwordScreen('invitation');
export const newPassword = passwordScreen('password');

function passwordScreen(purpose: 'invitation' | 'password'): Screen<AnyVisit> {
  const purposes: LinkPurpose[] = purpose === 'password' ? [purpose, 'handed-on'] : [purpose];
  return {
    async show({ deps, params, t }) {
      const link = await findLink(deps.db, purposes, params.token ?? '');
      if (link?.user == null) throw usedUp();
      const data = { token: params.token, purpose, invited: link.user };
      return invitationPage(t(`set-up.${purpose}.title`), data);
    },
    async act(visit) {
      const { deps, params } = visit;
      brake(visit);
      const token = params.token ?? '';
      const user = (await findLink(deps.db, purposes, token))?.user ?? null;
      if (user === null) throw usedUp();
      const passwordHash = await chosenPassword(visit, user);
      const choose = async (trx: Db) => {
        if (!(await useLink(trx, purposes, token)) || !(await stillStands(trx, user))) throw usedUp();
        return storePassword(trx, user, passwordHash, { actor: actorOf(user) });
      };
      if (!user.hasOneTimeCodes) return signedIn(visit, '/console', choose);
      // With codes switched on, a mailbox alone is not enough to get in.
      await changing(deps, choose);
      return { redirect: '/console/sign-in', done: 'password-set' };
    },
  };
}

/** Typed twice: nobody sees what is typed. @returns its hash. */
export function chosenPassword(
  { form }: AnyVisit,
  who: { readonly email: string; readonly name: string },
): Promise<string> {
  const password = checkChosen(form?.get('password') ?? '', who);
  if (form?.get('again')?.normalize('NFC') !== password) {
    throw new Invalid('again', 'different', 'again must be the same as password');
  }
  return hashPassword(password);
}

function usedUp(): HttpError {
  return new HttpError(404, 'used-link', 'This link was used already, or has run out.');
}
