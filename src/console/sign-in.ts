import { createLink, findLink, useLink } from '../core/one-time-links.js';
import { takeCode } from '../core/one-time-codes.js';
import { canSendMail } from '../core/mails.js';
import { isPassword } from '../core/passwords.js';
import { createSession, endSession, sessionMs } from '../core/sessions.js';
import { countTry, forgiveTry } from '../core/sign-in-limit.js';
import { findSigningIn, stillStands } from '../core/user-passwords.js';
import { actorOf, noteOfUser, type User } from '../core/users.js';
import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { HttpError } from '../http/http-error.js';
import { setSessionCookie } from '../http/session-cookie.js';
import { brake } from './brake.js';
import { changing } from './changing.js';
import { withCode } from './code-tries.js';
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
    brake(visit);
    const email = form?.get('email') ?? '';
    if (email.trim() === '') throw new Invalid('email', 'missing', 'email must not be empty');
    const password = form?.get('password') ?? '';
    if (password === '') throw new Invalid('password', 'missing', 'password must not be empty');
    await countTry(deps.db, 'password', email, ip);
    const { user, passwordHash } = await findSigningIn(deps.db, email);
    // In the same words, and after the same time, for whoever there is not.
    if (!(await isPassword(passwordHash, password)) || user === null) throw notBoth();
    const next = nextOf(form);
    if (user.hasOneTimeCodes) {
      // Not forgiven yet: whoever knows the password could have all codes tried, a few between two passwords.
      const step = await changing(deps, async (trx) => {
        if (!(await stillStands(trx, user))) throw notBoth();
        return createLink(trx, 'code', user);
      });
      return codeStep(visit, step, next);
    }
    const answer = await signedIn(visit, next, async (trx) => {
      if (!(await stillStands(trx, user))) throw notBoth();
      return user;
    });
    await forgiveTry(deps.db, 'password', email, ip);
    return answer;
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
    brake(visit);
    const token = form?.get('token') ?? '';
    const user = (await findLink(deps.db, 'code', token))?.user ?? null;
    if (user === null) throw stepOver();
    const code = form?.get('code') ?? '';
    if (code.trim() === '') throw new Invalid('code', 'missing', 'code must not be empty');
    const admit = async (trx: Db) => {
      if (!(await useLink(trx, 'code', token)) || !(await stillStands(trx, user))) throw stepOver();
      // With a wrong code all of this is rolled back: the step goes on.
      await takeCode(trx, deps.secret, user, code);
      return user;
    };
    const answer = await withCode(visit, user, () => signedIn(visit, nextOf(form), admit));
    await forgiveTry(deps.db, 'password', user.email, ip);
    return answer;
  },
};

/** Ends the session, here and in the table. */
export const signOut: Screen<AnyVisit> = {
  async act({ deps, res, session, user }) {
    if (session !== null && user !== null) {
      await changing(deps, (trx) => endSession(trx, user, session.id));
    }
    setSessionCookie(res, deps.baseUrl, null, 0);
    return { redirect: '/console/sign-in', done: 'signed-out' };
  },
};

/** @param admit part of the session's transaction: who it is for, or why there will be none. */
export async function signedIn(
  visit: AnyVisit,
  next: string,
  admit: (trx: Db) => Promise<User>,
): Promise<Answer> {
  await startSession(visit, async (trx) => {
    const user = await admit(trx);
    await noteOfUser(trx, user, actorOf(user), 'user.signed-in');
    return user;
  });
  return { redirect: next };
}

/** A new session, with a token that nobody has seen before. Whoever was signed in with this browser is not any more. */
export async function startSession(
  { deps, req, res, ip, session, user: before }: AnyVisit,
  admit: (trx: Db) => Promise<User>,
): Promise<void> {
  const token = await changing(deps, async (trx) => {
    const user = await admit(trx);
    if (session !== null && before !== null) await endSession(trx, before, session.id);
    return createSession(trx, user, { ip, browser: req.headers['user-agent'] ?? '' });
  });
  setSessionCookie(res, deps.baseUrl, token, sessionMs);
}

function codeStep(visit: AnyVisit, token: string, next: string): Answer {
  return codePage(visit.t('sign-in.codeTitle'), { token, next });
}

/** A name of which no part begins with a dot: `..` leaves the console, in browsers. */
const pagePattern = /^\/console(?:\/[\w-]+(?:\.[\w-]+)*)*(?:\?[\w\-=&.%+]*)?$/;

/** Where to go then: a page of the console, and nothing that a browser takes for one elsewhere. */
function nextOf(params: URLSearchParams | null): string {
  const next = params?.get('next') ?? '';
  return pagePattern.test(next) ? next : '/console';
}

function notBoth(): Invalid {
  return new Invalid('password', 'not-both', 'email and password do not belong together');
}

function stepOver(): HttpError {
  return new HttpError(404, 'step-over', 'This step has run out. Sign in again.');
}
