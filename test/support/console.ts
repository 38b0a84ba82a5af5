import assert from 'node:assert/strict';
import type { Account } from '../../src/core/accounts.js';
import { getAccount } from '../../src/core/accounts.js';
import type { Mailer } from '../../src/core/mailers.js';
import { createSession, formTokenOf } from '../../src/core/sessions.js';
import { setPassword } from '../../src/core/user-passwords.js';
import { createUser, type User, type UserPlace } from '../../src/core/users.js';
import type { TestService } from './service.js';

/** The password of every user that `signInAs` makes with one. */
export const goodPassword = 'correct horse battery staple';

export interface ConsolePage {
  readonly status: number;
  readonly headers: Headers;
  /** Its HTML, or what else it is. */
  readonly html: string;
  /** Where a redirect leads, with its query; null for none. */
  readonly location: string | null;
  /** Its text, tags and white space taken away: for what people read. */
  readonly text: string;
}

/** Somebody in front of a browser without scripts. */
export interface Visitor {
  readonly user: User;
  /** Of the session: what a Cookie header says. */
  readonly cookie: string;
  readonly formToken: string;
  get(path: string): Promise<ConsolePage>;
  /** Sends a form of the console, with its token. */
  post(path: string, fields?: Fields): Promise<ConsolePage>;
  /** Sends a multipart form with one file in it. */
  upload(
    path: string,
    file: { name: string; content: string | Buffer; type?: string },
    fields?: Fields,
  ): Promise<ConsolePage>;
  /** Any request with the session, and nothing else. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

type Fields = Readonly<Record<string, string | readonly string[]>>;

let made = 0;

/**
 * Makes a user, and signs it in without the form.
 *
 * @param who `owner` of the service's account, unless it is said otherwise.
 * @param options.password whether it has one, `goodPassword`: to hash it takes its time.
 */
export async function signInAs(
  service: TestService,
  who: 'admin' | 'owner' | { owner: Account } | { mailer: Mailer },
  { password = false, language = 'en' }: { password?: boolean; language?: 'en' | 'ja' } = {},
): Promise<Visitor> {
  const { db } = service.deps;
  const email = `user${++made}@console.example`;
  const created = await createUser(
    db,
    await placeOf(service, who),
    { email, name: 'Olive Owner' },
    { actor: 'test' },
  );
  await db('users').where({ id: created.id }).update({ language });
  if (password) await setPassword(db, created, goodPassword, { actor: 'test' });
  const token = await createSession(db, created, { ip: '127.0.0.1', browser: 'test' });
  return visitorOf(service, { ...created, language }, token);
}

export function visitorOf(service: TestService, user: User, token: string): Visitor {
  const cookie = `signoff=${token}`;
  const formToken = formTokenOf(token);
  const request = (path: string, init: RequestInit = {}) =>
    fetch(`${service.url}${path}`, {
      redirect: 'manual',
      ...init,
      headers: { Cookie: cookie, ...(init.headers as Record<string, string> | undefined) },
    });
  return {
    user,
    cookie,
    formToken,
    fetch: request,
    get: async (path) => pageOf(await request(path)),
    post: async (path, fields = {}) =>
      pageOf(
        await request(path, {
          method: 'POST',
          headers: { 'Sec-Fetch-Site': 'same-origin' },
          body: paramsOf({ csrf: formToken, ...fields }),
        }),
      ),
    upload: async (path, file, fields = {}) => {
      const form = new FormData();
      for (const [name, value] of paramsOf({ csrf: formToken, ...fields })) form.append(name, value);
      form.append('file', new Blob([file.content], { type: file.type ?? 'text/csv' }), file.name);
      return pageOf(
        await request(path, { method: 'POST', headers: { 'Sec-Fetch-Site': 'same-origin' }, body: form }),
      );
    },
  };
}

/** The value of a form's field, in a page. */
export function fieldOf({ html }: ConsolePage, name: string): string {
  const [input] = new RegExp(`<input[^>]* name="${name}"[^>]*>`).exec(html) ?? [];
  assert.ok(input !== undefined, `there is a field ${name}`);
  return decoded(/ value="([^"]*)"/.exec(input)?.[1] ?? '');
}

export async function pageOf(response: Response): Promise<ConsolePage> {
  const html = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    html,
    location: response.headers.get('location'),
    text: decoded(html.replace(/<(script|style)[^]*?<\/\1>/g, '').replace(/<[^>]*>/g, ' '))
      .replace(/\s+/g, ' ')
      .trim(),
  };
}

function paramsOf(fields: Fields): URLSearchParams {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of typeof value === 'string' ? [value] : value) params.append(name, one);
  }
  return params;
}

function decoded(text: string): string {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&#34;|&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
}

async function placeOf(
  { deps, accountId }: TestService,
  who: Parameters<typeof signInAs>[1],
): Promise<UserPlace> {
  if (who === 'admin') return { role: 'admin' };
  if (who === 'owner') return { role: 'owner', account: await getAccount(deps.db, accountId) };
  return 'owner' in who ? { role: 'owner', account: who.owner } : { role: 'mailer', mailer: who.mailer };
}
