import { createHmac, randomInt } from 'node:crypto';
import type { Db } from '../db/connect.js';
import { sealingKey } from './sealed.js';
import type { User } from './users.js';

/** Of one user at a time. */
export const recoveryCodes = 8;

/** Without those that are taken for each other: 1 l i, 0 o, u v. */
const letters = 'abcdefghjkmnpqrstwxyz23456789';
/** Of a code: some 48 bits, which only the sign-in's limits and the key stand before. */
const length = 10;

/**
 * For whoever has lost the telephone: each opens once, in place of a code. Those of before are gone.
 *
 * @returns the codes, which are kept hashed and cannot be told again.
 */
export async function createRecoveryCodes(trx: Db, secret: string, user: User): Promise<string[]> {
  const codes = Array.from({ length: recoveryCodes }, newCode);
  const now = Date.now();
  await forgetRecoveryCodes(trx, user);
  await trx('recovery_codes').insert(
    codes.map((code) => ({ user_id: user.id, code_hash: hashOf(secret, user, code), created_at: now })),
  );
  return codes;
}

/** Part of the transaction that it lets something be done in. @returns whether it was one: of two at once, one. */
export async function takeRecoveryCode(trx: Db, secret: string, user: User, code: string): Promise<boolean> {
  const taken = await trx('recovery_codes')
    .where({ user_id: user.id, code_hash: hashOf(secret, user, code) })
    .delete();
  return taken > 0;
}

export async function forgetRecoveryCodes(trx: Db, { id }: User): Promise<void> {
  await trx('recovery_codes').where({ user_id: id }).delete();
}

export async function countRecoveryCodes(db: Db, { id }: User): Promise<number> {
  const rows = await db('recovery_codes').where({ user_id: id }).limit(100).select('created_at');
  return rows.length;
}

function newCode(): string {
  const code = Array.from({ length }, () => letters.charAt(randomInt(letters.length))).join('');
  return `${code.slice(0, 5)}-${code.slice(5)}`;
}

/** With the installation's secret: whoever reads the table alone cannot try them all. */
function hashOf(secret: string, { id }: User, code: string): Buffer {
  const key = sealingKey(secret, 'recovery codes of a user', String(id));
  return createHmac('sha256', key)
    .update(
      code
        .toLowerCase()
        .replace(/[^a-z0-9]/g, '')
        .slice(0, 100),
    )
    .digest();
}
