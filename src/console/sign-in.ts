import { createLink, findLink, useLink } from '../core/one-time-links.js';
import { takeCode } from '../core/one-time-codes.js';
import { isPassword } from '../core/passwords.js';
import { createSession, sessionMs } from '../core/sessions.js';
import { countTry, forgiveTry } from '../core/sign-in-limit.js';
import { actorOf, findUserByEmail, noteOfUser, passwordHashOf, type User } from '../core/users.js';
import { Invalid, NotFound } from '../errors.js';
import { setSessionCookie } from '../http/session-cookie.js';
import { canSendMail } from '../core/mails.js';
import { view, type Answer, type AnyVisit, type Screen } from './screen.js';

const page = view('console/sign-in.ejs');
const codePage = view('console/sign-in-code.ejs');

/** Address and password; then, where the user has switched them on, a one-time code. */
export const signIn: Screen<AnyVisit> = {
  show(visit) {
    const { t, deps, query, form, user } = visit;
    const next = nextOf(form ?? query);
    if (user !== null && form === null) return Promise.resolve({ redirect: next });
    return Promise.resolve(page(t('sign-in.title'), { next, canSendMail: canSendMail(deps.config) }));
  },
  async act(visit) {
    const { deps, form, ip } = visit;
    const email = form?.get('email') ?? '';
    if (email.trim() === '') throw new Invalid('email', 'missing', 'email must not be empty');
    const password = form?.get('password') ?? '';
    if (password === '') throw new Invalid('password', 'missing', 'password must not be empty');
    await countTry(deps.db, email, ip);
    const found = await findUserByEmail(deps.db, email);
    const user = found === null || found.endedAt !== null ? null : found;
    const hash = user === null ? null : await passwordHashOf(deps.db, user.id);
    // In the same words, and after the same time, for whoever there is not.
    if (!(await isPassword(hash, password)) || user === null) {
      throw new Invalid('password', 'not-both', 'email and password do not belong together');
    }
    await forgiveTry(deps.db, email, ip);
    const next = nextOf(form);
    if (!user.hasOneTimeCodes) return signedIn(visit, user, next);
    return codeStep(visit, await createLink(deps.db, 'code', user), next);
  },
};

/** The second step: who sends it has shown the password, as the form's token says. */
export const signInCode: Screen<AnyVisit> = {
  // Whoever reloads the page begins anew; with what was sent, it comes again.
  show(visit) {
    const { form } = visit;
    if (form === null) return Promise.resolve({ redirect: '/console/sign-in' });
    return Promise.resolve(codeStep(visit, form.get('token') ?? '', nextOf(form)));
  },
  async act(visit) {
    const { deps, form, ip } = visit;
    const token = form?.get('token') ?? '';
    const link = await findLink(deps.db, 'code', token);
    if (link?.user == null) throw new NotFound('This step has run out. Sign in again.');
    const { user } = link;
    await countTry(deps.db, user.email, ip);
    await takeCode(deps.db, deps.secret, user, form?.get('code') ?? '');
    await forgiveTry(deps.db, user.email, ip);
    return signedIn(visit, user, nextOf(form), token);
  },
};

/** Ends the session, here and in the table. */
export const signOut: Screen<AnyVisit> = {
  async act({ deps, res, session }) {
    if (session !== null) {
      await deps
        .db('sessions')
        .where({ token_hash: Buffer.from(session.id, 'hex') })
        .delete();
    }
    setSessionCookie(res, deps.baseUrl, null, 0);
    return { redirect: '/console/sign-in', done: 'signed-out' };
  },
};

/**
 * A new session, with a token that nobody has seen before.
 *
 * @param usedUp the step that led here, which leads nowhere afterwards.
 */
export async function signedIn(
  visit: AnyVisit,
  user: User,
  next: string,
  usedUp: string | null = null,
): Promise<Answer> {
  const { deps, req, res, ip, session } = visit;
  const token = await deps.db.transaction(async (trx) => {
    if (usedUp !== null && !(await useLink(trx, 'code', usedUp))) {
      throw new NotFound('This step has run out. Sign in again.');
    }
    // Whoever was signed in with this browser is not any more.
    if (session !== null) {
      await trx('sessions')
        .where({ token_hash: Buffer.from(session.id, 'hex') })
        .delete();
    }
    await noteOfUser(trx, user, actorOf(user), 'user.signed-in');
    return createSession(trx, user, { ip, browser: req.headers['user-agent'] ?? '' });
  });
  setSessionCookie(res, deps.baseUrl, token, sessionMs);
  return { redirect: next };
}

function codeStep(visit: AnyVisit, token: string, next: string): Answer {
  return codePage(visit.t('sign-in.codeTitle'), { token, next });
}

/** Where to go then: a page of the console, and nothing that a browser takes for another site. */
function nextOf(params: URLSearchParams | null): string {
  const next = params?.get('next') ?? '';
  return /^\/console(\/[\w\-/.]*)?(\?[\w\-=&.%+]*)?$/.test(next) ? next : '/console';
}
