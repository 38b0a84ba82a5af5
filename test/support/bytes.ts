import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describeTables, readRows } from '../../src/db/tables.js';
import type { Db } from '../../src/db/connect.js';

/**
 * Looks for texts in every file of a folder, whatever the file: as they are, and in any case of ASCII letters.
 *
 * @param texts of letters and digits, none a part of another.
 * @returns by file, those that were found.
 */
export function foundInFiles(folder: string, texts: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const any = new RegExp(texts.join('|'), 'gi');
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const those = new Set<string>();
    // Never in this process: to close a file of SQLite's gives up the locks that its connections here hold.
    const content = execFileSync('cat', [file], { encoding: 'latin1', maxBuffer: 2 ** 30 });
    for (const [text] of content.matchAll(any)) those.add(text.toLowerCase());
    if (those.size > 0) found.set(path.relative(folder, file), [...those]);
  }
  return found;
}

/** The tables that hold a text in any of their columns. */
export async function foundInTables(db: Db, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const table of await describeTables(db)) {
    for await (const rows of readRows(db, table)) {
      const values = rows
        .flat()
        .map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value)));
      if (values.some((value) => value.toLowerCase().includes(text))) found.push(table.name);
    }
  }
  return [...new Set(found)];
}
