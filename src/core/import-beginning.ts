import { Readable } from 'node:stream';
import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';
import { linesIn } from './csv.js';
import { readChunks } from './import-chunks.js';
import type { ImportJobRow } from './import-jobs.js';
import { sampleLines } from './import-layout.js';
import { CutOff, textOctets, type FoundOut } from './import-octets.js';

/** The beginning of a file that was uploaded, as far as it is looked at before it is imported. */
export interface Beginning {
  /** UTF-8, and whole lines, unless the first one is longer than this. */
  readonly text: Buffer;
  /** There is no more of the file. */
  readonly isWhole: boolean;
  /** `other`: none that we read; letters beyond ASCII cannot be told then. */
  readonly encoding: FoundOut['encoding'] | 'other';
  readonly isGzip: boolean;
  /** Its first lines that are not blank, as `layoutOf` has them. */
  readonly lines: readonly string[];
}

/** Octets of the text; and chunks of the file as it came. */
const mostText = 256 * 1024;
const mostChunks = 4;

/**
 * Belongs to a job whose file is there.
 *
 * @throws Refused for what is no text, whatever is said of its columns, and for a file that is empty.
 */
export async function readBeginning(db: Db, jobId: number): Promise<Beginning> {
  const row = await db<ImportJobRow>('import_jobs').where({ id: jobId }).first('chunks');
  const chunks = row?.chunks ?? 0;
  const parts: Buffer[] = [];
  let length = 0;
  let isWhole = chunks <= mostChunks;
  let found: FoundOut = { encoding: 'utf-8', isGzip: false };
  try {
    const input = readChunks(db, jobId, Math.min(chunks, mostChunks));
    for await (const part of textOctets(input, Infinity, (told) => void (found = told))) {
      parts.push(part);
      length += part.length;
      if (length < mostText) continue;
      isWhole = false;
      break;
    }
  } catch (error) {
    // What was unpacked before is good; whether the file is damaged, its import tells.
    if (!(error instanceof CutOff)) throw error;
    isWhole = false;
  }
  const all = Buffer.concat(parts);
  const end = Math.max(all.lastIndexOf('\n'), all.lastIndexOf('\r'));
  const text = isWhole || end === -1 ? all : all.subarray(0, end + 1);
  if (text.includes(0)) {
    throw new Refused('not-text', 'This is no text: save the addresses as CSV, or as text with one a line.');
  }
  const lines = await firstLines(text);
  if (lines.length === 0 && isWhole) throw new Refused('empty', 'The file is empty.');
  return { text, isWhole, isGzip: found.isGzip, encoding: isUtf8(text) ? found.encoding : 'other', lines };
}

async function firstLines(text: Buffer): Promise<string[]> {
  const lines: string[] = [];
  for await (const some of linesIn(Readable.from([text]), { cutsLong: true })) {
    for (const { text: line, number } of some) {
      const bare = number === 1 ? line.replace(/^\u00EF\u00BB\u00BF/, '') : line;
      if (bare.trim() !== '') lines.push(bare);
      if (lines.length === sampleLines) return lines;
    }
  }
  return lines;
}

function isUtf8(text: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(text);
    return true;
  } catch {
    return false;
  }
}
