import type { Command } from 'commander';
import { getAccount } from '../core/accounts.js';
import { liftBlock, listBlocks, type Block } from '../core/blocks.js';
import { parseIp } from '../core/ip-whitelist.js';
import { clientNetworkOf } from '../db/client-network.js';
import { Invalid } from '../errors.js';
import { accountId } from './arguments.js';
import { print, printJson, table, timeOf } from './output.js';
import { actor, changing, reading, withSession } from './session.js';

export function addBlocksCommands(program: Command): void {
  const blocks = program
    .command('blocks')
    .summary('who is kept out of the machine doors: list, lift')
    .description(
      'Blocks: clients (an IPv4 address, or the /56 of an IPv6 one) that brought more different recipients to the ' +
        'pixel, to unsigned one-click and to instant links than the attack rule lets pass, and are kept out of ' +
        'these for a while. The form, the button and signed links stay open to them.',
    );
  addList(blocks);
  addLift(blocks);
}

function addList(blocks: Command): void {
  blocks
    .command('list')
    .summary('show the blocks that stand')
    .description('Shows the blocks that stand, of an account or of all.')
    .argument('[account]', 'the id of the account', accountId)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff blocks list\n  $ signoff blocks list 2 --json')
    .action((id: number | undefined, options: { json?: true }) =>
      withSession(async (session) => {
        const found = await reading(session, async (db) => {
          if (id !== undefined) await getAccount(db, id);
          return listBlocks(db, id ?? null);
        });
        if (options.json) return printJson(found.map(shown));
        print(
          table(
            ['ACCOUNT', 'NETWORK', 'SINCE', 'UNTIL'],
            found.map((one) => [
              String(one.accountId),
              one.network,
              timeOf(one.startedAt) ?? '',
              timeOf(one.endsAt) ?? '',
            ]),
            'Nobody is blocked.',
          ),
        );
      }),
    );
}

function addLift(blocks: Command): void {
  blocks
    .command('lift')
    .summary('end a block')
    .description(
      'Ends a block, on all nodes within two seconds. The counting starts anew from there; to have an address ' +
        'never blocked, put it on the IP whitelist of the list.',
    )
    .argument('<account>', 'the id of the account', accountId)
    .argument('<network>', 'the network as signoff blocks list shows it, or an address in it')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff blocks lift 1 203.0.113.7
  $ signoff blocks lift 1 2001:db8:0:100::/56`,
    )
    .action((id: number, text: string, options: { json?: true }) =>
      withSession(async (session) => {
        const network = networkOf(text);
        const windowMs = session.config.attackWindowMs;
        await changing(session, async (db) => {
          await getAccount(db, id);
          await liftBlock(db, id, network, { actor, windowMs });
        });
        if (options.json) return printJson({ account_id: id, network, lifted: true });
        print(`${network} may use the machine doors of account ${id} again, in two seconds at the latest.`);
        print(
          'Whoever is a mailer of yours is let in for good by the IP whitelist: ' +
            `signoff list edit LIST --ip-whitelist "…, ${network}" (all of its entries, old ones included).`,
        );
      }),
    );
}

/** @throws Invalid */
function networkOf(text: string): string {
  const ip = parseIp(text.trim().replace(/\/56$/, ''));
  if (ip === null) {
    throw new Invalid(
      'network',
      'malformed',
      'network is neither an address nor one that signoff blocks list shows',
    );
  }
  return clientNetworkOf(ip);
}

function shown({ accountId: id, network, startedAt, endsAt }: Block): Record<string, unknown> {
  return { account_id: id, network, started_at: timeOf(startedAt), ends_at: timeOf(endsAt) };
}
