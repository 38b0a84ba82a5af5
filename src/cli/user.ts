import { Option, type Command } from 'commander';
import { endUser, reviveUser } from '../core/user-ends.js';
import {
  createUser,
  getUser,
  listAdmins,
  roles,
  usersOfAccount,
  type Role,
  type UserPlace,
} from '../core/users.js';
import type { Db } from '../db/connect.js';
import { Invalid, Refused } from '../errors.js';
import { chosenAccount } from './account.js';
import { accountId, chosenMailer } from './arguments.js';
import { baseUrlOf } from './list-links.js';
import { print, printJson, table, timeOf, yesOrNo } from './output.js';
import { actor, changing, reading, withSession } from './session.js';
import { chosenUser, onUser } from './user-chosen.js';
import { linkFor, printLinked, shown, stateOf } from './user-shown.js';
import { addCodesOff, addEmail } from './user-sign-in.js';

interface CreateOptions {
  readonly role: Role;
  readonly account?: number;
  readonly mailer?: string;
  readonly email: string;
  readonly name: string;
  readonly json?: true;
}

export function addUserCommands(program: Command): void {
  const user = program
    .command('user')
    .summary('people who sign in to the console: create, list, link, email, end, revive, codes-off')
    .description(
      'Users: people who sign in to the console. An admin runs the installation, an owner all lists of one ' +
        'account, a mailer looks at the lists that are granted to one mailer.',
    );
  addCreate(user);
  addList(user);
  addLink(user);
  addEmail(user);
  addEnd(user);
  addRevive(user);
  addCodesOff(user);
}

function addCreate(user: Command): void {
  user
    .command('create')
    .summary('invite somebody, and print the link')
    .description(
      'Adds a user, and prints the invitation: a link that is good for a week and once, with which they choose ' +
        'a password. Hand it on in a way that nobody else reads. It begins with BASE_URL.',
    )
    .addOption(
      new Option('--role <role>', 'what they may see and do').choices([...roles]).makeOptionMandatory(),
    )
    .option('--account <id>', 'of an owner; not needed where there is only one account', accountId)
    .option('--mailer <mailer>', 'of a user of the role mailer: the id of the mailer, or its name')
    .requiredOption('--email <address>', 'what they sign in with')
    .requiredOption('--name <name>', 'what they are called')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff user create --role admin --email ada@example.com --name "Ada"
  $ signoff user create --role owner --account 1 --email olive@example.com --name "Olive"
  $ signoff user create --role mailer --mailer "Mail House" --email max@example.com --name "Max"`,
    )
    .action((options: CreateOptions) =>
      withSession(async (session) => {
        baseUrlOf(session.config);
        const { created, link } = await changing(session, async (db) => {
          const made = await createUser(db, await placeOf(db, options), options, { actor });
          return { created: made, link: await linkFor(session.config, db, made) };
        });
        printLinked(created, link, options, `User ${created.id}, ${created.name}, is invited.`);
      }),
    );
}

async function placeOf(db: Db, { role, account, mailer }: CreateOptions): Promise<UserPlace> {
  const needless = (option: string) =>
    new Invalid(option, 'unknown', `Leave --${option} out: it is not of the role ${role}.`);
  if (role !== 'owner' && account !== undefined) throw needless('account');
  if (role !== 'mailer' && mailer !== undefined) throw needless('mailer');
  if (role === 'admin') return { role };
  if (role === 'owner') return { role, account: await chosenAccount(db, account) };
  if (mailer === undefined) throw new Invalid('mailer', 'missing', 'The role mailer needs --mailer.');
  return { role, mailer: await chosenMailer(db, mailer) };
}

function addList(user: Command): void {
  user
    .command('list')
    .summary('show the users of an account, or the admins')
    .description('Shows who signs in for an account, or, with --admins, who runs the installation.')
    .option('--account <id>', 'whose users; not needed where there is only one account', accountId)
    .option('--admins', 'the admins of the installation')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff user list\n  $ signoff user list --admins --json')
    .action((options: { account?: number; admins?: true; json?: true }) =>
      withSession(async (session) => {
        const users = await reading(session, async (db) =>
          options.admins ? listAdmins(db) : usersOfAccount(db, (await chosenAccount(db, options.account)).id),
        );
        if (options.json) return printJson(users.map(shown));
        print(
          table(
            ['ID', 'ROLE', 'NAME', 'EMAIL', 'STATE', 'CODES', 'LAST SIGN-IN'],
            users.map((one) => [
              ...[String(one.id), one.role, one.name, one.email, stateOf(one)],
              ...[yesOrNo(one.hasOneTimeCodes), timeOf(one.signedInAt) ?? ''],
            ]),
            'There is no such user yet: signoff user create --help',
          ),
        );
      }),
    );
}

function addLink(user: Command): void {
  onUser(user, 'link', 'print a new link for somebody')
    .description(
      'Makes a new link for somebody: an invitation, or, for whoever has a password and forgot it, one to ' +
        'choose another with, good for a day. Whoever has the link can use it, unless one-time codes are asked for.',
    )
    .action((text: string, options: { json?: true }) =>
      withSession(async (session) => {
        baseUrlOf(session.config);
        const { found, link } = await changing(session, async (db) => {
          const one = await chosenUser(db, text);
          if (one.endedAt !== null)
            throw new Refused('is-ended', `This user was ended: signoff user revive ${one.id}`);
          return { found: one, link: await linkFor(session.config, db, one) };
        });
        printLinked(found, link, options, `A new link for user ${found.id}, ${found.name}.`);
      }),
    );
}

function addEnd(user: Command): void {
  onUser(user, 'end', 'let somebody sign in no more')
    .description('Ends a user: it is signed out everywhere at once. The history keeps what it did.')
    .option('--even-last', 'also the last admin, or the last owner of an account')
    .action((text: string, options: { evenLast?: true; json?: true }) =>
      withSession(async (session) => {
        const ended = await changing(session, async (db) => {
          const one = await chosenUser(db, text);
          await endUser(db, one, { actor, evenLast: options.evenLast === true });
          return getUser(db, one.id);
        });
        if (options.json) printJson(shown(ended));
        else print(`User ${ended.id}, ${ended.name}, is ended.`);
      }),
    );
}

function addRevive(user: Command): void {
  onUser(user, 'revive', 'let somebody who was ended sign in again')
    .description(
      'Revives a user that was ended, and prints an invitation: the password and the codes of before are gone.',
    )
    .action((text: string, options: { json?: true }) =>
      withSession(async (session) => {
        baseUrlOf(session.config);
        const { revived, link } = await changing(session, async (db) => {
          const one = await reviveUser(db, await chosenUser(db, text), { actor });
          return { revived: one, link: await linkFor(session.config, db, one) };
        });
        printLinked(revived, link, options, `User ${revived.id}, ${revived.name}, is invited again.`);
      }),
    );
}
