import { createHash, randomBytes } from 'node:crypto';
import type { Db } from '../db/connect.js';
import { Invalid, NotFound, Refused } from '../errors.js';
import { noteChange } from './history.js';
import { isWhitelisted, parseIpWhitelist, type Network } from './ip-whitelist.js';
import { reprintedWhitelist, type Confirmations } from './list-settings.js';
import type { List } from './lists.js';
import { checkText } from './text.js';

/** What a credential may do: look at lists and opt-outs, record, remove, and change settings. */
export const rights = ['read', 'record', 'remove', 'admin'] as const;
export type Right = (typeof rights)[number];

/** What a program shows to one of our APIs: its surface is the API that it is for. */
export interface Credential {
  readonly id: number;
  readonly accountId: number;
  readonly surface: string;
  readonly name: string;
  /** The user's name that goes with the key on surfaces that have one; empty elsewhere. */
  readonly login: string;
  /** In the surface's own words; empty where it has none. */
  readonly role: string;
  readonly rights: ReadonlySet<Right>;
  /** Where it may be used from; from anywhere where there are none. */
  readonly networks: readonly Network[];
  /** The lists that it is for; null: all of the account's. */
  readonly listIds: ReadonlySet<number> | null;
  /** The key's last characters. */
  readonly ending: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

export interface NewCredential {
  readonly surface: string;
  readonly name: string;
  readonly login?: string;
  readonly role?: string;
  readonly rights: readonly Right[];
  readonly ipWhitelist?: string;
  readonly lists?: readonly Pick<List, 'id' | 'accountId' | 'publicId'>[];
  /** A key that programs hold already; otherwise one is made. */
  readonly key?: string;
}

interface CredentialRow {
  id: number;
  account_id: number;
  surface: string;
  name: string;
  login: string;
  key_hash: Buffer;
  ending: string;
  role: string;
  rights: string;
  ip_whitelist: string;
  /** Told, not concluded from there being no rows of `credential_lists`: what gets lost must open nothing. */
  for_all_lists: boolean | 0 | 1;
  created_at: number;
  expires_at: number | null;
}

const shortestKey = 16; // characters: what the vendors' own keys have at least

/**
 * @returns the credential, and its key, which is kept hashed and cannot be shown again.
 * @throws Invalid naming what does not pass: a key that is short, or that the surface knows already.
 */
export async function createCredential(
  db: Db,
  accountId: number,
  settings: NewCredential,
  { actor, ...confirmations }: { actor: string } & Confirmations,
): Promise<{ credential: Credential; key: string }> {
  const key = settings.key ?? `so_${randomBytes(32).toString('base64url')}`;
  if (key.length < shortestKey || key.length > 200 || !/^[\x21-\x7e]+$/.test(key)) {
    throw new Invalid('key', 'malformed', `key must be ${shortestKey} to 200 characters of ASCII, no spaces`);
  }
  if (settings.rights.length === 0) throw new Invalid('rights', 'missing', 'rights must not be empty');
  const foreign = settings.lists?.find((list) => list.accountId !== accountId);
  if (foreign !== undefined) throw new NotFound(`There is no list ${foreign.publicId} in this account.`);
  const row = {
    account_id: accountId,
    surface: settings.surface,
    name: checkText('name', settings.name, { max: 200 }),
    login: checkText('login', settings.login ?? '', { max: 200, optional: true }),
    key_hash: hashOf(key),
    ending: key.slice(-4),
    role: settings.role ?? '',
    rights: [...new Set(settings.rights)].join(','),
    ip_whitelist: reprintedWhitelist('ipWhitelist', settings.ipWhitelist ?? '', confirmations),
    for_all_lists: (settings.lists ?? []).length === 0,
    created_at: Date.now(),
    expires_at: null,
  };
  const id = await db.transaction(async (trx) => {
    const standing: unknown = await trx('credentials')
      .where({ surface: row.surface, key_hash: row.key_hash })
      .first('id');
    if (standing !== undefined) throw new Invalid('key', 'taken', 'this key is another credential already');
    const [made = 0] = await trx('credentials').insert(row);
    for (const list of settings.lists ?? []) {
      await trx('credential_lists').insert({ credential_id: made, list_id: list.id });
    }
    const details = { credential: made, surface: row.surface, rights: row.rights };
    await noteChange(trx, { accountId, actor, action: 'credential.created', details });
    return made;
  });
  return { credential: await getCredential(db, id), key };
}

/** @throws NotFound */
export async function getCredential(db: Db, id: number): Promise<Credential> {
  const row = await db<CredentialRow>('credentials').where({ id }).first();
  if (row === undefined) throw new NotFound(`There is no credential ${id}.`);
  return credentialOf(db, row);
}

/**
 * Those of an account, oldest first, ended ones included.
 *
 * @param options.beyond a credential's id: only those after it.
 * @param options.limit at most 1,000.
 */
export async function credentialsOfAccount(
  db: Db,
  accountId: number,
  { beyond = 0, limit = 1000 }: { beyond?: number; limit?: number } = {},
): Promise<Credential[]> {
  const rows = await db<CredentialRow>('credentials')
    .where({ account_id: accountId })
    .where('id', '>', beyond)
    .orderBy('id')
    .limit(Math.min(limit, 1000));
  const credentials: Credential[] = [];
  for (const row of rows) credentials.push(await credentialOf(db, row));
  return credentials;
}

/**
 * Ends a credential at once, or after a while, in which programs can change over to another.
 *
 * @throws Refused where it has ended: that would bring it back.
 */
export async function endCredential(
  db: Db,
  credential: Credential,
  { actor, afterMs = 0 }: { actor: string; afterMs?: number },
): Promise<Credential> {
  const { id, accountId } = credential;
  const now = Date.now();
  await db.transaction(async (trx) => {
    const ended = await trx('credentials')
      .where({ id })
      .where((still) => void still.whereNull('expires_at').orWhere('expires_at', '>', now))
      .update({ expires_at: now + afterMs });
    if (ended === 0) throw new Refused('ended', 'This credential has ended already.');
    const details = { credential: id, after_ms: afterMs };
    await noteChange(trx, { accountId, actor, action: 'credential.ended', details });
  });
  return getCredential(db, id);
}

/**
 * Whose key it is. Found by its hash: what an index compares tells nothing of the key itself.
 *
 * @param key as it came; anything at all.
 * @returns null for a key that the surface does not know, or that has ended, and for another login than
 *   the one that the key belongs to.
 */
export async function findCredential(
  db: Db,
  surface: string,
  key: string,
  { login, at = Date.now() }: { login?: string; at?: number } = {},
): Promise<Credential | null> {
  const row = await db<CredentialRow>('credentials')
    .where({ surface, key_hash: hashOf(key) })
    .first();
  if (row === undefined || (row.expires_at !== null && row.expires_at <= at)) return null;
  if (login !== undefined && login !== row.login) return null;
  return credentialOf(db, row);
}

export function hasEnded({ expiresAt }: Pick<Credential, 'expiresAt'>, at = Date.now()): boolean {
  return expiresAt !== null && expiresAt <= at;
}

/** @param ip null: it could not be told, and no network holds it. */
export function allowsNetwork({ networks }: Credential, ip: string | null): boolean {
  return networks.length === 0 || isWhitelisted(networks, ip);
}

export function allowsList({ accountId, listIds }: Credential, list: List): boolean {
  return list.accountId === accountId && (listIds === null || listIds.has(list.id));
}

async function credentialOf(db: Db, row: CredentialRow): Promise<Credential> {
  const listed = await db<{ credential_id: number; list_id: number }>('credential_lists')
    .where({ credential_id: row.id })
    .select('list_id');
  // What is stored has passed this check before. Where it does not any more, nobody is let in.
  const whitelist = parseIpWhitelist(row.ip_whitelist, { confirmWide: true, confirmPrivate: true });
  if (!whitelist.ok) throw new Error(`the networks of credential ${row.id} cannot be read`);
  return {
    id: row.id,
    accountId: row.account_id,
    surface: row.surface,
    name: row.name,
    login: row.login,
    role: row.role,
    rights: new Set(row.rights.split(',') as Right[]),
    networks: whitelist.networks,
    listIds: row.for_all_lists ? null : new Set(listed.map(({ list_id }) => list_id)),
    ending: row.ending,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  };
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
