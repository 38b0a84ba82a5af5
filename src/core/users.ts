import type { Db } from '../db/connect.js';
import { Invalid, NotFound } from '../errors.js';
import { parseAddress } from './address.js';
import type { Account } from './accounts.js';
import { noteChange } from './history.js';
import type { Mailer } from './mailers.js';
import { checkText } from './text.js';

/**
 * What a user may see and do: an admin runs the installation and all of its accounts, an owner all lists of one
 * account, a mailer looks at the lists that are granted to it. See user-rights.ts.
 */
export const roles = ['admin', 'owner', 'mailer'] as const;
export type Role = (typeof roles)[number];

/** The languages that the console speaks. */
export const consoleLanguages = ['en', 'ja'] as const;
export type ConsoleLanguage = (typeof consoleLanguages)[number];

/** Somebody who signs in to the console. */
export interface User {
  readonly id: number;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  /** Null for an admin. */
  readonly accountId: number | null;
  /** Of a user of the role mailer alone. */
  readonly mailerId: number | null;
  /** Null: what the browser asks for. */
  readonly language: ConsoleLanguage | null;
  /** Whether the invitation has been taken up. */
  readonly hasPassword: boolean;
  /** Tells one password from the next. */
  readonly passwordAt: number | null;
  readonly hasOneTimeCodes: boolean;
  readonly createdAt: number;
  readonly signedInAt: number | null;
  /** Null while the user may sign in. */
  readonly endedAt: number | null;
}

export interface UserRow {
  id: number;
  email: string;
  name: string;
  role: Role;
  account_id: number | null;
  mailer_id: number | null;
  password_hash: string | null;
  password_at: number | null;
  totp_secret: Buffer | null;
  totp_step: number;
  language: ConsoleLanguage | null;
  created_at: number;
  signed_in_at: number | null;
  ended_at: number | null;
}

/** How the history calls a user. */
export function actorOf({ id }: Pick<User, 'id'>): string {
  return `user:${id}`;
}

/** To whom a user belongs. */
export type UserPlace =
  | { readonly role: 'admin' }
  | { readonly role: 'owner'; readonly account: Account }
  | { readonly role: 'mailer'; readonly mailer: Mailer };

/**
 * Adds somebody, who cannot sign in before taking up an invitation (one-time-links.ts).
 *
 * @throws Invalid naming what does not pass: `taken` for an address that signs in already.
 */
export async function createUser(
  db: Db,
  place: UserPlace,
  settings: { readonly email: string; readonly name: string },
  { actor }: { actor: string },
): Promise<User> {
  const row = {
    email: checkEmail('email', settings.email),
    name: checkText('name', settings.name, { max: 200 }),
    role: place.role,
    account_id: accountIdOf(place),
    mailer_id: place.role === 'mailer' ? place.mailer.id : null,
    created_at: Date.now(),
  };
  const id = await db.transaction(async (trx) => {
    const standing: unknown = await trx('users').where({ email: row.email }).first('id');
    if (standing !== undefined) throw taken();
    const [made = 0] = await trx('users').insert(row).catch(takenWhereDuplicate);
    await noteOfUser(trx, { id: made, accountId: row.account_id }, actor, 'user.created', { role: row.role });
    return made;
  });
  return getUser(db, id);
}

/** @throws NotFound */
export async function getUser(db: Db, id: number): Promise<User> {
  const row = await db<UserRow>('users').where({ id }).first();
  if (row === undefined) throw new NotFound('There is no such user.');
  return userOf(row);
}

/** By what somebody typed: null for what nobody signs in with, ended users included. */
export async function findUserByEmail(db: Db, email: string): Promise<User | null> {
  const row = await findUserRow(db, email);
  return row === null ? null : userOf(row);
}

/** For what is compared as well: the same one query, whoever there is. */
export async function findUserRow(db: Db, email: string): Promise<UserRow | null> {
  const row = await db<UserRow>('users')
    .where({ email: foldEmail(email) ?? '' })
    .first();
  return row ?? null;
}

