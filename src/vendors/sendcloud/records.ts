import { createHash } from 'node:crypto';
import { EVERYTHING, type OptOutRecord } from '../../core/opt-outs.js';
import { typeOf } from './answers.js';
import { farFuture, timeText } from './times.js';

/** An opt-out in SendCloud's words: a tag is a label there. */
export function recordOf(row: OptOutRecord, apiUser: string) {
  const email = row.address?.toString() ?? '';
  const tag = row.tag.toString();
  const label = tag === EVERYTHING ? '' : tag;
  return {
    email,
    domain: email.slice(email.lastIndexOf('@') + 1),
    labelId: labelIdOf(label),
    labelName: label,
    apiUser,
    unsubscribeTime: timeText(row.created_at),
    expireTime: timeText(row.expires_at ?? farFuture),
    ...typeOf(row.reason?.toString() ?? null),
  };
}

/**
 * SendCloud numbers its labels; ours have names alone, so a label's number is made of its name: from 1 to
 * 2^31 - 1, the same everywhere. 0 is no label.
 */
export function labelIdOf(label: string): number {
  if (label === '') return 0;
  return createHash('sha256').update(label).digest().readUInt32BE(0) & 0x7fffffff || 1;
}
