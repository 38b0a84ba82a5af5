import process from 'node:process';
import type { Command } from 'commander';
import type { Address } from '../core/address.js';
import type { List } from '../core/lists.js';
import { EVERYTHING, type OptOut } from '../core/opt-outs.js';
import { createRecorder, type Recorder } from '../core/recorder.js';
import { addressFaults } from '../core/row-faults.js';
import { checkDurability } from '../db/connect.js';
import { readAddressLines, type AddressLine } from './address-lines.js';
import { chosenList, listArgument } from './arguments.js';
import { knownTag, typedAddress } from './opt-out.js';
import { counted, print, printJson, warn } from './output.js';
import { sentenceOf } from './problems.js';
import { reading, withSession, type Session } from './session.js';

interface AddOptions {
  readonly tag?: string;
  readonly json?: true;
}

export function addAddCommand(optOut: Command): void {
  optOut
    .command('add')
    .summary('record opt-outs')
    .description(
      'Records that an address has left a list, or one tag of it; recording it again changes nothing. With - ' +
        'for the address, reads any number of them from standard input, a line each: what is no address is told ' +
        'by its line number, and the others are recorded. What is reported as recorded is committed.',
    )
    .argument('<list>', listArgument)
    .argument('<address>', 'the e-mail address, or - for a line each of standard input')
    .option('--tag <tag>', 'one tag of the list; without it, all of its mail')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff opt-out add "Acme News" ann@example.com
  $ signoff opt-out add "Acme News" ann@example.com --tag sale
  $ signoff opt-out add "Acme News" - < addresses.txt`,
    )
    .action((listText: string, addressText: string, options: AddOptions) =>
      withSession(async (session) => {
        const { config, db } = session;
        // As the service does before it starts: what is reported as recorded has to outlast a power cut.
        await reading(session, () => checkDurability(db, config.acceptLosingOptOuts));
        const list = await reading(session, () => chosenList(db, listText));
        const tag = options.tag === undefined ? EVERYTHING : knownTag(list, options.tag);
        const recorder = recorderOf(session);
        if (addressText === '-') await addLines(recorder, list, tag, options);
        else await addOne(recorder, list, tag, addressText, options);
        await recorder.drain();
      }),
    );
}

/** The keeper of the running service numbers what this brings: it looks each half second. */
function recorderOf({ config, db }: Session): Recorder {
  return createRecorder(db, {
    queueRows: config.recordQueueRows,
    timeoutMs: config.databaseTimeoutMs,
    onCommit: () => undefined,
  });
}

async function addOne(
  recorder: Recorder,
  list: List,
  tag: string,
  text: string,
  options: AddOptions,
): Promise<void> {
  const address = typedAddress(text);
  await recorder.record([optOutNow(list, tag, address)]);
  if (options.json) {
    return printJson({ list: list.publicId, address: address.normalised, tag, recorded: 1, refused: 0 });
  }
  print(`${address.normalised} has opted out of ${tag === EVERYTHING ? '' : `${tag} of `}${list.name}.`);
}

async function addLines(recorder: Recorder, list: List, tag: string, options: AddOptions): Promise<void> {
  let recorded = 0;
  let refused = 0;
  for await (const batch of readAddressLines(process.stdin)) {
    const optOuts: OptOut[] = [];
    for (const { line, result } of batch) {
      if (result.ok) optOuts.push(optOutNow(list, tag, result.address));
      else {
        refused++;
        warn(`line ${line}: ${addressFaults[result.problem]}`);
      }
    }
    try {
      await recorder.record(optOuts);
    } catch (error) {
      warn(sentenceOf(error));
      warn(notRecorded(batch, recorded));
      process.exitCode = 1;
      return;
    }
    recorded += optOuts.length;
  }
  if (refused > 0) process.exitCode = 1;
  if (options.json) return printJson({ list: list.publicId, tag, recorded, refused });
  print(
    `${counted(recorded, 'opt-out', 'opt-outs')} of ${list.name} recorded` +
      (refused === 0 ? '.' : `; ${counted(refused, 'line', 'lines')} refused.`),
  );
}

function notRecorded(batch: readonly AddressLine[], recorded: number): string {
  const from = batch[0]?.line ?? 1;
  return (
    `${counted(recorded, 'opt-out', 'opt-outs')} before line ${from} recorded. Whether those from there on are is ` +
    'unknown: send them again, since recording an opt-out twice is harmless.'
  );
}

function optOutNow(list: List, tag: string, address: Address): OptOut {
  const now = Date.now();
  const listId = list.id;
  return { listId, address, tag, source: 'console', createdAt: now, recordedAt: now, isVouched: true };
}
