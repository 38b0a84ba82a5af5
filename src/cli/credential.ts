import { Option, type Command } from 'commander';
import {
  createCredential,
  credentialsOfAccount,
  endCredential,
  getCredential,
  rights,
  type Credential,
  type Right,
} from '../core/credentials.js';
import { namesOnSurface } from '../core/list-names.js';
import { getListById } from '../core/lists.js';
import { Invalid, Refused } from '../errors.js';
import type { Surface } from '../http/surface.js';
import { surfaces } from '../surfaces.js';
import { chosenAccount } from './account.js';
import { accountId, chosenList, duration } from './arguments.js';
import { firstLineOf } from './first-line.js';
import { addWhitelistOptions, confirmationsOf } from './list-options.js';
import { print, printJson, table, timeOf } from './output.js';
import { actor, changing, reading, withSession, type Session } from './session.js';

interface CreateOptions {
  readonly account?: number;
  readonly surface: string;
  readonly name: string;
  readonly login?: string;
  readonly role?: string;
  readonly rights?: string;
  readonly list: string[];
  readonly keyFile?: string;
  readonly ipWhitelist?: string;
  readonly confirmWide?: true;
  readonly confirmPrivate?: true;
  readonly json?: true;
}

const surfaceOption = () =>
  new Option('--surface <api>', 'the API that it is for').choices(surfaces.map(({ name }) => name));

export function addCredentialCommands(program: Command): void {
  const credential = program
    .command('credential')
    .summary('keys of the APIs: create, list, end')
    .description(
      "Credentials: what a program shows to one of the APIs, ours or a vendor's. A key is kept hashed, and is " +
        'shown only once.',
    );
  addCreate(credential);
  addList(credential);
  addEnd(credential);
}

