import { TOTP, Secret } from 'otpauth';
import { createUser, getUser, type User, type UserPlace } from '../../src/core/users.js';
import { setPassword } from '../../src/core/user-passwords.js';
import { newSecret, switchOnCodes } from '../../src/core/one-time-codes.js';
import { getAccount } from '../../src/core/accounts.js';
import { goodPassword, pageOf, visitorOf, type ConsolePage, type Visitor } from '../support/console.js';
import type { TestService } from '../support/service.js';

let made = 0;

/** Somebody who can sign in by the form. */
export async function makeUser(
  { deps, accountId }: TestService,
  { email = `sam${++made}@sign-in.example`, place }: { email?: string; place?: UserPlace } = {},
): Promise<User> {
  const at = place ?? { role: 'owner', account: await getAccount(deps.db, accountId) };
  const user = await createUser(deps.db, at, { email, name: 'Sam Signer' }, { actor: 'test' });
  await setPassword(deps.db, user, goodPassword, { actor: 'test' });
  return getUser(deps.db, user.id);
}

/** What an authenticator app shows for a secret. */
export function codeFor(secret: string, now = Date.now()): string {
  return new TOTP({ period: 30, secret: Secret.fromBase32(secret) }).generate({ timestamp: now });
}

/** Switches codes on, with the code of a minute ago, so that the present one is still good. */
export async function withCodes(
  { deps }: TestService,
  user: User,
): Promise<{ user: User; secret: string; recovery: string[] }> {
  const { secret } = newSecret(user);
  const now = Date.now() - 90_000;
  const given = { secret, code: codeFor(secret, now) };
  const recovery = await switchOnCodes(deps.db, deps.secret, user, given, { actor: 'test', now });
  return { user: await getUser(deps.db, user.id), secret, recovery };
}

/** Somebody who is not signed in: sends a form as a browser does. */
export async function sendForm(
  { url }: { readonly url: string },
  path: string,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<ConsolePage> {
  return pageOf(
    await fetch(`${url}${path}`, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'Sec-Fetch-Site': 'same-origin', ...headers },
      body: new URLSearchParams(fields),
    }),
  );
}

/** The token of the session that an answer has begun; null where it has begun none. */
export function tokenIn({ headers }: ConsolePage): string | null {
  const cookies = headers.getSetCookie();
  return /^(?:__Host-)?signoff=([\w-]{43});/.exec(cookies[0] ?? '')?.[1] ?? null;
}

/** Signs somebody in by the form. */
export async function signInByForm(
  service: TestService,
  user: User,
  headers: Readonly<Record<string, string>> = {},
): Promise<Visitor> {
  const fields = { email: user.email, password: goodPassword };
  const token = tokenIn(await sendForm(service, '/console/sign-in', fields, headers));
  if (token === null) throw new Error('nobody was signed in');
  return visitorOf(service, user, token);
}
