import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { noteChange } from './history.js';
import type { List } from './lists.js';
import { EVERYTHING } from './opt-outs.js';

/**
 * Signed links carry a list, an address and a tag in one token, encrypted and authenticated: no address
 * stands in any URL, and nobody can make a link for somebody else.
 *
 * A token is base64url of: version (1 octet), the list's number (4), the key's number (2), a nonce (12),
 * the ciphertext, and the authentication tag (16) of AES-256-GCM; all in front of the ciphertext is
 * authenticated with it. The nonce is made from what is encrypted (as in RFC 8452's SIV), so that the
 * same link comes out each time, and a list's billions of links need no luck with random ones.
 */
const version = 1;
const headLength = 7;
const nonceLength = 12;
const tagLength = 16;
/** What the key's number has room for. */
const mostKeys = 65_535;
const longestToken = 640; // characters: 254 + 128 octets, the rest, and a third on top

export interface SignedLink {
  readonly listId: number;
  /** Normalised. */
  readonly address: string;
  readonly tag: string;
}

interface LinkKeyRow {
  list_id: number;
  number: number;
  salt: Buffer;
  created_at: number;
}

/** A key that a list's links are made with; the number is in each link. */
export interface LinkKey {
  readonly listId: number;
  readonly number: number;
  readonly encryption: Buffer;
  readonly nonces: Buffer;
}

/**
 * Makes a new key for a list's links. Links of older keys go on opening for ever: somebody may leave by
 * a mail from years ago.
 *
 * @returns the key's number.
 */
export async function rotateLinkKey(db: Db, list: List, { actor }: { actor: string }): Promise<number> {
  return db.transaction(async (trx) => {
    // One rotation at a time.
    await trx('lists').where({ id: list.id }).forUpdate().first('id');
    const newest = await trx<LinkKeyRow>('link_keys')
      .where({ list_id: list.id })
      .orderBy('number', 'desc')
      .first();
    const number = (newest?.number ?? 0) + 1;
    if (number > mostKeys) throw new Invalid('list', 'too-many', `a list has at most ${mostKeys} link keys`);
    await trx('link_keys').insert({
      list_id: list.id,
      number,
      salt: randomBytes(16),
      created_at: Date.now(),
    });
    await noteChange(trx, {
      accountId: list.accountId,
      listId: list.id,
      actor,
      action: 'link-key.rotated',
      details: { number },
    });
    return number;
  });
}

/** The key that a list's new links are made with; the first one is made here. */
export async function newestLinkKey(db: Db, secret: string, list: List): Promise<LinkKey> {
  const newest = await db<LinkKeyRow>('link_keys')
    .where({ list_id: list.id })
    .orderBy('number', 'desc')
    .first();
  if (newest !== undefined) return linkKeyOf(secret, newest);
  await rotateLinkKey(db, list, { actor: 'system' });
  return newestLinkKey(db, secret, list);
}

/** @returns null for a key that there never was. */
export async function findLinkKey(
  db: Db,
  secret: string,
  listId: number,
  number: number,
): Promise<LinkKey | null> {
  const row = await db<LinkKeyRow>('link_keys').where({ list_id: listId, number }).first();
  return row === undefined ? null : linkKeyOf(secret, row);
}

/** The token of one address. Takes no database: a million are made in a few seconds. */
export function mintToken(key: LinkKey, address: string, tag: string = EVERYTHING): string {
  const head = Buffer.alloc(headLength);
  head.writeUInt8(version, 0);
  head.writeUInt32BE(key.listId, 1);
  head.writeUInt16BE(key.number, 5);
  const message = Buffer.from(tag === EVERYTHING ? address : `${address}\n${tag}`);
  const nonce = createHmac('sha256', key.nonces).update(message).digest().subarray(0, nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key.encryption, nonce).setAAD(head);
  const parts = [head, nonce, cipher.update(message), cipher.final(), cipher.getAuthTag()];
  return Buffer.concat(parts).toString('base64url');
}

/** What a token says of the key it was made with; null for what cannot be one. Proves nothing yet. */
export function keyOfToken(token: string): { listId: number; number: number } | null {
  const octets = octetsOf(token);
  return octets === null ? null : { listId: octets.readUInt32BE(1), number: octets.readUInt16BE(5) };
}

/** @returns null for a token that this key has not made, changed by as little as a bit. */
export function openToken(key: LinkKey, token: string): SignedLink | null {
  const octets = octetsOf(token);
  if (octets === null) return null;
  const head = octets.subarray(0, headLength);
  const nonce = octets.subarray(headLength, headLength + nonceLength);
  const decipher = createDecipheriv('aes-256-gcm', key.encryption, nonce, { authTagLength: tagLength })
    .setAAD(head)
    .setAuthTag(octets.subarray(-tagLength));
  let message: string;
  try {
    const ciphertext = octets.subarray(headLength + nonceLength, -tagLength);
    message = Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString();
  } catch {
    return null;
  }
  const [address = '', tag = EVERYTHING] = message.split('\n');
  return { listId: key.listId, address, tag };
}

/** Base64url has spare bits at its end: what does not print the same again was tampered with. */
function octetsOf(token: string): Buffer | null {
  if (token.length > longestToken || !/^[A-Za-z0-9_-]+$/.test(token)) return null;
  const octets = Buffer.from(token, 'base64url');
  const isWhole = octets.length > headLength + nonceLength + tagLength && octets[0] === version;
  return isWhole && octets.toString('base64url') === token ? octets : null;
}

/** The salt is the list's own, in the database; the secret is not: neither alone makes a link. */
function linkKeyOf(secret: string, { list_id, number, salt }: LinkKeyRow): LinkKey {
  const derived = Buffer.from(
    hkdfSync('sha256', secret, salt, `signoff: signed links, ${list_id}, ${number}`, 64),
  );
  return { listId: list_id, number, encryption: derived.subarray(0, 32), nonces: derived.subarray(32) };
}
