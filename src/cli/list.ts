import process from 'node:process';
import type { Command } from 'commander';
import { getAccount } from '../core/accounts.js';
import { downloadsOfList } from '../core/downloads.js';
import { getCounts, hasPendingChanges } from '../core/feed.js';
import { archiveList, createList, editList, listsOfAccount } from '../core/lists.js';
import { addTags } from '../core/tags.js';
import { chosenAccount } from './account.js';
import { accountId, chosenList, listArgument } from './arguments.js';
import { addClearCommand } from './list-clear.js';
import { addGlobalCommand, globalListOf } from './list-global.js';
import { addLinksCommand } from './list-links.js';
import { addListOptions, confirmationsOf, settingsOf, type ListOptions } from './list-options.js';
import { capWarning, listFacts, listJson, networksText } from './list-shown.js';
import { counted, print, printJson, table, warn } from './output.js';
import { actor, changing, reading, withSession } from './session.js';

interface CreateOptions extends ListOptions {
  readonly account?: number;
  readonly name: string;
  readonly json?: true;
}

interface EditOptions extends ListOptions {
  readonly archive?: true;
  readonly unarchive?: true;
  readonly json?: true;
}

export async function addListCommands(program: Command): Promise<void> {
  const list = program
    .command('list')
    .summary('suppression lists: create, list, show, edit, links, global, clear')
    .description('Lists: addresses that the mail of a list must not reach, and how people get onto them.');
  addCreate(list);
  addList(list);
  addShow(list);
  addEdit(list);
  addLinksCommand(list);
  addGlobalCommand(list);
  addClearCommand(list);
  // This one speaks of all APIs, which take longer to load than the others take to run.
  const others = list.commands.map((command) => command.name());
  if (!others.includes(process.argv[3] ?? '')) (await import('./list-name.js')).addNameCommand(list);
}

