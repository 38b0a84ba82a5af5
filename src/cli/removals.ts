import { InvalidArgumentError, type Command } from 'commander';
import { getAccount } from '../core/accounts.js';
import {
  bulkRemovalsOfAccount,
  bulkRemovalsOfList,
  getBulkRemoval,
  type BulkRemoval,
} from '../core/bulk-removals.js';
import { getListById } from '../core/lists.js';
import { restoreRemoval, takeBackMs } from '../core/restore-removal.js';
import { accountId, chosenList, listArgument } from './arguments.js';
import { counted, print, printJson, table, timeOf } from './output.js';
import { actor, reading, withSession } from './session.js';

export function addRemovalsCommands(program: Command): void {
  const removals = program
    .command('removals')
    .summary('removals of many opt-outs at once: list, restore')
    .description(
      'Removals of many opt-outs at once, by an API or by signoff list clear. Each can be taken back as one for ' +
        '30 days.',
    );
  addList(removals);
  addRestore(removals);
}

function addList(removals: Command): void {
  removals
    .command('list')
    .summary('show the removals')
    .description(
      'Shows the removals of an account, of all, or of one list with --list, the newest first; at most 1,000. ' +
        'STATE is removing or restoring while the keeper still works at it.',
    )
    .argument('[account]', 'the id of the account', accountId)
    .option('--list <list>', listArgument)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff removals list\n  $ signoff removals list --list "Acme News" --json',
    )
    .action((id: number | undefined, options: { list?: string; json?: true }) =>
      withSession(async (session) => {
        const found = await reading(session, async (db) => {
          if (options.list !== undefined)
            return bulkRemovalsOfList(db, (await chosenList(db, options.list)).id);
          return bulkRemovalsOfAccount(db, id === undefined ? null : (await getAccount(db, id)).id);
        });
        const rows: [BulkRemoval, string][] = [];
        const names = new Map<number, string>();
        for (const removal of found) {
          const { listId } = removal;
          const name =
            names.get(listId) ?? (await reading(session, (db) => getListById(db, listId))).publicId;
          names.set(listId, name);
          rows.push([removal, name]);
        }
        if (options.json) return printJson(rows.map(([removal, list]) => shown(removal, list)));
        print(
          table(
            ['ID', 'LIST', 'WHAT', 'AT', 'BY', 'STATE', 'OPT-OUTS', 'BROUGHT BACK'],
            rows.map(([removal, list]) => [
              ...[String(removal.id), list, removal.kind, timeOf(removal.at) ?? '', removal.actor],
              ...[removal.state, String(removal.optOuts), String(removal.restored)],
            ]),
            'There is no removal of many opt-outs.',
          ),
        );
      }),
    );
}

function addRestore(removals: Command): void {
  removals
    .command('restore')
    .summary('take a removal back')
    .description(
      'Takes a removal back: what it removed suppresses again. What was recorded anew, removed otherwise, or ran ' +
        'out since stays as it is, and erased people stay erased: their hashes come back. Works once, within 30 days. ' +
        'Of large lists, the service brings the rest back after the command has ended.',
    )
    .argument('<id>', 'the id of the removal (signoff removals list)', removalId)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff removals restore 3\n  $ signoff removals restore 3 --json',
    )
    .action((id: number, options: { json?: true }) =>
      withSession(async (session) => {
        const removal = await reading(session, (db) => getBulkRemoval(db, id));
        const { db } = session;
        const restored = await restoreRemoval(db, removal, { actor });
        const { publicId } = await reading(session, (one) => getListById(one, removal.listId));
        if (options.json) return printJson(shown(restored, publicId));
        print(
          `${counted(restored.restored, 'opt-out suppresses', 'opt-outs suppress')} again on list ${publicId}` +
            (restored.state === 'restoring' ? ', and the service brings the others back.' : '.'),
        );
      }),
    );
}

function removalId(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('A removal has a number as its id.');
  return Number(text);
}

/** What `--json` shows of a removal, here and where a list is cleared. */
export function shown(removal: BulkRemoval, list: string): Record<string, unknown> {
  return {
    id: removal.id,
    account_id: removal.accountId,
    list,
    kind: removal.kind,
    at: timeOf(removal.at),
    until: timeOf(removal.at + takeBackMs),
    actor: removal.actor,
    state: removal.state,
    opt_outs: removal.optOuts,
    restored: removal.restored,
    finished_at: timeOf(removal.finishedAt),
    restored_at: timeOf(removal.restoredAt),
    restored_by: removal.restoredBy,
  };
}
