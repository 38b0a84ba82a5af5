import { findLink, useLink } from '../core/one-time-links.js';
import { createFirstAdmin } from '../core/first-admin.js';
import { checkPassword } from '../core/passwords.js';
import { setPassword } from '../core/users.js';
import { Invalid, NotFound } from '../errors.js';
import { signedIn } from './sign-in.js';
import { view, type AnyVisit, type Screen } from './screen.js';

const setUpPage = view('console/set-up.ejs');
const invitationPage = view('console/invitation.ejs');

/** What the first start's link opens: it makes the first admin, once. */
export const setUp: Screen<AnyVisit> = {
  async show(visit) {
    if ((await findLink(visit.deps.db, 'set-up', visit.params.token ?? '')) === null) throw usedUp();
    return setUpPage(visit.t('set-up.title'), { token: visit.params.token });
  },
  async act(visit) {
    const { deps, params } = visit;
    const token = params.token ?? '';
    if ((await findLink(deps.db, 'set-up', token)) === null) throw usedUp();
    const email = visit.form?.get('email') ?? '';
    const name = visit.form?.get('name') ?? '';
    const password = chosenPassword(visit, [email, name]);
    const admin = await createFirstAdmin(deps.db, token, { email, name, password });
    if (admin === null) throw usedUp();
    return signedIn(visit, admin, '/console');
  },
};

/** What an invitation, or the mail about a forgotten password, opens: a new password. */
export const invitation = passwordScreen('invitation');
export const newPassword = passwordScreen('password');

function passwordScreen(purpose: 'invitation' | 'password'): Screen<AnyVisit> {
  return {
    async show(visit) {
      const link = await findLink(visit.deps.db, purpose, visit.params.token ?? '');
      if (link?.user == null) throw usedUp();
      const data = { token: visit.params.token, purpose, invited: link.user };
      return invitationPage(visit.t(`set-up.${purpose}.title`), data);
    },
    async act(visit) {
      const { deps, params } = visit;
      const token = params.token ?? '';
      const link = await findLink(deps.db, purpose, token);
      if (link?.user == null) throw usedUp();
      const { user } = link;
      const password = chosenPassword(visit, [user.email, user.name]);
      await deps.db.transaction(async (trx) => {
        if (!(await useLink(trx, purpose, token))) throw usedUp();
        await setPassword(trx, user, password, { actor: `user:${user.id}` });
      });
      // With codes switched on, a mailbox alone is not enough to get in.
      if (user.hasOneTimeCodes) return { redirect: '/console/sign-in', done: 'password-set' };
      return signedIn(visit, user, '/console');
    },
  };
}

/** Typed twice: nobody sees what is typed. */
export function chosenPassword({ form }: AnyVisit, known: readonly string[]): string {
  const password = checkPassword('password', form?.get('password') ?? '', known);
  if (form?.get('again')?.normalize('NFC') !== password) {
    throw new Invalid('again', 'different', 'again must be the same as password');
  }
  return password;
}

function usedUp(): NotFound {
  return new NotFound('This link was used already, or has run out.');
}
