import { spawnSync } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { describeTables, readRows } from '../../src/db/tables.js';
import type { Db } from '../../src/db/connect.js';

/**
 * Looks for texts in every file of a folder, whatever the file: as they are, and in any case of ASCII letters.
 *
 * @param texts of letters and digits, none a part of another.
 * @returns by file, those that were found.
 */
export function foundInFiles(folder: string, texts: readonly string[]): Map<string, string[]> {
  // Never in this process: to close a file of SQLite's gives up the locks that its connections here hold.
  const { stdout, status, stderr } = spawnSync(
    'grep',
    [
      '--recursive',
      '--text',
      '--only-matching',
      '--ignore-case',
      '--fixed-strings',
      '--null',
      '-f',
      '-',
      '.',
    ],
    {
      cwd: folder,
      input: texts.join('\n'),
      encoding: 'latin1',
      maxBuffer: 2 ** 30,
      env: { ...process.env, LC_ALL: 'C' },
    },
  );
  if (status !== 0 && status !== 1) throw new Error(`grep: ${stderr}`);
  const found = new Map<string, Set<string>>();
  for (const line of stdout.split('\n').filter(Boolean)) {
    const [file = '', text = ''] = line.split('\0');
    const name = path.normalize(file);
    found.set(name, (found.get(name) ?? new Set()).add(text.toLowerCase()));
  }
  return new Map([...found].map(([file, those]) => [file, [...those]]));
}

/** The tables that hold one of the texts in any of their columns. */
export async function foundInTables(db: Db, ...texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const table of await describeTables(db)) {
    for await (const rows of readRows(db, table)) {
      const values = rows
        .flat()
        .map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value)));
      const holds = (value: string) => texts.some((text) => value.includes(text));
      if (values.some((value) => holds(value.toLowerCase()))) found.push(table.name);
    }
  }
  return [...new Set(found)];
}
