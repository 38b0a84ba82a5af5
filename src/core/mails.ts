import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { parseAddress } from './address.js';
import type { MailSettings } from './mail-server.js';
import { seal, sealingKey, unseal } from './sealed.js';
import { shortened } from './text.js';

/**
 * Mails that the installation sends to its users: sealed while they wait, since they may hold a link that is good
 * for once, and gone once they are sent or given up. The keeper sends them (keeper/mail-sweep.ts).
 */
export interface Mail {
  /** One address. */
  readonly to: string;
  readonly subject: string;
  /** Plain text, its lines as long as they come. */
  readonly text: string;
}

const dayMs = 24 * 3_600_000;

/** More than this many wait only where the server has been away for long, or somebody has them made. */
export const mostWaiting = 10_000;

/** UTF-16 units, and octets. */
const longestText = 50_000;
const longestSubject = 200;

/** How long after the first, second, … try that failed the next one is made: milliseconds. None after the last. */
const pausesMs = [60_000, 5 * 60_000, 15 * 60_000, 3_600_000, 3 * 3_600_000, 6 * 3_600_000];
export const mostTries = pausesMs.length + 1;
/** Of the last one, which a process may die with. */
const lastMs = 60_000;

interface MailRow {
  id: number;
  sealed: Buffer;
  created_at: number;
  tries: number;
  due_at: number;
  expires_at: number;
}

/** Whether mails are sent at all: SMTP_URL is set. Where they are not, do not queue any. */
export function canSendMail(config: { readonly mail: MailSettings | null }): boolean {
  return config.mail !== null;
}

/**
 * Puts a mail into the queue; belongs in the transaction that is the reason for it. It is sent within seconds, or
 * tried again with growing pauses.
 *
 * @param secret the installation's.
 * @param options.forMs how long it is worth sending: as long as a link in it is good, a day at most.
 * @returns false where so many wait already that it was not taken.
 * @throws Invalid for what is no address.
 */
export async function queueMail(
  trx: Db,
  secret: string,
  { to, subject, text }: Mail,
  { forMs = dayMs, now = Date.now() }: { forMs?: number; now?: number } = {},
): Promise<boolean> {
  const parsed = parseAddress(to);
  if (!parsed.ok) throw new Invalid('to', parsed.problem, 'to must be an address');
  const last: unknown = await trx('mails')
    .orderBy('id')
    .offset(mostWaiting - 1)
    .first('id');
  if (last !== undefined) return false;
  const mail: Mail = {
    to: parsed.address.given,
    subject: shortened(subject, longestSubject),
    text: text.replace(/\r\n?/g, '\n').slice(0, longestText),
  };
  await trx('mails').insert({
    sealed: seal(keyOf(secret), Buffer.from(JSON.stringify(mail))),
    created_at: now,
    due_at: now,
    expires_at: now + Math.min(forMs, dayMs),
  });
  return true;
}

/** A mail that is ours to send: nobody else tries it before its next pause is over. */
export interface ClaimedMail {
  readonly id: number;
  /** With this one. */
  readonly tries: number;
  readonly mail: Mail;
}

/** Why a mail was not sent. */
export type GivenUp = 'too-late' | 'too-many-tries' | 'unreadable';

/**
 * The next mail that is due. A process that dies with it has it tried again: rather twice than not at all.
 *
 * @returns null where none is due; `again` where another one was quicker, or the mail was given up, which
 *   `onGivenUp` is told.
 */
export async function claimMail(
  db: Db,
  secret: string,
  now: number,
  onGivenUp: (id: number, why: GivenUp) => void,
): Promise<ClaimedMail | 'again' | null> {
  const row = await db<MailRow>('mails').where('due_at', '<=', now).orderBy('due_at').first();
  if (row === undefined) return null;
  const { id, tries } = row;
  const opened = unseal(keyOf(secret), row.sealed);
  const why = row.expires_at <= now ? 'too-late' : tries >= mostTries ? 'too-many-tries' : null;
  if (why !== null || opened === null) {
    await forgetMail(db, id);
    onGivenUp(id, why ?? 'unreadable');
    return 'again';
  }
  const taken = await db<MailRow>('mails')
    .where({ id, tries })
    .update({ tries: tries + 1, due_at: now + (pausesMs[tries] ?? lastMs) });
  if (taken === 0) return 'again';
  return { id, tries: tries + 1, mail: JSON.parse(opened.toString()) as Mail };
}

/** It was sent, or never will be. */
export async function forgetMail(db: Db, id: number): Promise<void> {
  await db('mails').where({ id }).delete();
}

/** Rows a call. */
const rowsAtOnce = 500;

/**
 * For where no mail is sent any more: deletes what is not worth sending.
 *
 * @returns whether there may be more to do at once.
 */
export async function forgetLateMails(db: Db, now: number): Promise<boolean> {
  const ids = (await db('mails')
    .where('due_at', '<=', now - dayMs)
    .orderBy('due_at')
    .limit(rowsAtOnce)
    .pluck('id')) as number[];
  if (ids.length > 0) await db('mails').whereIn('id', ids).delete();
  return ids.length === rowsAtOnce;
}

function keyOf(secret: string): Buffer {
  return sealingKey(secret, 'mail that waits to be sent');
}