function addCreate(list: Command): void {
  addListOptions(
    list
      .command('create')
      .summary('add a list')
      .description(
        'Adds a list, which can be used at once: its page, links, pixel and downloads have their addresses ' +
          '(signoff list links). All settings can be changed later.',
      )
      .option('--account <id>', 'the account it belongs to; not needed where there is only one', accountId)
      .requiredOption('--name <name>', 'what recipients know the list by'),
  )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff list create --name "Acme News" --ip-whitelist "203.0.113.7, 198.51.100.0/24"
  $ signoff list create --account 2 --name "Acme Offers" --internal-name offers --tag sale --tag events
  $ signoff list create --name "Acme News" --thank-you en=@thank-you.md --redirect "https://acme.example/bye?list={list}"`,
    )
    .action((options: CreateOptions) =>
      withSession(async (session) => {
        const created = await changing(session, async (db) => {
          const account = await chosenAccount(db, options.account);
          const made = await createList(db, account.id, settingsOf(options), {
            actor,
            ...confirmationsOf(options),
          });
          if (options.tag === undefined) return made;
          await addTags(db, made.id, options.tag, { actor });
          return chosenList(db, made.publicId);
        });
        if (created.cap !== null) warn(capWarning(created.cap, null, false));
        if (options.json) return printJson(listJson(created));
        print(`List ${created.publicId}, ${created.name}, is ready.`);
        if (options.ipWhitelist !== undefined) print(networksText(created.ipWhitelist));
        print(`Its links: signoff list links ${created.publicId}`);
      }),
    );
}

function addList(list: Command): void {
  list
    .command('list')
    .summary('show all lists')
    .description('Shows the lists of an account, oldest first, with what each held at its last numbering.')
    .option('--account <id>', 'whose lists; not needed where there is only one account', accountId)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff list list\n  $ signoff list list --account 2 --json')
    .action((options: { account?: number; json?: true }) =>
      withSession(async (session) => {
        const rows = await reading(session, async (db) => {
          const lists = await listsOfAccount(db, (await chosenAccount(db, options.account)).id);
          const held = [];
          for (const one of lists) held.push({ list: one, counts: await getCounts(db, one.id) });
          return held;
        });
        if (options.json) return printJson(rows.map((row) => listJson(row.list, row.counts)));
        print(
          table(
            ['ID', 'INTERNAL NAME', 'NAME', 'STATE', 'ENTRIES'],
            rows.map(({ list: one, counts }) => [
              one.publicId,
              one.internalName,
              one.name,
              one.archivedAt === null ? one.state : 'archived',
              String(counts.addresses + counts.md5_only + counts.sha256_only + counts.erased),
            ]),
            'There is no list yet: signoff list create --name NAME',
          ),
        );
      }),
    );
}

function addShow(list: Command): void {
  list
    .command('show')
    .summary('show the settings of a list, what it holds, and its last downloads')
    .description(
      'Shows the settings of a list, how many entries it holds, its newest feed number, and who downloaded ' +
        'it last. What has just been recorded is counted once the running service has numbered it.',
    )
    .argument('<list>', listArgument)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff list show "Acme News"\n  $ signoff list show offers --json',
    )
    .action((text: string, options: { json?: true }) =>
      withSession(async (session) => {
        const { found, globalList, counts, isPending, downloads } = await reading(session, async (db) => {
          const one = await chosenList(db, text);
          return {
            found: one,
            globalList: await globalListOf(db, await getAccount(db, one.accountId)),
            counts: await getCounts(db, one.id),
            isPending: await hasPendingChanges(db, one.id),
            downloads: await downloadsOfList(db, one.id, 10),
          };
        });
        if (options.json) {
          const shown = listJson(found, counts, isPending, downloads);
          printJson({ ...shown, global_list: globalList?.publicId ?? null });
        } else print(listFacts(found, globalList, counts, isPending, downloads));
      }),
    );
}

function addEdit(list: Command): void {
  addListOptions(
    list
      .command('edit')
      .summary('change the settings of a list')
      .description(
        'Changes the settings that are given, all of them or, where one does not pass, none. The running ' +
          'service follows within two seconds. An empty text takes a setting away; tags are only added.',
      )
      .argument('<list>', listArgument)
      .option('--name <name>', 'what recipients know the list by'),
  )
    .option(
      '--archive',
      'closes the list to downloads for good; its opt-out page goes on working (not the global list)',
    )
    .option('--unarchive', 'takes the archiving back')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff list edit "Acme News" --ip-whitelist 203.0.113.0/24
  $ signoff list edit offers --state closed
  $ signoff list edit offers --thank-you en="Sorry to see you go." --thank-you de=@danke.md
  $ signoff list edit offers --redirect ""
  $ signoff list edit offers --archive`,
    )
    .action((text: string, options: EditOptions, command: Command) => {
      const settings = settingsOf(options);
      const isArchiving = options.archive ?? options.unarchive;
      if (Object.keys(settings).length === 0 && options.tag === undefined && isArchiving === undefined) {
        command.error('error: there is nothing to change: give at least one setting');
      }
      if (options.archive && options.unarchive) {
        command.error('error: give --archive or --unarchive, not both');
      }
      return withSession(async (session) => {
        const { edited, counts, isGlobal } = await changing(session, async (db) => {
          const before = await chosenList(db, text);
          await editList(db, before, settings, { actor, ...confirmationsOf(options) });
          if (isArchiving) await archiveList(db, before, options.archive === true, { actor });
          if (options.tag !== undefined) await addTags(db, before.id, options.tag, { actor });
          return {
            edited: await chosenList(db, before.publicId),
            counts: await getCounts(db, before.id),
            isGlobal: (await getAccount(db, before.accountId)).globalListId === before.id,
          };
        });
        if (typeof options.cap === 'number') warn(capWarning(options.cap, counts, isGlobal));
        if (options.json) return printJson(listJson(edited));
        const what = [...Object.keys(settings), ...(options.tag ?? []), ...(isArchiving ? [1] : [])];
        print(`List ${edited.publicId}, ${edited.name}: ${counted(what.length, 'change', 'changes')} saved.`);
        if (options.ipWhitelist !== undefined) print(networksText(edited.ipWhitelist));
      });
    });
}