function addCreate(credential: Command): void {
  const command = credential
    .command('create')
    .summary('make a key for an API, and print a call that works')
    .description(
      'Makes a credential for an API and prints its key, and a call to try at once. A program that cannot be ' +
        'given a new key can go on with the one that it has: --key-file reads it from a file.',
    )
    .option('--account <id>', 'the account, where there are several', accountId)
    .addOption(surfaceOption().makeOptionMandatory())
    .requiredOption('--name <name>', 'what it is for, in your words')
    .option('--login <name>', "the user's name that goes with the key, where the API has one")
    .option('--role <role>', "the role, in the API's own words")
    .option('--rights <rights>', `in place of the role's: ${rights.join(', ')}, between commas`)
    .option(
      '--list <list>',
      'only for this list; may be given again',
      (one, all: string[]) => [...all, one],
      [],
    )
    .option('--key-file <file>', 'take the key from the first line of this file (- for standard input)');
  addWhitelistOptions(command, 'networks that it may be used from (at first any)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
${surfaces.map((surface) => `  $ signoff credential create --surface ${surface.name} --name "Our shop"${surface.loginNoun === null ? '' : ' --login acme'}`).join('\n')}`,
    )
    .action((options: CreateOptions) => withSession((session) => create(session, options)));
}

async function create(session: Session, options: CreateOptions): Promise<void> {
  const surface = surfaceOf(options.surface);
  const { role, granted } = rightsOf(surface, options);
  const login = options.login ?? '';
  if (surface.loginNoun !== null && login === '')
    throw new Invalid('login', 'missing', `${surface.title} needs --login: its ${surface.loginNoun}.`);
  if (surface.loginNoun === null && login !== '')
    throw new Invalid('login', 'unknown', `${surface.title} knows no user's name: leave --login out.`);

  // Once: what changes the database may be repeated, and standard input may not.
  const given = options.keyFile === undefined ? {} : { key: firstLineOf(options.keyFile).trim() };

  const { credential, key, listName } = await changing(session, async (db) => {
    const account = await chosenAccount(db, options.account);
    const lists = [];
    for (const text of options.list) lists.push(await chosenList(db, text));
    const made = await createCredential(
      db,
      account.id,
      {
        surface: surface.name,
        name: options.name,
        login,
        role,
        rights: granted,
        lists,
        ...(options.ipWhitelist === undefined ? {} : { ipWhitelist: options.ipWhitelist }),
        ...given,
      },
      { actor, ...confirmationsOf(options) },
    );
    const [named] = await namesOnSurface(db, account.id, surface.name);
    return { ...made, listName: named?.name ?? lists[0]?.publicId ?? 'LIST' };
  });
  const { config } = session;
  const baseUrl = config.baseUrl ?? `http://localhost:${config.port}`;
  const example = surface.snippet({ baseUrl, key, login, listName });
  if (options.json) return printJson({ ...shown(credential), key, example });
  print(
    `Credential ${credential.id}, ${credential.name}, for ${surface.title}. Its key, shown only this once:\n`,
  );
  print(`  ${key}\n`);
  print(`To try it:\n\n${example}`);
  if (listName === 'LIST' && surface.listNoun !== null)
    print(`\nLIST is a list's ${surface.listNoun} there: its id, or a name (signoff list name --help).`);
}

function rightsOf(surface: Surface, { role, rights: text }: CreateOptions) {
  const chosen = role === undefined ? surface.roles[0] : surface.roles.find(({ name }) => name === role);
  if (chosen === undefined) {
    const known = surface.roles.map(({ name }) => JSON.stringify(name)).join(', ');
    throw new Invalid('role', 'unknown', `${surface.title} knows these roles: ${known}.`);
  }
  const named = text?.split(',').map((one) => one.trim());
  const wrong = named?.find((one) => !(rights as readonly string[]).includes(one));
  if (wrong !== undefined)
    throw new Invalid(
      'rights',
      'unknown',
      `There is no right ${JSON.stringify(wrong)}: ${rights.join(', ')}.`,
    );
  return { role: chosen.name, granted: (named as Right[] | undefined) ?? chosen.rights };
}

function addList(credential: Command): void {
  credential
    .command('list')
    .summary('show the credentials of an account')
    .description('Shows the credentials of an account, oldest first, by the last characters of their keys.')
    .option('--account <id>', 'the account, where there are several', accountId)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff credential list')
    .action((options: { account?: number; json?: true }) =>
      withSession(async (session) => {
        const { credentials, listed } = await reading(session, async (db) => {
          const account = await chosenAccount(db, options.account);
          const all = await credentialsOfAccount(db, account.id);
          const ids = new Set(all.flatMap((one) => [...(one.listIds ?? [])]));
          const names = new Map<number, string>();
          for (const id of ids) names.set(id, (await getListById(db, id)).internalName);
          return { credentials: all, listed: names };
        });
        if (options.json) return printJson(credentials.map(shown));
        print(
          table(
            ['id', 'surface', 'name', 'login', 'key', 'rights', 'lists', 'networks', 'until'],
            credentials.map((one) => [
              String(one.id),
              one.surface,
              one.name,
              one.login,
              `…${one.ending}`,
              [...one.rights].join(','),
              one.listIds === null
                ? 'all'
                : [...one.listIds].map((id) => listed.get(id)).join(', ') || 'none',
              one.networks.map(({ text }) => text).join(', ') || 'any',
              timeOf(one.expiresAt) ?? '',
            ]),
            'There are no credentials yet (signoff credential create --help).',
          ),
        );
      }),
    );
}

function addEnd(credential: Command): void {
  credential
    .command('end')
    .summary('end a credential')
    .description('Ends a credential, at once or after a while in which programs can change over to another.')
    .argument('<id>', 'the id of the credential')
    .option('--after <time>', 'how long it goes on: 0, or such as 30m, 24h, 7d', duration, 0)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff credential end 3\n  $ signoff credential end 3 --after 7d',
    )
    .action((id: string, options: { after: number; json?: true }) =>
      withSession(async (session) => {
        if (!/^[1-9]\d{0,8}$/.test(id)) throw new Refused('id', 'A credential has a number as its id.');
        const ended = await changing(session, async (db) =>
          endCredential(db, await getCredential(db, Number(id)), { actor, afterMs: options.after }),
        );
        if (options.json) printJson(shown(ended));
        else print(`Credential ${ended.id}, ${ended.name}, ends at ${timeOf(ended.expiresAt)}.`);
      }),
    );
}

function surfaceOf(name: string): Surface {
  const surface = surfaces.find((one) => one.name === name);
  if (surface === undefined) throw new Invalid('surface', 'unknown', `There is no API ${name}.`);
  return surface;
}

function shown(credential: Credential) {
  return {
    id: credential.id,
    account_id: credential.accountId,
    surface: credential.surface,
    name: credential.name,
    login: credential.login,
    role: credential.role,
    rights: [...credential.rights],
    lists: credential.listIds === null ? null : [...credential.listIds],
    ip_whitelist: credential.networks.map(({ text }) => text),
    key_ending: credential.ending,
    created_at: timeOf(credential.createdAt),
    expires_at: timeOf(credential.expiresAt),
  };
}
