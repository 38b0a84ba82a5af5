import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { Db } from '../db/connect.js';
import { md5Of } from './address.js';
import { noteChange } from './history.js';
import type { List } from './lists.js';
import { LIVE, type OptOut } from './opt-outs.js';

/** Why somebody leaves; the four answers that SendCloud's unsubscribeType knows as 0 to 3. */
export const reasons = ['unwanted', 'never-signed-up', 'spam', 'fraud'] as const;
export type Reason = (typeof reasons)[number];

/** How long an opt-out can be taken back by whoever made it: milliseconds. */
export const undoMs = 30 * 60_000;

/** What one request recorded: enough to find it again, and to take back nothing else. */
export interface Receipt {
  readonly listId: number;
  readonly addressKey: Buffer;
  readonly tag: string;
  /** 8 random octets, kept with the row that the request made. */
  readonly number: Buffer;
  readonly at: number;
}

export function newReceiptNumber(): Buffer {
  return randomBytes(8);
}

export function receiptOf(optOut: OptOut, number: Buffer): Receipt {
  return {
    listId: optOut.listId,
    addressKey: md5Of(optOut.address.normalised),
    tag: optOut.tag,
    number,
    at: optOut.recordedAt,
  };
}

// Crockford's base32: no I, L, O or U, so that it survives being read out and written down.
const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** As people see it: `0K7Q-F3M2-P9XW-D`. */
export function receiptText(number: Buffer): string {
  let value = number.readBigUInt64BE();
  let text = '';
  for (let i = 0; i < 13; i++, value >>= 5n) text = (digits[Number(value & 31n)] ?? '') + text;
  return text.replace(/(.{4})(?=.)/g, '$1-');
}

const headLength = 4 + 8 + 8 + 16;

/**
 * A receipt as the thank-you page's forms carry it: encrypted and authenticated (AES-256-GCM, random
 * nonce), since the page keeps no session and sets no cookie.
 */
export function sealReceipt(secret: string, receipt: Receipt): string {
  const message = Buffer.alloc(headLength);
  message.writeUInt32BE(receipt.listId, 0);
  receipt.number.copy(message, 4);
  message.writeBigUInt64BE(BigInt(receipt.at), 12);
  receipt.addressKey.copy(message, 20);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), nonce);
  const parts = [
    nonce,
    cipher.update(Buffer.concat([message, Buffer.from(receipt.tag)])),
    cipher.final(),
    cipher.getAuthTag(),
  ];
  return Buffer.concat(parts).toString('base64url');
}

/** @returns null for a text that we have not sealed, and 30 minutes after the opt-out. */
export function openReceipt(secret: string, text: string, now = Date.now()): Receipt | null {
  if (text.length > 512 || !/^[A-Za-z0-9_-]+$/.test(text)) return null;
  const octets = Buffer.from(text, 'base64url');
  if (octets.length < 12 + headLength + 1 + 16) return null;
  const decipher = createDecipheriv('aes-256-gcm', keyOf(secret), octets.subarray(0, 12), {
    authTagLength: 16,
  });
  decipher.setAuthTag(octets.subarray(-16));
  let message: Buffer;
  try {
    message = Buffer.concat([decipher.update(octets.subarray(12, -16)), decipher.final()]);
  } catch {
    return null;
  }
  const at = Number(message.readBigUInt64BE(12));
  if (now > at + undoMs) return null;
  return {
    listId: message.readUInt32BE(0),
    number: message.subarray(4, 12),
    at,
    addressKey: message.subarray(20, headLength),
    tag: message.subarray(headLength).toString(),
  };
}

/**
 * Takes back exactly what one request recorded. A row that stood before, or that was recorded again
 * since, stays: that was somebody else's opt-out, or a later one.
 *
 * @returns whether anything was taken back; whoever asked is never told.
 */
export async function undoOptOut(db: Db, list: List, receipt: Receipt, at = Date.now()): Promise<boolean> {
  if (receipt.listId !== list.id) return false;
  return db.transaction(async (trx) => {
    const undone = await rowOf(trx, receipt)
      .where({ repeats: 0 })
      // An import that comes again moves this alone.
      .whereRaw('last_at = recorded_at')
      .whereRaw(LIVE, [at])
      .update({ removed_at: at, feed_number: null });
    if (undone > 0) {
      await noteChange(trx, {
        accountId: list.accountId,
        listId: list.id,
        actor: 'recipient',
        action: 'opt-out.undone',
        subject: receipt.addressKey,
      });
    }
    return undone > 0;
  });
}

/** Keeps the answer of a recipient who was asked why; the last answer counts. */
export async function noteReason(db: Db, list: List, receipt: Receipt, reason: Reason): Promise<void> {
  if (receipt.listId === list.id) await rowOf(db, receipt).update({ reason: Buffer.from(reason) });
}

function rowOf(db: Db, { listId, addressKey, tag, number }: Receipt) {
  return db('opt_outs').where({
    list_id: listId,
    address_key: addressKey,
    tag: Buffer.from(tag),
    receipt: number,
  });
}

let lastKey: { readonly secret: string; readonly key: Buffer } | null = null;

/** An installation has one secret: its key is derived once. */
function keyOf(secret: string): Buffer {
  if (lastKey?.secret !== secret) {
    lastKey = { secret, key: Buffer.from(hkdfSync('sha256', secret, '', 'signoff: receipts', 32)) };
  }
  return lastKey.key;
}
