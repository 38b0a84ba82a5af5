import { Secret, TOTP } from 'otpauth';
import type { Db } from '../db/connect.js';
import { Invalid, Refused } from '../errors.js';
import { createRecoveryCodes, forgetRecoveryCodes, takeRecoveryCode } from './recovery-codes.js';
import { seal, sealingKey, unseal } from './sealed.js';
import { signOutEverywhere } from './user-passwords.js';
import { actorOf, noteOfUser, userOf, type User, type UserRow } from './users.js';
import { forgetWrongCodes } from './wrong-codes.js';

/** Of a code's time: seconds, as all programs have it (RFC 6238). */
const period = 30;
/** How many steps the clock of a telephone may be off, to either side. */
const tolerance = 1;

const codePattern = /^\d{6}$/;

/** A secret that is shown to its user and not yet in use. */
export interface NewSecret {
  /** Base32, as programs take it where they cannot scan. */
  readonly secret: string;
  /** `otpauth://…`, for the QR code. */
  readonly uri: string;
}

export function newSecret(user: User): NewSecret {
  return secretOf(user, new Secret({ size: 20 }).base32);
}

/** The same of a secret that was shown before. */
export function secretOf(user: User, secret: string): NewSecret {
  const totp = totpOf(user, secret);
  return { secret, uri: totp.toString() };
}

/**
 * Asks for codes from now on.
 *
 * @param code of the new secret, so that nobody locks himself out with one that was not scanned.
 * @returns recovery codes, which cannot be told again.
 * @throws Invalid `wrong` for the code.
 */
export async function switchOnCodes(
  db: Db,
  installationSecret: string,
  user: User,
  { secret, code }: { secret: string; code: string },
  { actor, now = Date.now() }: { actor: string; now?: number },
): Promise<string[]> {
  const step = stepOf(user, checkBase32(secret), code, now);
  if (step === null) throw wrongCode();
  const sealed = seal(keyFor(installationSecret, user), Buffer.from(secret));
  return db.transaction(async (trx) => {
    await trx('users').where({ id: user.id }).update({ totp_secret: sealed, totp_step: step });
    await noteOfUser(trx, user, actor, 'user.codes-on');
    return createRecoveryCodes(trx, installationSecret, user);
  });
}

/** Asks for none any more; recovery codes are gone with them. */
export async function switchOffCodes(db: Db, user: User, { actor }: { actor: string }): Promise<void> {
  await db.transaction(async (trx) => {
    await trx('users').where({ id: user.id }).update({ totp_secret: null, totp_step: 0 });
    await forgetRecoveryCodes(trx, user);
    await forgetWrongCodes(trx, user);
    await noteOfUser(trx, user, actor, 'user.codes-off');
  });
}

/**
 * The same for somebody who has lost the telephone, by somebody else: who was signed in as that user is so no more,
 * and links that were sent do not open any more.
 *
 * @param options.by who does it, where that is a user.
 * @throws Refused `own-codes`, `is-ended` or `codes-not-on`.
 */
export async function takeCodesOff(
  db: Db,
  { id }: User,
  { actor, by = null }: { actor: string; by?: User | null },
): Promise<User> {
  // With the password alone, where the own profile asks for a code as well.
  if (by?.id === id) throw new Refused('own-codes', 'Your own codes are switched off in your profile.');
  return db.transaction(async (trx) => {
    const row = await trx<UserRow>('users').where({ id }).forUpdate().first();
    if (row?.ended_at !== null) throw new Refused('is-ended', 'This user was ended: revive it first.');
    if (row.totp_secret === null) throw new Refused('codes-not-on', 'This user is asked for no codes.');
    const user = userOf(row);
    await switchOffCodes(trx, user, { actor });
    await signOutEverywhere(trx, user);
    return { ...user, hasOneTimeCodes: false };
  });
}

/**
 * Takes a code, or a recovery code in its place: each opens once (RFC 6238, section 5.2), also where two come at
 * the same time. Part of the transaction that it lets something be done in.
 *
 * @throws Invalid `wrong`.
 */
export async function takeCode(
  trx: Db,
  installationSecret: string,
  user: User,
  code: string,
  now = Date.now(),
): Promise<void> {
  const row = await trx<UserRow>('users').where({ id: user.id }).first('totp_secret');
  if (row?.totp_secret == null) throw wrongCode();
  if (!codePattern.test(plainOf(code))) {
    if (!(await takeRecoveryCode(trx, installationSecret, user, code))) throw wrongCode();
    await noteOfUser(trx, user, actorOf(user), 'user.recovery-code-used');
    return;
  }
  const secret = unseal(keyFor(installationSecret, user), row.totp_secret);
  const step = secret === null ? null : stepOf(user, secret.toString(), code, now);
  if (step === null) throw wrongCode();
  const taken = await trx('users')
    .where({ id: user.id })
    .where('totp_step', '<', step)
    .update({ totp_step: step });
  if (taken === 0) throw wrongCode();
}

/** @returns the time step whose code it is; null where it is of none that counts now. */
function stepOf(user: User, secret: string, code: string, now: number): number | null {
  const token = plainOf(code);
  if (!codePattern.test(token)) return null;
  const delta = totpOf(user, secret).validate({ token, timestamp: now, window: tolerance });
  return delta === null ? null : Math.floor(now / 1000 / period) + delta;
}

/** As programs show it: `123 456`; typed on a Japanese keyboard, in wide digits. */
function plainOf(code: string): string {
  return code.normalize('NFKC').replace(/[\s-]/g, '');
}

function totpOf(user: User, secret: string): TOTP {
  return new TOTP({ issuer: 'Signoff', label: user.email, period, secret: Secret.fromBase32(secret) });
}

function checkBase32(secret: string): string {
  if (/^[A-Z2-7]{32}$/.test(secret)) return secret;
  throw new Invalid('secret', 'malformed', 'secret is not one that was shown');
}

function wrongCode(): Invalid {
  return new Invalid('code', 'wrong', 'code is not the one that counts now');
}

/** Of the user: a secret that was copied from another one does not open. */
function keyFor(installationSecret: string, { id }: User): Buffer {
  return sealingKey(installationSecret, 'one-time codes of a user', String(id));
}
