import type { ImportWarning } from '../core/import-batch.js';
import type { Layout } from '../core/import-layout.js';
import type { Refusal } from '../core/import-rows.js';
import { reasonOf } from '../core/row-faults.js';
import { counted, warn } from './output.js';
import type { RefusedRow } from './refused-file.js';

/** How many lines are told of each kind; all that were refused stand in their file. */
const mostTold = 20;

const warnings: Readonly<Record<ImportWarning['problem'], (text: string) => string>> = {
  date: () => 'its date cannot be read: the opt-out counts from now',
  future: () => 'its date is still to come: the opt-out counts from now',
  expires: () => 'its end cannot be read: the opt-out has none',
  tag: (text) =>
    `the list does not know the tag ${JSON.stringify(text)}: the opt-out is from all of its mail`,
};

export function refusedRowOf({ line, problem, raw }: Refusal): RefusedRow {
  return { line, reason: reasonOf(problem), raw };
}

/** Tells the first lines of each kind as they come, and how many more there were. */
export function createTeller(label: string, beforeTelling: () => void) {
  let refused = 0;
  let warned = 0;
  const tell = (text: string) => {
    beforeTelling();
    warn(`${label}${text}`);
  };
  return {
    refusals(rows: readonly RefusedRow[]): void {
      for (const { line, reason } of rows) if (++refused <= mostTold) tell(`line ${line}: ${reason}`);
    },
    warnings(all: readonly ImportWarning[]): void {
      for (const { line, problem, text } of all) {
        if (++warned <= mostTold) tell(`line ${line}, taken: ${warnings[problem](text)}`);
      }
    },
    rest(): void {
      if (refused > mostTold) tell(`… and ${counted(refused - mostTold, 'more row', 'more rows')} refused.`);
      if (warned > mostTold)
        tell(`… and ${counted(warned - mostTold, 'more row', 'more rows')} taken like that.`);
    },
    refused: () => refused,
    warned: () => warned,
  };
}

/** How a file was read: people see whether it was the column they meant. */
export function layoutText(layout: Layout): string {
  if (layout.type === 'lines') {
    const [only, ...others] = layout.kinds;
    const what = only === undefined || others.length > 0 ? 'addresses and hashes' : kinds[only];
    return `${what}, a line each`;
  }
  const { who, tag, date, reason } = layout.columns;
  const column = (place: number) => `column ${place + 1}`;
  const others = Object.entries({ tag, date, reason }).filter(([, place]) => place !== -1);
  return [
    `CSV ${layout.hasHeader ? 'with a line of names' : 'without a line of names'}`,
    `who has left in ${who.map(column).join(' or ')}`,
    ...others.map(([name, place]) => `${name} in ${column(place)}`),
  ].join(', ');
}

const kinds = { address: 'addresses', md5: 'MD5 hashes', sha256: 'SHA-256 hashes' } as const;
