import { Option, type Command } from 'commander';
import { namesOfList, nameList, unnameList } from '../core/list-names.js';
import { surfaces } from '../surfaces.js';
import { chosenList, listArgument } from './arguments.js';
import { print, printJson, table } from './output.js';
import { actor, changing, withSession } from './session.js';

interface NameOptions {
  readonly surface?: string;
  readonly name?: string;
  readonly remove?: true;
  readonly json?: true;
}

export function addNameCommand(list: Command): void {
  const named = surfaces.filter(({ listNoun }) => listNoun !== null);
  list
    .command('name')
    .summary('what the list is called in the APIs')
    .description(
      'Gives a list the name by which programs know it in an API, or takes that away; without a name, shows ' +
        `all of them. ${named.map(({ title, listNoun }) => `${title} calls it ${listNoun}`).join('; ')}. Everywhere, the list's id is a name as well.`,
    )
    .argument('<list>', listArgument)
    .addOption(new Option('--surface <api>', 'the API').choices(named.map(({ name }) => name)))
    .option('--name <name>', 'the name; compared without case')
    .option('--remove', 'take the name away')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff list name "Acme News"
${named.map(({ name }) => `  $ signoff list name "Acme News" --surface ${name} --name acme_news`).join('\n')}`,
    )
    .action((text: string, options: NameOptions, command: Command) => {
      const { surface, name } = options;
      if ((surface === undefined) !== (name === undefined)) {
        command.error('error: give --surface and --name together');
      }
      return withSession(async (session) => {
        const { chosen, names } = await changing(session, async (db) => {
          const found = await chosenList(db, text);
          if (surface !== undefined && name !== undefined) {
            await (options.remove ? unnameList : nameList)(db, found, surface, name, { actor });
          }
          return { chosen: found, names: await namesOfList(db, found) };
        });
        if (options.json) return printJson({ list: chosen.publicId, names });
        print(
          table(
            ['API', 'NAME'],
            names.map((one) => [one.surface, one.name]),
            `${chosen.name} has no name in any API; its id, ${chosen.publicId}, is one everywhere.`,
          ),
        );
      });
    });
}
