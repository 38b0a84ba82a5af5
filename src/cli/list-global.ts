import type { Command } from 'commander';
import { getAccount, type Account } from '../core/accounts.js';
import { getCounts, type ListCounts } from '../core/feed.js';
import { countOtherLists, setGlobalList } from '../core/global-list.js';
import { getListById, type List } from '../core/lists.js';
import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { chosenList, listArgument } from './arguments.js';
import { capWarning } from './list-shown.js';
import { counted, print, printJson, warn } from './output.js';
import { actor, changing, withSession } from './session.js';

interface GlobalOptions {
  readonly off?: true;
  readonly confirm?: true;
  readonly json?: true;
}

export function addGlobalCommand(list: Command): void {
  list
    .command('global')
    .summary('make a list the global one of its account, or end that')
    .description(
      'Makes a list the global one of its account: mail of none of its lists may reach whoever is suppressed ' +
        'there. It counts in every download and check of all of them; what they hold themselves stays as it ' +
        'is, and so does where their links record. An account has one global list at most: another one takes ' +
        'its place. A closed list counts as well; an archived one cannot be global, nor a global one archived.\n\n' +
        'What the lists suppress changes at once, so the cursors of all of them end (410), and mailers have to ' +
        'take the whole lists again. All nodes have to run a version that knows the global list.',
    )
    .argument('<list>', listArgument)
    .option('--off', 'the account has no global list any more')
    .option('--confirm', 'do it; without, the command only says what would change')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff list global "Never mail"            what would change
  $ signoff list global "Never mail" --confirm
  $ signoff list global "Never mail" --off --confirm`,
    )
    .action((listText: string, options: GlobalOptions) =>
      withSession(async (session) => {
        const change = await changing(session, (db) => changeGlobalList(db, listText, options));
        const { after, counts } = change;
        // Whoever leaves by it could then be mailed again by all of them.
        if (change.isChanged && after?.cap != null) warn(capWarning(after.cap, counts, true));
        if (options.json) printJson(changeJson(change));
        else print(change.isChanged ? done(change) : `${standing(change)} Nothing has changed.`);
      }),
    );
}

interface Change {
  readonly account: Account;
  readonly list: List;
  readonly before: List | null;
  readonly after: List | null;
  readonly isChanged: boolean;
  /** What the list holds, one a tag, as of its last numbering. */
  readonly entries: number;
  readonly counts: ListCounts;
  readonly otherLists: number;
}

async function changeGlobalList(db: Db, listText: string, options: GlobalOptions): Promise<Change> {
  const list = await chosenList(db, listText);
  const account = await getAccount(db, list.accountId);
  const before = await globalListOf(db, account);
  // To end what is not so must not end what is.
  const after = options.off ? (before?.id === list.id ? null : before) : list;
  const counts = await getCounts(db, list.id);
  const change = {
    ...{ account, list, before, after, isChanged: after?.id !== before?.id },
    counts,
    entries: counts.addresses + counts.md5_only + counts.sha256_only + counts.erased,
    otherLists: await countOtherLists(db, list),
  };
  if (!change.isChanged) return change;
  if (!options.confirm) {
    throw new Refused('not-confirmed', `${wouldDo(change)}\nNothing has changed: add --confirm to do so.`);
  }
  return { ...change, isChanged: await setGlobalList(db, account, after, { actor }) };
}

export async function globalListOf(db: Db, { globalListId }: Account): Promise<List | null> {
  return globalListId === null ? null : getListById(db, globalListId);
}

function wouldDo({ account, list, before, after, entries, counts, otherLists }: Change): string {
  const held = counted(entries, 'entry', 'entries');
  const others = counted(otherLists, 'other list', 'other lists');
  const lost = 'Whom it alone suppresses could be mailed again by the other lists.';
  return [
    after === null
      ? `List ${list.publicId}, ${list.name}, with its ${held}, would count for itself alone, and no more for ${others} of account ${account.id}, ${account.name}. ${lost}`
      : `List ${list.publicId}, ${list.name}, would become the global list of account ${account.id}, ${account.name}: its ${held} would be suppressed on ${others} as well.`,
    ...(after === null || before === null
      ? []
      : [`List ${before.publicId}, ${before.name}, would be the global list no more. ${lost}`]),
    'The cursors of all lists of the account would end (410): mailers would have to take the whole lists again.',
    ...(after === null || after.cap === null ? [] : [capWarning(after.cap, counts, true)]),
  ].join('\n');
}

function done({ account, list, after, entries, otherLists }: Change): string {
  const held = counted(entries, 'entry', 'entries');
  const others = counted(otherLists, 'other list', 'other lists');
  return [
    after === null
      ? `Account ${account.id}, ${account.name}, has no global list any more: ${list.publicId}, ${list.name}, counts for itself alone.`
      : `List ${list.publicId}, ${list.name}, is the global list of account ${account.id}, ${account.name}: its ${held} are suppressed on ${others} as well.`,
    'Mailers have to take the whole lists again: their cursors are answered with 410.',
  ].join('\n');
}

function standing({ account, list, after }: Change): string {
  const whose = `the global list of account ${account.id}, ${account.name}`;
  return after?.id === list.id
    ? `List ${list.publicId}, ${list.name}, is ${whose}.`
    : `List ${list.publicId}, ${list.name}, is not ${whose}.`;
}

function changeJson({ account, before, after, isChanged, entries, otherLists }: Change): object {
  return {
    account_id: account.id,
    global_list: after?.publicId ?? null,
    before: before?.publicId ?? null,
    changed: isChanged,
    entries,
    other_lists: otherLists,
  };
}
