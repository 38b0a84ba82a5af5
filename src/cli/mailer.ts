import { Option, type Command } from 'commander';
import { accessKeysOf, type AccessKey } from '../core/access-keys.js';
import { listsOfAccount } from '../core/lists.js';
import {
  createMailer,
  editMailer,
  grantedLists,
  grantList,
  mailersOfAccount,
  revokeList,
  type Mailer,
} from '../core/mailers.js';
import { chosenAccount } from './account.js';
import { accountId, chosenList, chosenMailer, listArgument, mailerArgument } from './arguments.js';
import { addWhitelistOptions, confirmationsOf } from './list-options.js';
import { networksText } from './list-shown.js';
import { addKeyCommands } from './mailer-keys.js';
import { print, printJson, table, timeOf, yesOrNo } from './output.js';
import { actor, changing, reading, withSession } from './session.js';

interface MailerOptions {
  readonly name?: string;
  readonly plainAllowed?: 'yes' | 'no';
  readonly ipWhitelist?: string;
  readonly confirmWide?: true;
  readonly confirmPrivate?: true;
  readonly json?: true;
}

const whitelistText = 'networks of its own, besides those that a list lets in';

export function addMailerCommands(program: Command): void {
  const mailer = program
    .command('mailer')
    .summary('partners who mail lists: create, list, edit, grant, revoke, rotate-key, revoke-keys')
    .description(
      'Mailers: partners who mail lists, send opt-outs, and download the lists that are granted to them, ' +
        'with their access key and from a whitelisted address.',
    );
  addCreate(mailer);
  addList(mailer);
  addEdit(mailer);
  addGrants(mailer);
  addKeyCommands(mailer);
}

function addSettings(command: Command): Command {
  return addWhitelistOptions(
    command.addOption(
      new Option(
        '--plain-allowed <y/n>',
        'yes: may download addresses; no: their hashes alone (at first no)',
      ).choices(['yes', 'no']),
    ),
    whitelistText,
  ).option('--json', 'print JSON');
}

function settingsOf({ name, plainAllowed, ipWhitelist }: MailerOptions) {
  return {
    ...(name === undefined ? {} : { name }),
    ...(plainAllowed === undefined ? {} : { plainAllowed: plainAllowed === 'yes' }),
    ...(ipWhitelist === undefined ? {} : { ipWhitelist }),
  };
}

function addCreate(mailer: Command): void {
  addSettings(
    mailer
      .command('create')
      .summary('add a mailer')
      .description('Adds a mailer. It can do nothing before it is granted a list and has an access key.')
      .option('--account <id>', 'the account it works for; not needed where there is only one', accountId)
      .requiredOption('--name <name>', 'what the mailer is called'),
  )
    .addHelpText(
      'after',
      `
Examples:
  $ signoff mailer create --name "Mail House"
  $ signoff mailer create --name "Mail House" --plain-allowed yes --ip-whitelist 192.0.2.0/24
Then: signoff mailer grant "Mail House" LIST, and signoff mailer rotate-key "Mail House"`,
    )
    .action((options: MailerOptions & { name: string; account?: number }) =>
      withSession(async (session) => {
        const created = await changing(session, async (db) => {
          const account = await chosenAccount(db, options.account);
          return createMailer(
            db,
            account.id,
            { ...settingsOf(options), name: options.name },
            { actor, ...confirmationsOf(options) },
          );
        });
        if (options.json) return printJson(shown(created));
        print(`Mailer ${created.id}, ${created.name}, is ready.`);
        if (options.ipWhitelist !== undefined) print(networksText(created.ipWhitelist));
      }),
    );
}

