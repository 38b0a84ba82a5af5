import type { Command } from 'commander';
import { createAccount, getAccount, listAccounts, type Account } from '../core/accounts.js';
import { getListById, type List } from '../core/lists.js';
import { Refused } from '../errors.js';
import type { Db } from '../db/connect.js';
import { addAccountSettings } from './account-settings.js';
import { print, printJson, table, timeOf } from './output.js';
import { actor, changing, reading, withSession } from './session.js';

export function addAccountCommands(program: Command): void {
  const account = program
    .command('account')
    .summary('the businesses that run lists here')
    .description('Accounts: the businesses that run lists here.');

  account
    .command('create')
    .summary('add an account')
    .description('Adds an account. While there is only one, no other command needs to be told which.')
    .requiredOption('--name <name>', 'what the business is called')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff account create --name "Acme"')
    .action((options: { name: string; json?: true }) =>
      withSession(async (session) => {
        const created = await changing(session, (db) => createAccount(db, options.name, { actor }));
        if (options.json) printJson(shown(created, null));
        else print(`Account ${created.id}, ${created.name}, is ready.`);
      }),
    );

  account
    .command('list')
    .summary('show all accounts')
    .description('Shows all accounts, oldest first, with the global list of each.')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff account list\n  $ signoff account list --json')
    .action((options: { json?: true }) =>
      withSession(async (session) => {
        const rows = await reading(session, async (db) => {
          const found = [];
          for (const one of await listAccounts(db)) {
            const global = one.globalListId === null ? null : await getListById(db, one.globalListId);
            found.push({ account: one, global });
          }
          return found;
        });
        if (options.json) return printJson(rows.map((row) => shown(row.account, row.global)));
        print(
          table(
            ['ID', 'NAME', 'CREATED', 'GLOBAL LIST'],
            rows.map(({ account: { id, name, createdAt }, global }) => [
              ...[String(id), name, timeOf(createdAt) ?? ''],
              global === null ? '' : `${global.publicId} ${global.name}`,
            ]),
            'There is no account yet: signoff account create --name NAME',
          ),
        );
      }),
    );

  addAccountSettings(account, chosenAccount);
}

/**
 * The account of `--account`, or the only one.
 *
 * @throws NotFound for an id that no account has.
 * @throws Refused where there is none, or more than one to choose from.
 */
export async function chosenAccount(db: Db, id: number | undefined): Promise<Account> {
  if (id !== undefined) return getAccount(db, id);
  const [only, ...others] = await listAccounts(db);
  if (only === undefined) {
    throw new Refused('no-account', 'There is no account yet: signoff account create --name NAME');
  }
  if (others.length > 0) {
    throw new Refused(
      'several-accounts',
      'There are several accounts: say which with --account ID (signoff account list).',
    );
  }
  return only;
}

function shown({ id, name, createdAt }: Account, global: List | null): Record<string, unknown> {
  return { id, name, created_at: timeOf(createdAt), global_list: global?.publicId ?? null };
}
