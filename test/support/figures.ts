import { readFileSync, writeFileSync } from 'node:fs';
import { projectPath } from '../../src/paths.js';

const [begin, end] = ['<!-- figures -->', '<!-- /figures -->'];

interface Figures {
  /** What they were measured on, for the line above the table. */
  readonly told: string;
  /** In Markdown; its last column is the day. */
  readonly table: string;
  /** So many of its first cells say what rows are about. */
  readonly keyCells: number;
  /** Where not everything was measured: the rows that stand and are about something else stay. */
  readonly isPart: boolean;
}

/** Puts figures in their place in a page of docs/. */
export function writeFigures(page: string, { told, table, keyCells, isPart }: Figures): void {
  const file = projectPath('docs', page);
  const text = readFileSync(file, 'utf8');
  const [before, rest = ''] = text.split(begin);
  const [standing = '', after] = rest.split(end);
  if (before === undefined || after === undefined) throw new Error(`${file} has no place for the figures`);
  const shown = isPart ? merged(standing, table, keyCells) : table;
  writeFileSync(file, `${before}${begin}\n\n${told}\n\n${shown}\n\n${end}${after}`);
}

function merged(standing: string, table: string, keyCells: number): string {
  const keyOf = (row: string) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, 1 + keyCells)
      .map((cell) => cell.trim())
      .join('|');
  const [head = '', line = '', ...rows] = table.split('\n');
  const fresh = new Map<string, string[]>();
  for (const row of rows) fresh.set(keyOf(row), [...(fresh.get(keyOf(row)) ?? []), row]);
  const kept = standing
    .split('\n')
    .filter((row) => row.startsWith('|'))
    .slice(2);
  const known = new Set(kept.map(keyOf));
  // All that stands about something goes where that was measured anew: there may be less to say of it.
  return [
    ...[head, line],
    ...kept.flatMap((row, i) => {
      const anew = fresh.get(keyOf(row));
      if (anew === undefined) return [row];
      return kept.findIndex((other) => keyOf(other) === keyOf(row)) === i ? anew : [];
    }),
    ...rows.filter((row) => !known.has(keyOf(row))),
  ].join('\n');
}