function addList(mailer: Command): void {
  mailer
    .command('list')
    .summary('show all mailers, their lists and keys')
    .description(
      'Shows the mailers of an account, the lists granted to each, and the endings of its access keys.',
    )
    .option('--account <id>', 'whose mailers; not needed where there is only one account', accountId)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff mailer list\n  $ signoff mailer list --account 2 --json')
    .action((options: { account?: number; json?: true }) =>
      withSession(async (session) => {
        const rows = await reading(session, async (db) => {
          const account = await chosenAccount(db, options.account);
          const lists = await listsOfAccount(db, account.id);
          const publicIds = new Map(lists.map(({ id, publicId }) => [id, publicId]));
          const found = [];
          for (const one of await mailersOfAccount(db, account.id)) {
            const granted = await grantedLists(db, one);
            const keys = await accessKeysOf(db, one);
            found.push({ mailer: one, lists: granted.map((id) => publicIds.get(id) ?? ''), keys });
          }
          return found;
        });
        if (options.json) return printJson(rows.map((row) => shown(row.mailer, row.lists, row.keys)));
        print(
          table(
            ['ID', 'NAME', 'PLAIN', 'LISTS', 'KEYS'],
            rows.map((row) => [
              String(row.mailer.id),
              row.mailer.name,
              yesOrNo(row.mailer.plainAllowed),
              row.lists.join(' '),
              row.keys.map((key) => `…${key.ending}`).join(' '),
            ]),
            'There is no mailer yet: signoff mailer create --name NAME',
          ),
        );
      }),
    );
}

function addEdit(mailer: Command): void {
  addSettings(
    mailer
      .command('edit')
      .summary('change the settings of a mailer')
      .description('Changes the settings that are given; an empty --ip-whitelist takes it away.')
      .argument('<mailer>', mailerArgument)
      .option('--name <name>', 'what the mailer is called'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff mailer edit "Mail House" --plain-allowed no\n  $ signoff mailer edit 3 --ip-whitelist 192.0.2.7',
    )
    .action((text: string, options: MailerOptions, command: Command) => {
      const settings = settingsOf(options);
      if (Object.keys(settings).length === 0) {
        command.error('error: there is nothing to change: give at least one setting');
      }
      return withSession(async (session) => {
        const edited = await changing(session, async (db) =>
          editMailer(db, await chosenMailer(db, text), settings, { actor, ...confirmationsOf(options) }),
        );
        if (options.json) return printJson(shown(edited));
        print(`Mailer ${edited.id}, ${edited.name}: saved.`);
        if (options.ipWhitelist !== undefined) print(networksText(edited.ipWhitelist));
      });
    });
}

function addGrants(mailer: Command): void {
  mailer
    .command('grant')
    .summary('let a mailer notify and download a list')
    .description(
      'Lets a mailer notify and download a list of its account. Granting it again changes nothing.',
    )
    .argument('<mailer>', mailerArgument)
    .argument('<list>', listArgument)
    .addHelpText('after', '\nExamples:\n  $ signoff mailer grant "Mail House" "Acme News"')
    .action((mailerText: string, listText: string) =>
      withSession(async (session) => {
        const { one, list } = await changing(session, async (db) => {
          const chosen = { one: await chosenMailer(db, mailerText), list: await chosenList(db, listText) };
          await grantList(db, chosen.one, chosen.list, { actor });
          return chosen;
        });
        print(`Mailer ${one.id}, ${one.name}, may notify and download list ${list.publicId}, ${list.name}.`);
      }),
    );

  mailer
    .command('revoke')
    .summary('take a list away from a mailer')
    .description('Takes a list away from a mailer. Its keys go on opening the other lists that it has.')
    .argument('<mailer>', mailerArgument)
    .argument('<list>', listArgument)
    .addHelpText('after', '\nExamples:\n  $ signoff mailer revoke "Mail House" "Acme News"')
    .action((mailerText: string, listText: string) =>
      withSession(async (session) => {
        const { one, list, wasGranted } = await changing(session, async (db) => {
          const chosen = { one: await chosenMailer(db, mailerText), list: await chosenList(db, listText) };
          return { ...chosen, wasGranted: await revokeList(db, chosen.one, chosen.list, { actor }) };
        });
        print(
          wasGranted
            ? `Mailer ${one.id}, ${one.name}, may no longer notify or download list ${list.publicId}, ${list.name}.`
            : `Mailer ${one.id}, ${one.name}, had no grant of list ${list.publicId}, ${list.name}.`,
        );
      }),
    );
}

function shown(
  mailer: Mailer,
  lists?: readonly string[],
  keys?: readonly AccessKey[],
): Record<string, unknown> {
  return {
    id: mailer.id,
    account_id: mailer.accountId,
    name: mailer.name,
    plain_allowed: mailer.plainAllowed,
    ip_whitelist: mailer.ipWhitelist.map((network) => network.text),
    lists,
    keys: keys?.map(({ ending, createdAt, expiresAt }) => ({
      ending,
      created_at: timeOf(createdAt),
      expires_at: timeOf(expiresAt),
    })),
  };
}
