import { createHash, randomBytes } from 'node:crypto';
import type { Db } from '../db/connect.js';
import { noteChange } from './history.js';
import type { List } from './lists.js';
import { mailerOf, type Mailer } from './mailers.js';

/** A mailer's key as it is shown, once: 32 random octets behind a prefix that secret scanners can know. */
const keyPattern = /^so_[A-Za-z0-9_-]{43}$/;

/**
 * Gives a mailer a new access key. The older ones go on for `overlapMs`, so that nothing stops while the
 * mailer changes over.
 *
 * @returns the key; it is kept hashed, and cannot be shown again.
 */
export async function rotateAccessKey(
  db: Db,
  mailer: Mailer,
  { actor, overlapMs }: { actor: string; overlapMs: number },
): Promise<string> {
  const key = `so_${randomBytes(32).toString('base64url')}`;
  const now = Date.now();
  await db.transaction(async (trx) => {
    await trx('access_keys')
      .where({ mailer_id: mailer.id })
      .where((still) => void still.whereNull('expires_at').orWhere('expires_at', '>', now + overlapMs))
      .update({ expires_at: now + overlapMs });
    await trx('access_keys').insert({
      mailer_id: mailer.id,
      key_hash: hashOf(key),
      ending: key.slice(-4),
      created_at: now,
      expires_at: null,
    });
    await noteChange(trx, {
      accountId: mailer.accountId,
      actor,
      action: 'access-key.rotated',
      details: { mailer: mailer.id, overlap_ms: overlapMs },
    });
  });
  return key;
}

/**
 * Ends all keys of a mailer at once, or one of them.
 *
 * @param only the one; all where it is not given.
 * @returns how many were valid until now; 0 where `only` was none of them.
 */
export async function revokeAccessKeys(
  db: Db,
  mailer: Mailer,
  { actor, only }: { actor: string; only?: AccessKey },
): Promise<number> {
  const now = Date.now();
  return db.transaction(async (trx) => {
    const ended = await trx('access_keys')
      .where({ mailer_id: mailer.id, ...(only === undefined ? {} : { id: only.id }) })
      .where((still) => void still.whereNull('expires_at').orWhere('expires_at', '>', now))
      .update({ expires_at: now });
    await noteChange(trx, {
      accountId: mailer.accountId,
      actor,
      action: 'access-key.revoked',
      details: { mailer: mailer.id, keys: ended, ...(only === undefined ? {} : { ending: only.ending }) },
    });
    return ended;
  });
}

/** A key as it can be told from others: never the key itself. */
export interface AccessKey {
  readonly id: number;
  /** Its last characters. */
  readonly ending: string;
  readonly createdAt: number;
  /** Null: until it is rotated or revoked. */
  readonly expiresAt: number | null;
}

interface KeyRow {
  id: number;
  mailer_id: number;
  ending: string;
  created_at: number;
  expires_at: number | null;
}

/** The keys with which a mailer can download now, newest first; at most 100. */
export async function accessKeysOf(db: Db, mailer: Mailer): Promise<AccessKey[]> {
  const rows = await db<KeyRow>('access_keys')
    .where({ mailer_id: mailer.id })
    .where((still) => void still.whereNull('expires_at').orWhere('expires_at', '>', Date.now()))
    .orderBy([
      { column: 'created_at', order: 'desc' },
      { column: 'id', order: 'desc' },
    ])
    .limit(100)
    .select('id', 'ending', 'created_at', 'expires_at');
  return rows.map((row) => ({
    id: row.id,
    ending: row.ending,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }));
}

/**
 * The mailer behind a key, where the key is valid and its mailer has been granted this list. Found by
 * the key's hash: what an index compares tells nothing of the key itself.
 *
 * @returns null for a key that is malformed, unknown, expired, or of a mailer without this grant.
 */
export async function findKeyHolder(
  db: Db,
  list: List,
  key: string,
): Promise<{ mailer: Mailer; accessKeyId: number } | null> {
  if (!keyPattern.test(key)) return null;
  type Holder = Parameters<typeof mailerOf>[0] & { access_key_id: number };
  const row: Holder | undefined = await db('access_keys')
    .join('mailers', 'mailers.id', 'access_keys.mailer_id')
    .join('grants', 'grants.mailer_id', 'mailers.id')
    .where({ 'access_keys.key_hash': hashOf(key), 'grants.list_id': list.id })
    .where({ 'mailers.account_id': list.accountId })
    .where((still) => {
      void still.whereNull('access_keys.expires_at').orWhere('access_keys.expires_at', '>', Date.now());
    })
    .first('mailers.*', 'access_keys.id as access_key_id');
  return row === undefined ? null : { mailer: mailerOf(row), accessKeyId: row.access_key_id };
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
