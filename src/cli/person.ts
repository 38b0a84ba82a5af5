import process from 'node:process';
import type { Command } from 'commander';
import type { Account } from '../core/accounts.js';
import { erasePerson, type ErasedFromList } from '../core/erasure.js';
import { heldJson, readPerson } from '../core/person-held.js';
import { addressFaults } from '../core/row-faults.js';
import { emptyWal, rewriteAddresses } from '../db/remains.js';
import { Invalid } from '../errors.js';
import { chosenAccount } from './account.js';
import { readAddressLines } from './address-lines.js';
import { accountId } from './arguments.js';
import { typedAddress } from './opt-out.js';
import { counted, print, printJson } from './output.js';
import { heldText } from './person-shown.js';
import { actor, reading, withSession, type Session } from './session.js';

interface PersonOptions {
  readonly account?: number;
  readonly json?: true;
}

interface EraseOptions extends PersonOptions {
  readonly confirm?: true;
  readonly rewrite?: true;
}

const addressArgument =
  'the e-mail address, or - to read it from standard input, so that it stands in no history of commands';
const accountOption = ['--account <id>', 'the account, where there are several', accountId] as const;

/** To write a large table anew takes its time, and nobody waits for it but whoever asked. */
const rewriteMs = 24 * 3_600_000;

export function addPersonCommands(program: Command): void {
  const person = program
    .command('person')
    .summary('show and erase what is held about a person')
    .description('People: what an account holds about one address, over all of its lists.');
  addShow(person);
  addErase(person);
}

function addShow(person: Command): void {
  person
    .command('show')
    .summary('show all that is held about an address')
    .description(
      "Shows all that an account's lists hold about an address, removed opt-outs included, and what the history " +
        'notes of it. Entries of which only a hash is known are found as well. This is the answer for whoever ' +
        'asks what is held about them.',
    )
    .argument('<address>', addressArgument)
    .option(...accountOption)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff person show ann@example.com
  $ signoff person show - --json < address.txt > held.json`,
    )
    .action((addressText: string, options: PersonOptions) =>
      withSession(async (session) => {
        const { account, normalised } = await whoIsMeant(session, addressText, options);
        const held = await reading(session, (db) => readPerson(db, account.id, normalised));
        if (options.json) printJson(await reading(session, (db) => heldJson(db, held)));
        else print(await heldText(session, { account, ...held }));
      }),
    );
}

function addErase(person: Command): void {
  person
    .command('erase')
    .summary('erase a person, who stays suppressed')
    .description(
      "Erases an address from all of an account's lists: of each of its opt-outs stay the MD5 and the SHA-256, " +
        'the tag and the times. So it is still suppressed, downloads of hashes still carry it, and an import that ' +
        'brings it again keeps the hashes alone. Cannot be undone; can be repeated. Backups and the logs of the ' +
        'database server are not reached: docs/peoples-rights.md tells what ages out, and how to hurry it.',
    )
    .argument('<address>', addressArgument)
    .option(...accountOption)
    .option('--confirm', 'do it; without, the command only says what would be erased')
    .option(
      '--rewrite',
      'afterwards write the tables of addresses anew, so that their files keep nothing of what was deleted: VACUUM on ' +
        'SQLite, where nothing can be recorded meanwhile; OPTIMIZE TABLE on MariaDB and MySQL',
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff person erase ann@example.com             what would be erased
  $ signoff person erase ann@example.com --confirm
  $ signoff person erase - --confirm < address.txt`,
    )
    .action((addressText: string, options: EraseOptions) =>
      withSession(
        async (session) => {
          const { account, normalised } = await whoIsMeant(session, addressText, options);
          if (!options.confirm) return tellWhatWouldGo(session, account, normalised, options);
          const lists: ErasedFromList[] = [];
          const retryMs = session.config.databaseTimeoutMs;
          const run = erasePerson(session.db, account.id, normalised, { actor, retryMs });
          for await (const one of run) {
            lists.push(one);
            if (!options.json) print(erasedLine(one));
          }
          if (options.rewrite) await rewriteAddresses(session.db);
          const isLogEmpty = await emptiedWal(session);
          if (options.json) {
            return printJson({
              ...{ account: account.id, erased: true, lists: lists.map(erasedJson) },
              ...{ rewritten: options.rewrite === true, log_emptied: isLogEmpty },
            });
          }
          print(
            lists.length === 0
              ? `The lists of ${account.name} hold nothing of this person but hashes, if anything; imports will keep it so.`
              : 'Erased. What was suppressed still is.',
          );
          if (!isLogEmpty)
            print("SQLite's log is being read: the service empties it as soon as it can, or repeat this.");
        },
        { timeoutMs: options.rewrite ? rewriteMs : 0 },
      ),
    );
}

async function whoIsMeant(
  session: Session,
  addressText: string,
  options: PersonOptions,
): Promise<{ account: Account; normalised: string }> {
  const account = await reading(session, (db) => chosenAccount(db, options.account));
  const { normalised } = typedAddress(addressText === '-' ? await addressFromInput() : addressText);
  return { account, normalised };
}

/** @throws Invalid where not exactly one address comes in. */
async function addressFromInput(): Promise<string> {
  const found: string[] = [];
  for await (const batch of readAddressLines(process.stdin)) {
    for (const { result } of batch) {
      if (!result.ok) throw new Invalid('email', result.problem, addressFaults[result.problem]);
      found.push(result.address.normalised);
    }
    if (found.length > 1) break;
  }
  const [only, ...others] = found;
  if (only === undefined) throw new Invalid('email', 'missing', 'standard input holds no address');
  if (others.length > 0) throw new Invalid('email', 'several', 'standard input holds more than one address');
  return only;
}

async function tellWhatWouldGo(
  session: Session,
  account: Account,
  normalised: string,
  { json }: EraseOptions,
): Promise<void> {
  const { held } = await reading(session, (db) => readPerson(db, account.id, normalised));
  const lists = held.map(({ list, rows }) => ({ list, optOuts: rows.length }));
  if (json) return printJson({ account: account.id, erased: false, lists: lists.map(erasedJson) });
  for (const { list, optOuts } of lists) {
    print(`${list.internalName} (${list.publicId}): ${counted(optOuts, 'opt-out', 'opt-outs')}`);
  }
  print(
    lists.length === 0
      ? `The lists of ${account.name} hold nothing of this person. With --confirm, imports will keep nothing but hashes of the address.`
      : 'Nothing has changed. With --confirm, all of it but the hashes, the tags and the times is erased.',
  );
}

function erasedLine({ list, optOuts }: ErasedFromList): string {
  return `${list.internalName} (${list.publicId}): ${counted(optOuts, 'opt-out', 'opt-outs')} erased`;
}

function erasedJson({ list, optOuts }: ErasedFromList): Record<string, unknown> {
  return { list: list.publicId, internal_name: list.internalName, opt_outs: optOuts };
}

const walPatienceMs = 5000;

/** A download that reads from the log at the moment is over soon; where it is not, the keeper comes back to it. */
async function emptiedWal({ db }: Session): Promise<boolean> {
  for (const deadline = Date.now() + walPatienceMs; ;) {
    if (await emptyWal(db)) return true;
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
