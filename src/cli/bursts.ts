import { InvalidArgumentError, type Command } from 'commander';
import { getAccount } from '../core/accounts.js';
import { revertBurst, tallyBurst, type BurstOptOuts } from '../core/burst-revert.js';
import { getBurst, listBursts, type Burst } from '../core/bursts.js';
import { isPrivateIp } from '../core/ip-whitelist.js';
import { Refused } from '../errors.js';
import { accountId } from './arguments.js';
import { counted, print, printJson, table, timeOf, warn } from './output.js';
import { actor, reading, withSession } from './session.js';

/** Going through a large feed for its rows is a matter of many small queries; none of them takes long. */
const shownWithCounts = 20;

export function addBurstsCommands(program: Command): void {
  const bursts = program
    .command('bursts')
    .summary('mass opt-outs that were flagged: list, revert')
    .description(
      'Bursts: many opt-outs that one client (an IPv4 address, or the /56 of an IPv6 one) brought through one ' +
        'door in a short time, by other ways than a signed link or a server of yours. They count like any other, ' +
        'until you take them back.',
    );
  addList(bursts);
  addRevert(bursts);
}

function addList(bursts: Command): void {
  bursts
    .command('list')
    .summary('show the bursts')
    .description(
      'Shows bursts, the newest first, of an account or of all; at most 200. OPT-OUTS is what taking it back ' +
        `would remove now, counted for the ${shownWithCounts} newest.`,
    )
    .argument('[account]', 'the id of the account', accountId)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  $ signoff bursts list\n  $ signoff bursts list 2 --json')
    .action((id: number | undefined, options: { json?: true }) =>
      withSession(async (session) => {
        const found = await reading(session, async (db) => {
          if (id !== undefined) await getAccount(db, id);
          return listBursts(db, id ?? null);
        });
        const rows: [Burst, BurstOptOuts | null][] = [];
        for (const burst of found) {
          const isCounted = rows.length < shownWithCounts;
          rows.push([burst, isCounted ? await reading(session, (db) => tallyBurst(db, burst)) : null]);
        }
        if (options.json) return printJson(rows.map(([burst, tally]) => shown(burst, tally)));
        print(
          table(
            ['ID', 'ACCOUNT', 'SOURCE', 'NETWORK', 'FROM', 'TO', 'RECIPIENTS', 'OPT-OUTS', 'TAKEN BACK'],
            rows.map(([burst, tally]) => [
              ...[String(burst.id), String(burst.accountId), burst.source, burst.network],
              ...[timeOf(burst.startedAt) ?? '', timeOf(burst.lastAt) ?? '', `${burst.recipients} or more`],
              ...[tally === null ? '' : String(tally.forged), revertedText(burst)],
            ]),
            'There is no burst.',
          ),
        );
      }),
    );
}

function addRevert(bursts: Command): void {
  bursts
    .command('revert')
    .summary('take a burst back')
    .description(
      'Takes a burst back: what its client recorded by its door from its beginning to its end. The addresses ' +
        'get mail again, and downloads of changes tell the mailers. What stood before, signed links, and what ' +
        'somebody else recorded again since, stay. Whom it pushed off a list by its cap come back. Broken off, ' +
        'it is simply done again. People who left by the same door from the same address meanwhile cannot be ' +
        'told apart: they would get mail again.',
    )
    .argument('<id>', 'the id of the burst (signoff bursts list)', burstId)
    .option('--confirm', 'do it; without, the command only says what would change')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  $ signoff bursts revert 3              what would change\n  $ signoff bursts revert 3 --confirm',
    )
    .action((id: number, options: { confirm?: true; json?: true }) =>
      withSession(async (session) => {
        const burst = await reading(session, (db) => getBurst(db, id));
        if (isPrivateIp(burst.network.replace(/\/56$/, ''))) {
          warn(
            'This is a private address: if a proxy has it, the opt-outs of everybody behind it are among these.',
          );
        }
        if (!options.confirm) {
          const tally = await reading(session, (db) => tallyBurst(db, burst));
          throw new Refused(
            'not-confirmed',
            `${wouldDo(burst, tally)}\nNothing has changed: add --confirm to do so.`,
          );
        }
        const done = await revertBurst(session.db, burst, {
          actor,
          timeoutMs: session.config.databaseTimeoutMs,
        });
        const after = await reading(session, (db) => getBurst(db, id));
        if (options.json) {
          return printJson({
            ...shown(after, null),
            taken_back: done.forged,
            stayed: done.vouched,
            restored: done.restored,
          });
        }
        print(`${counted(done.forged, 'opt-out was', 'opt-outs were')} taken back.`);
        if (done.vouched > 0) {
          print(
            `${counted(done.vouched, 'opt-out', 'opt-outs')} of that time stayed: by a signed link, or somebody else ` +
              'recorded the same address as well.',
          );
        }
        if (done.restored > 0) {
          print(
            `${counted(done.restored, 'opt-out', 'opt-outs')} that had left by the cap of a list since then came back.`,
          );
        }
        if (after.lastAt > burst.lastAt)
          warn('The burst went on meanwhile: take it back again when it is over.');
      }),
    );
}

function wouldDo(burst: Burst, { forged, vouched }: BurstOptOuts): string {
  return (
    `Burst ${burst.id}, ${burst.source} from ${burst.network}, ${timeOf(burst.startedAt)} to ${timeOf(burst.lastAt)}: ` +
    `${counted(forged, 'opt-out', 'opt-outs')} would be taken back, ${vouched.toLocaleString('en-US')} would stay.`
  );
}

function burstId(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('A burst has a number as its id.');
  return Number(text);
}

function revertedText({ reverted, revertedAt }: Burst): string {
  return revertedAt === null ? 'no' : `${reverted ?? 0}, ${timeOf(revertedAt)}`;
}

function shown(burst: Burst, tally: BurstOptOuts | null): Record<string, unknown> {
  return {
    id: burst.id,
    account_id: burst.accountId,
    source: burst.source,
    network: burst.network,
    started_at: timeOf(burst.startedAt),
    last_at: timeOf(burst.lastAt),
    recipients: burst.recipients,
    opt_outs: tally?.forged ?? null,
    reverted_at: timeOf(burst.revertedAt),
    reverted: burst.reverted,
  };
}
