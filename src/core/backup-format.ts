/**
 * A backup, the same for both engines: lines of JSON, gzipped. The first is the header; then for each table
 * one that names it and its columns, and its rows, several a line; the last one holds how many rows each
 * table has, and the SHA-256 of all lines before it. What is binary is written in hexadecimal.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Table, Value } from '../db/tables.js';
import { Refused } from '../errors.js';
import {
  headerIn,
  isValue,
  markIn,
  type BackupHeader,
  type BackupTable,
  type BackupTrailer,
} from './backup-shapes.js';

export function tableLine({ name, columns }: Table, nextId: number | null): BackupTable {
  return {
    table: name,
    columns: columns.map((column) => column.name),
    octets: columns.filter(({ kind }) => kind === 'octets').map((column) => column.name),
    next_id: nextId,
  };
}

/**
 * A row as its line holds it.
 *
 * @throws Refused for a value of another kind than its column, which only SQLite would keep.
 */
export function encodeRow({ name, columns }: Table, row: readonly Value[]): unknown[] {
  return row.map((value, i) => {
    const isOctets = columns[i]?.kind === 'octets';
    if (value === null || isOctets !== Buffer.isBuffer(value)) {
      if (value === null) return null;
      throw new Refused(
        'column',
        `The table ${name} holds a value in its column ${columns[i]?.name} that is ${isOctets ? 'not binary' : 'binary'}: see signoff audit.`,
      );
    }
    return Buffer.isBuffer(value) ? value.toString('hex') : value;
  });
}

/** The values of a row's line; `isOctets` tells it of each column. */
export function decodeRow(row: readonly unknown[], isOctets: readonly boolean[]): Value[] {
  return row.map((value, i) =>
    isOctets[i] && typeof value === 'string' ? Buffer.from(value, 'hex') : (value as Value),
  );
}

/** Makes a backup's lines, and the trailer out of what it has made. */
export function createLineWriter(): {
  line(value: unknown): Buffer;
  rows(table: string, rows: readonly unknown[]): Buffer;
  end(): Buffer;
  readonly counts: Readonly<Record<string, number>>;
} {
  const hash = createHash('sha256');
  const counts: Record<string, number> = {};
  const line = (value: unknown) => {
    const octets = Buffer.from(`${JSON.stringify(value)}\n`);
    hash.update(octets);
    return octets;
  };
  return {
    line,
    rows(table, rows) {
      counts[table] = (counts[table] ?? 0) + rows.length;
      return line(rows);
    },
    end: () => line({ rows: counts, sha256: hash.copy().digest('hex') } satisfies BackupTrailer),
    counts,
  };
}

/** What a reader is given, piece by piece. */
export type BackupPiece =
  | { readonly header: BackupHeader }
  | { readonly table: BackupTable }
  | { readonly table: BackupTable; readonly rows: readonly (readonly unknown[])[] };

/** Far more than any line that is written. */
const longestLine = 64 * 1024 * 1024;

/**
 * Reads the lines of a backup, and checks them as they come: that it is whole is known only at the end.
 *
 * @returns its SHA-256.
 * @throws Refused saying what is wrong and where.
 */
export async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<BackupPiece, string> {
  const hash = createHash('sha256');
  const counts: Record<string, number> = {};
  let number = 0;
  let table: BackupTable | null = null;
  let isOctets: boolean[] = [];
  let sha256: string | null = null;
  const where = () => `line ${number}${table === null ? '' : `, in the table ${table.table}`}`;
  try {
    for await (const line of linesOf(chunks)) {
      number++;
      if (sha256 !== null) throw damaged(`goes on after its end, at line ${number}`);
      const value = parse(line);
      if (number === 1) yield { header: headerIn(value) };
      else if (Array.isArray(value) && table !== null) {
        if (!value.every((row) => fits(row, isOctets))) {
          throw damaged(`has rows that do not fit their table at ${where()}`);
        }
        counts[table.table] = (counts[table.table] ?? 0) + value.length;
        yield { table, rows: value as unknown[][] };
      } else {
        const mark = markIn(value, where());
        if (mark === null) throw damaged(`cannot be read at ${where()}`);
        if ('table' in mark) {
          table = mark;
          isOctets = mark.columns.map((column) => mark.octets.includes(column));
          if (Object.hasOwn(counts, mark.table)) throw damaged(`names a table twice at ${where()}`);
          counts[mark.table] = 0;
          yield { table };
        } else {
          ({ sha256 } = mark);
          checkEnd(mark, counts, hash);
        }
      }
      hash.update(line);
    }
  } catch (error) {
    throw readable(error, number === 0 ? 'its beginning' : where());
  }
  if (number === 0) throw emptyFile();
  if (sha256 === null) throw damaged(`ends too early, after ${where()}: it was cut`);
  return sha256;
}

function fits(row: unknown, isOctets: readonly boolean[]): boolean {
  return (
    Array.isArray(row) &&
    row.length === isOctets.length &&
    row.every((value, i) => isValue(value, isOctets[i] ?? false))
  );
}

/** Each with its line feed; what stands behind the last one is a line as well, and a broken one. */
async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      yield parts.length === 0
        ? chunk.subarray(start, end + 1)
        : Buffer.concat([...parts, chunk.subarray(start, end + 1)]);
      parts = [];
      length = 0;
      start = end + 1;
    }
    if (start === chunk.length) continue;
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > longestLine) throw damaged('holds a line that is too long for one');
  }
  if (length > 0) yield Buffer.concat(parts);
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
}

function checkEnd(trailer: BackupTrailer, counts: Readonly<Record<string, number>>, hash: Hash): void {
  if (hash.copy().digest('hex') !== trailer.sha256) {
    throw damaged('was changed: its SHA-256 is not the one that its last line holds');
  }
  for (const [table, rows] of Object.entries({ ...counts, ...trailer.rows })) {
    if (counts[table] === rows && trailer.rows[table] === rows) continue;
    throw damaged(`holds ${counts[table] ?? 0} rows of the table ${table}, and should hold ${rows}`);
  }
}

export function emptyFile(): Refused {
  return new Refused('backup', 'This is no backup: the file is empty.');
}

function damaged(what: string): Refused {
  return new Refused('damaged', `This backup ${what}.`);
}

/** What the file and its gzip say, in a sentence. */
function readable(error: unknown, where: string): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code === 'Z_BUF_ERROR') return damaged(`ends too early, after ${where}: it was cut`);
  if (code === 'Z_DATA_ERROR' && message === 'incorrect header check') {
    return new Refused('backup', 'This is no backup: the file is not gzipped.');
  }
  if (code.startsWith('Z_')) return damaged(`was changed: it cannot be unzipped after ${where}`);
  if (/^E[A-Z]+$/.test(code)) return new Refused('file', `The file cannot be read (${code}).`);
  return error;
}
