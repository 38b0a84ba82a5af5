import { endOtherSessions, endSession, sessionsOf } from '../core/sessions.js';
import { noteOfUser } from '../core/users.js';
import type { Db } from '../db/connect.js';
import { browserIn } from './browser-names.js';
import { changing } from './changing.js';
import { view, type Screen, type UserVisit } from './screen.js';

const page = view('console/profile-sessions.ejs');

/** Where a user is signed in. */
export const profileSessions: Screen<UserVisit> = {
  async show({ deps, t, user, session }) {
    const all = await sessionsOf(deps.db, user);
    const rows = all.map((one) => {
      const { browser, system } = browserIn(one.browser);
      const what = browser ?? t('profile.sessions.someBrowser');
      const name = system === null ? what : t('profile.sessions.browserOn', { browser: what, system });
      return { session: one, name, isThis: one.id === session.id };
    });
    return page(t('profile.sessions.title'), { rows });
  },
};

/** Ends one. Of this browser's own, that is to sign out. */
export const endOneSession: Screen<UserVisit> = {
  async act({ deps, form, user, actor }) {
    await changing(deps, async (trx) => {
      const isEnded = await endSession(trx, user, form?.get('session') ?? '');
      if (isEnded) await noteOfUser(trx, user, actor, 'user.sessions-ended', { sessions: 1 });
    });
    return { redirect: '/console/profile/sessions', done: 'session-ended' };
  },
};

export const endAllOtherSessions: Screen<UserVisit> = {
  async act(visit) {
    await changing(visit.deps, (trx) => endOthers(trx, visit));
    return { redirect: '/console/profile/sessions', done: 'sessions-ended' };
  },
};

/** Part of a transaction that changes what the user signs in with, as well: who got in before has to prove it again. */
export async function endOthers(trx: Db, { user, session, actor }: UserVisit): Promise<void> {
  const ended = await endOtherSessions(trx, user, session);
  if (ended > 0) await noteOfUser(trx, user, actor, 'user.sessions-ended', { sessions: ended });
}
