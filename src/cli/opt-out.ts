import type { Command } from 'commander';
import { parseAddress, type Address } from '../core/address.js';
import { getListById, type List } from '../core/lists.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { removeAddresses } from '../core/removals.js';
import { findSuppressed } from '../core/suppressed.js';
import { addressFaults } from '../core/row-faults.js';
import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { chosenList, listArgument } from './arguments.js';
import { addAddCommand } from './opt-out-add.js';
import { addCheckCommand } from './opt-out-check.js';
import { counted, print, printJson } from './output.js';
import { actor, changing, withSession } from './session.js';

export function addOptOutCommands(program: Command): void {
  const optOut = program
    .command('opt-out')
    .summary('record, look up and remove opt-outs')
    .description('Opt-outs: addresses that have left a list, or one tag of it.');
  addAddCommand(optOut);
  addCheckCommand(optOut);
  addRemove(optOut);
}

function addRemove(optOut: Command): void {
  optOut
    .command('remove')
    .summary('take an address off a list again')
    .description(
      'Takes an address off a list again, so that its mail may reach it: all of its opt-outs, or the one from ' +
        'a tag. Downloads of changes tell the mailers. The history notes it by the hash of the address. Only do ' +
        'this where the recipient asked for it.',
    )
    .argument('<list>', listArgument)
    .argument('<address>', 'the e-mail address')
    .option('--tag <tag>', 'takes back the opt-out from this tag alone (* is the one from everything)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff opt-out remove "Acme News" ann@example.com
  $ signoff opt-out remove "Acme News" ann@example.com --tag sale`,
    )
    .action((listText: string, addressText: string, options: { tag?: string; json?: true }) =>
      withSession(async (session) => {
        const { normalised } = typedAddress(addressText);
        const { list, removed, stillOn } = await changing(session, async (db) => {
          const chosen = await chosenList(db, listText);
          const tag = options.tag === undefined ? undefined : knownTag(chosen, options.tag);
          const gone = await removeAddresses(db, chosen, [normalised], { tag, actor });
          return {
            list: chosen,
            removed: gone.get(normalised) ?? 0,
            stillOn: await suppressing(db, chosen, normalised, tag ?? EVERYTHING),
          };
        });
        if (options.json) {
          return printJson({ list: list.publicId, address: normalised, removed, ...suppressedJson(stillOn) });
        }
        print(
          removed === 0
            ? `There was no such opt-out of ${normalised} on ${list.name}; nothing has changed.`
            : `${normalised}: ${counted(removed, 'opt-out', 'opt-outs')} removed from ${list.name}.`,
        );
        for (const { id, publicId, name } of stillOn) {
          print(
            id === list.id
              ? 'It is still suppressed, by its opt-out from everything (--tag "*").'
              : `It is still suppressed, by the global list ${publicId}, ${name}.`,
          );
        }
      }),
    );
}

/** The lists for which mail of one must not reach an address: this one, the global one, or both. */
export async function suppressing(db: Db, list: List, normalised: string, tag: string): Promise<List[]> {
  const ids = (await findSuppressed(db, list.id, [normalised], { tag })).get(normalised) ?? new Set();
  const lists: List[] = [];
  for (const id of ids) lists.push(id === list.id ? list : await getListById(db, id));
  return lists;
}

export function suppressedJson(lists: readonly List[]): Record<string, unknown> {
  return { suppressed: lists.length > 0, suppressed_by: lists.map(({ publicId }) => publicId) };
}

/**
 * The address of an argument, which a person typed.
 *
 * @throws Invalid
 */
export function typedAddress(text: string): Address {
  const result = parseAddress(text, { typed: true });
  if (!result.ok) throw new Invalid('email', result.problem, addressFaults[result.problem]);
  return result.address;
}

/**
 * A tag that the list knows, or `*`. Elsewhere an unknown one means everything; whoever types it here can
 * be told.
 *
 * @param more tags that pass as well: those of the global list, where it counts.
 * @throws Invalid
 */
export function knownTag(list: List, text: string, more: ReadonlySet<string> = new Set()): string {
  const tag = text.trim().normalize('NFC');
  if (tag === EVERYTHING || list.tags.has(tag) || more.has(tag)) return tag;
  throw new Invalid(
    'tag',
    'unknown',
    `list ${list.publicId} does not know this tag; signoff list edit ${list.publicId} --tag ${JSON.stringify(tag)} adds it`,
  );
}
