import type { Db } from '../db/connect.js';
import { Invalid, NotFound, Refused } from '../errors.js';
import type { Account } from './accounts.js';
import { noteChange } from './history.js';
import { seal, sealingKey, unseal } from './sealed.js';
import { checkText } from './text.js';
import { checkTimeZone, isTimeZone } from './time-zone.js';

/** How ZIP files are encrypted. ZipCrypto can be broken in minutes: only for programs that open nothing else. */
export const zipCiphers = ['aes-256', 'zipcrypto'] as const;
export type ZipCipher = (typeof zipCiphers)[number];

/** What is set for all lists of an account. */
export interface AccountSettings {
  /** A name of the IANA database; null: each API's own. */
  readonly timeZone: string | null;
  readonly zipCipher: ZipCipher;
  /** The password itself is shown to nobody. */
  readonly hasZipPassword: boolean;
}

export interface AccountEdits {
  readonly name?: string;
  /** Null: each API's own. */
  readonly timeZone?: string | null;
  readonly zipCipher?: string;
  /** Null: ZIP files are not encrypted any more. */
  readonly zipPassword?: string | null;
}

/** How an account's ZIP files are encrypted. */
export interface ZipEncryption {
  readonly password: string;
  readonly cipher: ZipCipher;
}

/** Of a ZIP password: characters. */
const shortest = 8;
const longest = 128;
/** What sealing adds: a nonce and an authentication tag. */
const sealOctets = 28;

interface SettingsRow {
  id: number;
  time_zone: string | null;
  zip_password: Buffer | null;
  zip_cipher: ZipCipher;
}

/** @throws NotFound */
export async function getAccountSettings(db: Db, accountId: number): Promise<AccountSettings> {
  const row = await getRow(db, accountId);
  return {
    timeZone: row.time_zone,
    zipCipher: row.zip_cipher,
    hasZipPassword: row.zip_password !== null,
  };
}

/**
 * Changes what is given; the history notes what was changed, and never a password.
 *
 * @param secret the installation's, under which a password is kept.
 * @throws Invalid naming what does not pass.
 */
export async function editAccount(
  db: Db,
  secret: string,
  account: Account,
  edits: AccountEdits,
  { actor }: { actor: string },
): Promise<AccountSettings> {
  const { name, timeZone, zipCipher, zipPassword } = edits;
  const columns = {
    ...(name === undefined ? {} : { name: checkText('name', name, { max: 200 }) }),
    ...(timeZone === undefined
      ? {}
      : { time_zone: timeZone === null ? null : checkTimeZone('timeZone', timeZone) }),
    ...(zipCipher === undefined ? {} : { zip_cipher: checkZipCipher(zipCipher) }),
    ...(zipPassword === undefined ? {} : { zip_password: sealed(secret, account.id, zipPassword) }),
  };
  if (Object.keys(columns).length > 0) {
    await db.transaction(async (trx) => {
      await trx('accounts').where({ id: account.id }).update(columns);
      const details = {
        ...(columns.name === undefined ? {} : { name: columns.name }),
        ...(columns.time_zone === undefined ? {} : { time_zone: columns.time_zone }),
        ...(columns.zip_cipher === undefined ? {} : { zip_cipher: columns.zip_cipher }),
        ...(zipPassword === undefined ? {} : { zip_password: zipPassword === null ? 'cleared' : 'set' }),
      };
      await noteChange(trx, { accountId: account.id, actor, action: 'account.edited', details });
    });
  }
  return getAccountSettings(db, account.id);
}

/**
 * @returns null where no password is set.
 * @throws Refused where one is set and cannot be read: nothing may go out without it then.
 */
export async function getZipEncryption(
  db: Db,
  secret: string,
  accountId: number,
): Promise<ZipEncryption | null> {
  const { zip_password, zip_cipher } = await getRow(db, accountId);
  if (zip_password === null) return null;
  const password = unseal(keyFor(secret, accountId), zip_password);
  if (password === null) {
    throw new Refused(
      'zip-password',
      'The ZIP password of this account cannot be read, and nothing is sent without it. Whoever runs the account has to set it again.',
    );
  }
  return { password: password.toString(), cipher: zip_cipher };
}

/** For the audit: what is wrong with the settings of an account, as they are stored. */
export function* settingsFaultsOf(row: {
  readonly time_zone: unknown;
  readonly zip_password: unknown;
  readonly zip_cipher: unknown;
}): Generator<string> {
  if (row.time_zone !== null && !isTimeZone(row.time_zone)) yield 'time_zone is no time zone';
  if (!zipCiphers.some((one) => one === row.zip_cipher)) yield 'zip_cipher is none of those that there are';
  const password = row.zip_password;
  const isSealed =
    Buffer.isBuffer(password) &&
    password.length >= shortest + sealOctets &&
    password.length <= longest + sealOctets;
  if (password !== null && !isSealed) yield 'zip_password is no password that was sealed';
}

function checkZipCipher(text: string): ZipCipher {
  const cipher = zipCiphers.find((one) => one === text);
  if (cipher !== undefined) return cipher;
  throw new Invalid('zipCipher', 'unknown', `zipCipher must be one of ${zipCiphers.join(', ')}`);
}

function sealed(secret: string, accountId: number, password: string | null): Buffer | null {
  return password === null ? null : seal(keyFor(secret, accountId), Buffer.from(checkZipPassword(password)));
}

/**
 * ASCII alone: a ZIP file does not say in what encoding its password is, and programs differ there.
 *
 * @throws Invalid `length` or `malformed`, for the field `zipPassword`.
 */
export function checkZipPassword(password: string): string {
  if (password.length < shortest || password.length > longest) {
    const what = `${shortest} to ${longest} characters`;
    throw new Invalid('zipPassword', 'length', `zipPassword must be ${what} long`);
  }
  if (!/^[\x20-\x7e]+$/.test(password) || password !== password.trim()) {
    const what = 'printable ASCII characters, without spaces at its ends';
    throw new Invalid('zipPassword', 'malformed', `zipPassword must be of ${what}`);
  }
  return password;
}

/** Of the account: a password that was copied from another one does not open. */
function keyFor(secret: string, accountId: number): Buffer {
  return sealingKey(secret, 'ZIP password of an account', String(accountId));
}

async function getRow(db: Db, id: number): Promise<SettingsRow> {
  const row = await db<SettingsRow>('accounts')
    .where({ id })
    .first('id', 'time_zone', 'zip_password', 'zip_cipher');
  if (row === undefined) throw new NotFound(`There is no account ${id}.`);
  return row;
}
