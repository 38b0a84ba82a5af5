import type { Command } from 'commander';
import { removeAll } from '../core/bulk-removals.js';
import { getCounts } from '../core/feed.js';
import type { List } from '../core/lists.js';
import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { chosenList, listArgument } from './arguments.js';
import { counted, print, printJson } from './output.js';
import { shown } from './removals.js';
import { actor, reading, withSession } from './session.js';

export function addClearCommand(list: Command): void {
  list
    .command('clear')
    .summary('remove all opt-outs of a list; can be taken back for 30 days')
    .description(
      'Removes all that a list holds: its mail may reach these people again. The settings of the list, its ' +
        'links and its mailers stay. Who opts out meanwhile or afterwards stays too. For 30 days it can be ' +
        'taken back (signoff removals restore). Of large lists, the service removes the rest after the command ' +
        'has ended.',
    )
    .argument('<list>', listArgument)
    .option('--confirm', 'do it; without, the command only says what would go')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff list clear "Acme News"            how many would go\n  $ signoff list clear "Acme News" --confirm',
    )
    .action((listText: string, options: { confirm?: true; json?: true }) =>
      withSession(async (session) => {
        const list = await reading(session, (db) => chosenList(db, listText));
        const named = `List ${list.publicId}, ${list.name}`;
        if (!options.confirm) {
          const held = counted(await reading(session, (db) => entriesOf(db, list)), 'entry', 'entries');
          throw new Refused(
            'not-confirmed',
            `${named}, holds ${held}: all would go, and could be mailed again. Nothing has changed: add --confirm to do so.`,
          );
        }
        const removal = await removeAll(session.db, list, { actor });
        if (options.json) return printJson(shown(removal, list.publicId));
        const gone = counted(removal.optOuts, 'opt-out was', 'opt-outs were');
        const rest = removal.state === 'removing' ? ', and the service removes the others' : '';
        print(
          `${named}, is empty: ${gone} removed${rest}.\nUntil 30 days from now: signoff removals restore ${removal.id}`,
        );
      }),
    );
}

/** As of the last numbering. */
async function entriesOf(db: Db, list: List): Promise<number> {
  const { addresses, md5_only, sha256_only, erased } = await getCounts(db, list.id);
  return addresses + md5_only + sha256_only + erased;
}
