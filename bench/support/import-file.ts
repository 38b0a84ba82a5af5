import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Setting } from '../bench.js';
import { addressOfNumber } from './many-rows.js';

/** A file of so many addresses, a line each. */
export async function importFile(setting: Setting, lines: number): Promise<string> {
  const file = path.join(setting.folder, `import-${lines}.txt`);
  await pipeline(Readable.from(chunksOf(lines)), createWriteStream(file));
  return file;
}

function* chunksOf(lines: number): Generator<string> {
  for (let n = 0; n < lines; n += 1000) {
    let chunk = '';
    for (let i = n; i < Math.min(lines, n + 1000); i++) chunk += `${addressOfNumber(i)}\n`;
    yield chunk;
  }
}