/** Oldest first; at most 1,000. */
export async function usersOfAccount(db: Db, accountId: number): Promise<User[]> {
  const rows = await db<UserRow>('users').where({ account_id: accountId }).orderBy('id').limit(1000);
  return rows.map(userOf);
}

/** Oldest first; at most 1,000. */
export async function listAdmins(db: Db): Promise<User[]> {
  const rows = await db<UserRow>('users').where({ role: 'admin' }).orderBy('id').limit(1000);
  return rows.map(userOf);
}

/**
 * Another address takes away the links that were sent to the one before.
 *
 * @throws Invalid naming what does not pass.
 */
export async function editUser(
  db: Db,
  user: User,
  edits: { readonly name?: string; readonly email?: string; readonly language?: string | null },
  { actor }: { actor: string },
): Promise<User> {
  const columns = {
    ...(edits.name === undefined ? {} : { name: checkText('name', edits.name, { max: 200 }) }),
    ...(edits.email === undefined ? {} : { email: checkEmail('email', edits.email) }),
    ...(edits.language === undefined ? {} : { language: checkConsoleLanguage(edits.language) }),
  };
  if (Object.keys(columns).length > 0) {
    await db.transaction(async (trx) => {
      if (columns.email !== undefined) {
        const standing = await trx<UserRow>('users').where({ email: columns.email }).first('id');
        if (standing !== undefined && standing.id !== user.id) throw taken();
        await trx('one_time_links').where({ user_id: user.id }).delete();
      }
      await trx('users').where({ id: user.id }).update(columns).catch(takenWhereDuplicate);
      await noteOfUser(trx, user, actor, 'user.edited', { settings: Object.keys(columns) });
    });
  }
  return getUser(db, user.id);
}

/** Notes in the history of a user's account what became of the user; an admin's in that of account 0. */
export async function noteOfUser(
  trx: Db,
  user: Pick<User, 'id' | 'accountId'>,
  actor: string,
  action: string,
  details: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await noteChange(trx, {
    accountId: user.accountId ?? 0,
    actor,
    action,
    details: { user: user.id, ...details },
  });
}

export function isConsoleLanguage(code: unknown): code is ConsoleLanguage {
  return consoleLanguages.some((one) => one === code);
}

export function userOf(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    name: row.name,
    role: row.role,
    accountId: row.account_id,
    mailerId: row.mailer_id,
    language: row.language,
    hasPassword: row.password_hash !== null,
    passwordAt: row.password_at,
    hasOneTimeCodes: row.totp_secret !== null,
    createdAt: row.created_at,
    signedInAt: row.signed_in_at,
    endedAt: row.ended_at,
  };
}

/** As addresses of opt-outs are folded: nobody remembers in which case the own one was typed. Null for none. */
export function foldEmail(email: string): string | null {
  const parsed = parseAddress(email, { typed: true });
  return parsed.ok ? parsed.address.normalised : null;
}

export function checkEmail(field: string, email: string): string {
  const folded = foldEmail(checkText(field, email, { max: 254 }));
  if (folded !== null) return folded;
  throw new Invalid(field, 'malformed', `${field} must be an e-mail address`);
}

function checkConsoleLanguage(code: string | null): ConsoleLanguage | null {
  if (code === null || isConsoleLanguage(code)) return code;
  throw new Invalid('language', 'unknown', `language must be one of ${consoleLanguages.join(', ')}`);
}

function accountIdOf(place: UserPlace): number | null {
  if (place.role === 'admin') return null;
  return place.role === 'owner' ? place.account.id : place.mailer.accountId;
}

/** Two that take the same address at once: the key tells the later one. */
function takenWhereDuplicate(error: unknown): never {
  const { code = '' } = error as { code?: string };
  throw ['SQLITE_CONSTRAINT_UNIQUE', 'ER_DUP_ENTRY'].includes(code) ? taken() : error;
}

function taken(): Invalid {
  return new Invalid('email', 'taken', 'email is one that somebody signs in with already');
}
