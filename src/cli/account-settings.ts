import { Option, type Command } from 'commander';
import {
  editAccount,
  getAccountSettings,
  zipCiphers,
  type AccountEdits,
  type AccountSettings,
} from '../core/account-settings.js';
import { getAccount, type Account } from '../core/accounts.js';
import type { Db } from '../db/connect.js';
import { accountId } from './arguments.js';
import { firstLineOf } from './first-line.js';
import { checkedSecret } from './links-session.js';
import { facts, print, printJson, timeOf, warn } from './output.js';
import { actor, changing, reading, withSession } from './session.js';

interface EditOptions {
  readonly account?: number;
  readonly name?: string;
  /** False: taken away. */
  readonly timeZone?: string | false;
  readonly zipPassword?: false;
  readonly zipPasswordFile?: string;
  readonly zipCipher?: string;
  readonly json?: true;
}

type Choose = (db: Db, id: number | undefined) => Promise<Account>;

/** `account show` and `account edit`. */
export function addAccountSettings(account: Command, chosen: Choose): void {
  addShow(account, chosen);
  addEdit(account, chosen);
}

function addShow(account: Command, chosen: Choose): void {
  account
    .command('show')
    .summary("show an account's settings")
    .description('Shows the settings of an account, and whether it has a ZIP password: never the password.')
    .option('--account <id>', 'which; not needed where there is only one', accountId)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff account show')
    .action((options: { account?: number; json?: true }) =>
      withSession(async (session) => {
        const { one, settings } = await reading(session, async (db) => {
          const found = await chosen(db, options.account);
          return { one: found, settings: await getAccountSettings(db, found.id) };
        });
        if (options.json) return printJson(shown(one, settings));
        print(
          facts([
            ['Account', String(one.id)],
            ['Name', one.name],
            ['Created', timeOf(one.createdAt) ?? ''],
            ['Time zone', settings.timeZone ?? "each API's own"],
            ['ZIP files', settings.hasZipPassword ? `encrypted, ${settings.zipCipher}` : 'not encrypted'],
          ]),
        );
      }),
    );
}

function addEdit(account: Command, chosen: Choose): void {
  account
    .command('edit')
    .summary("change an account's name, its time zone, and how its ZIP files are encrypted")
    .description(
      'Changes the settings that are given. A ZIP password is read from a file, or from standard input, since ' +
        "other users of the machine can read a command's arguments; it is kept encrypted, under the secret of " +
        'the installation.',
    )
    .option('--account <id>', 'which; not needed where there is only one', accountId)
    .option('--name <name>', 'what the business is called')
    .option('--time-zone <zone>', 'of the times that APIs tell, such as Asia/Tokyo')
    .option('--no-time-zone', "each API's own again")
    .option(
      '--zip-password-file <file>',
      'encrypt ZIP files with the first line of this file (- for standard input)',
    )
    .option('--no-zip-password', 'encrypt them no more')
    .addOption(
      new Option('--zip-cipher <cipher>', 'zipcrypto only for programs that open nothing else').choices(
        zipCiphers,
      ),
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff account edit --time-zone Europe/Berlin
  $ signoff account edit --zip-password-file zip-password.txt
  $ pass show acme/zip | signoff account edit --zip-password-file -`,
    )
    .action((options: EditOptions, command: Command) => {
      // Commander has `true` for what could be taken away and is not.
      const isCleared = options.zipPassword === false;
      if (isCleared && options.zipPasswordFile !== undefined) {
        command.error('error: give --zip-password-file or --no-zip-password, not both');
      }
      const edits = editsOf(options, isCleared);
      if (Object.keys(edits).length === 0) {
        command.error('error: there is nothing to change: give at least one setting');
      }
      return withSession(async (session) => {
        const secret = await checkedSecret(session);
        const { one, settings } = await changing(session, async (db) => {
          const found = await chosen(db, options.account);
          const settings = await editAccount(db, secret, found, edits, { actor });
          return { one: await getAccount(db, found.id), settings };
        });
        if (edits.zipCipher === 'zipcrypto') {
          warn(
            'ZipCrypto is weak: who knows some of what a file holds can open it within minutes. Change to aes-256 as soon as the programs can.',
          );
        }
        if (options.json) printJson(shown(one, settings));
        else print(`Account ${one.id}, ${one.name}: saved.`);
      });
    });
}

function editsOf(
  { name, timeZone, zipPasswordFile, zipCipher }: EditOptions,
  isCleared: boolean,
): AccountEdits {
  return {
    ...(name === undefined ? {} : { name }),
    ...(timeZone === undefined ? {} : { timeZone: timeZone === false ? null : timeZone }),
    ...(isCleared ? { zipPassword: null } : {}),
    ...(zipPasswordFile === undefined ? {} : { zipPassword: firstLineOf(zipPasswordFile) }),
    ...(zipCipher === undefined ? {} : { zipCipher }),
  };
}

function shown({ id, name, createdAt }: Account, settings: AccountSettings): Record<string, unknown> {
  return {
    ...{ id, name, created_at: timeOf(createdAt) },
    time_zone: settings.timeZone,
    zip_password: settings.hasZipPassword,
    zip_cipher: settings.zipCipher,
  };
}
