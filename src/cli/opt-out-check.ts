import process from 'node:process';
import type { Command } from 'commander';
import { getAccount } from '../core/accounts.js';
import type { List } from '../core/lists.js';
import { EVERYTHING, type OptOutRecord } from '../core/opt-outs.js';
import { findOptOuts, findSuppressed } from '../core/suppressed.js';
import { addressFaults } from '../core/row-faults.js';
import { readAddressLines } from './address-lines.js';
import { chosenList, listArgument } from './arguments.js';
import { globalListOf } from './list-global.js';
import { knownTag, suppressedJson, suppressing, typedAddress } from './opt-out.js';
import { facts, print, printJson, timeOf, warn } from './output.js';
import { reading, withSession, type Session } from './session.js';

interface CheckOptions {
  readonly tag?: string;
  readonly exitCode?: true;
  readonly json?: true;
}

/** With --exit-code: that an address is suppressed, apart from 1 for a check that failed. */
const suppressedCode = 3;

export function addCheckCommand(optOut: Command): void {
  optOut
    .command('check')
    .summary('tell whether an address is suppressed')
    .description(
      'Tells whether the mail of a list must not reach an address, with all that the list and the global list ' +
        'of its account know of it. With - for the address, reads any number of them from standard input, a line each, and answers each with a ' +
        'line: the address, a tab, and suppressed or not suppressed (--json: one object a line).',
    )
    .argument('<list>', listArgument)
    .argument('<address>', 'the e-mail address, or - for a line each of standard input')
    .option('--tag <tag>', 'whether mail of this tag must not reach it')
    .option('--exit-code', `end with ${suppressedCode} where any address is suppressed`)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ signoff opt-out check "Acme News" ann@example.com
  $ signoff opt-out check "Acme News" ann@example.com --tag sale --json
  $ signoff opt-out check "Acme News" - < addresses.txt | grep -v "	suppressed$"`,
    )
    .action((listText: string, addressText: string, options: CheckOptions) =>
      withSession(async (session) => {
        const { list, global } = await reading(session, async (db) => {
          const one = await chosenList(db, listText);
          const marked = await globalListOf(db, await getAccount(db, one.accountId));
          return { list: one, global: marked?.id === one.id ? null : marked };
        });
        const tag = options.tag === undefined ? EVERYTHING : knownTag(list, options.tag, global?.tags);
        const isAny =
          addressText === '-'
            ? await checkLines(session, list, tag, options)
            : await checkOne(session, { list, global }, tag, addressText, options);
        if (isAny && options.exitCode) process.exitCode ??= suppressedCode;
      }),
    );
}

async function checkOne(
  session: Session,
  { list, global }: { list: List; global: List | null },
  tag: string,
  text: string,
  options: CheckOptions,
): Promise<boolean> {
  const { normalised } = typedAddress(text);
  const { by, rows, globalRows } = await reading(session, async (db) => ({
    by: await suppressing(db, list, normalised, tag),
    rows: await findOptOuts(db, list.id, normalised),
    globalRows: global === null ? [] : await findOptOuts(db, global.id, normalised),
  }));
  if (options.json) {
    printJson({
      ...{ list: list.publicId, address: normalised, tag, ...suppressedJson(by) },
      ...{ opt_outs: rows.map(shown), global_list: global?.publicId ?? null },
      global_opt_outs: globalRows.map(shown),
    });
    return by.length > 0;
  }
  const whole = tag === EVERYTHING ? list.name : `${tag} of ${list.name}`;
  const other = by.find(({ id }) => id !== list.id);
  const onGlobal =
    other === undefined ? '' : `, ${by.length > 1 ? 'and ' : ''}on the global list ${other.name}`;
  print(`${normalised} is ${by.length > 0 ? '' : 'not '}suppressed on ${whole}${onGlobal}.`);
  for (const row of rows) print(`\n${rowFacts(row)}`);
  if (globalRows.length > 0) print(`\nOn the global list ${global?.name}:`);
  for (const row of globalRows) print(`\n${rowFacts(row)}`);
  return by.length > 0;
}

async function checkLines(
  session: Session,
  list: List,
  tag: string,
  options: CheckOptions,
): Promise<boolean> {
  let isAny = false;
  for await (const batch of readAddressLines(process.stdin)) {
    const good = batch.flatMap(({ result }) => (result.ok ? [result.address.normalised] : []));
    const found = await reading(session, (db) => findSuppressed(db, list.id, good, { tag }));
    for (const { line, result } of batch) {
      if (!result.ok) {
        warn(`line ${line}: ${addressFaults[result.problem]}`);
        process.exitCode = 1;
        continue;
      }
      const address = result.address.normalised;
      const suppressed = found.has(address);
      const isOnGlobal = [...(found.get(address) ?? [])].some((id) => id !== list.id);
      isAny ||= suppressed;
      if (options.json) print(JSON.stringify({ line, address, suppressed, on_global_list: isOnGlobal }));
      else print(`${address}\t${suppressed ? 'suppressed' : 'not suppressed'}`);
    }
  }
  return isAny;
}

/** What kind of entry it is, by what is known of the address. */
export function kindOf({
  address,
  address_key,
  sha256,
}: OptOutRecord): 'address' | 'md5' | 'sha256' | 'erased' {
  if (address !== null) return 'address';
  if (sha256 === null) return 'md5';
  return sha256.subarray(0, 16).equals(address_key) ? 'sha256' : 'erased';
}

function shown(row: OptOutRecord): Record<string, unknown> {
  return {
    tag: row.tag.toString(),
    kind: kindOf(row),
    given: (row.given ?? row.address)?.toString() ?? null,
    source: row.source,
    created_at: timeOf(row.created_at),
    recorded_at: timeOf(row.recorded_at),
    last_at: timeOf(row.last_at),
    repeats: row.repeats,
    reason: row.reason?.toString() ?? null,
    expires_at: timeOf(row.expires_at),
    removed_at: timeOf(row.removed_at),
    mailer_id: row.mailer_id,
    feed_number: row.feed_number,
  };
}

function rowFacts(row: OptOutRecord): string {
  const tag = row.tag.toString();
  const known: [string, string | null][] = [
    ['Opted out of', tag === EVERYTHING ? 'everything' : tag],
    ['When', timeOf(row.created_at)],
    ['Recorded', timeOf(row.recorded_at)],
    ['Source', row.source],
    [
      'Known as',
      { address: null, md5: 'an MD5', sha256: 'a SHA-256', erased: 'erased' }[kindOf(row)] ?? null,
    ],
    ['Typed as', row.given?.toString() ?? null],
    ['Again', row.repeats === 0 ? null : `${row.repeats} times, last ${timeOf(row.last_at)}`],
    ['Reason', row.reason === null ? null : JSON.stringify(row.reason.toString())],
    ['Mailer', row.mailer_id === null ? null : String(row.mailer_id)],
    ['Expires', timeOf(row.expires_at)],
    ['Removed', timeOf(row.removed_at)],
  ];
  return facts(known.flatMap(([name, value]) => (value === null ? [] : [[`  ${name}`, value] as const])));
}
