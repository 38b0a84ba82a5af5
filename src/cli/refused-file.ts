import { constants } from 'node:fs';
import { access, lstat, open, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { csvLine } from '../core/csv.js';
import { Refused } from '../errors.js';
import { codeOf } from './whole-file.js';

/** A row that was refused: its text as octets (Latin-1). */
export interface RefusedRow {
  readonly line: number;
  readonly reason: string;
  readonly raw: string;
}

/** Where the rows that were refused can be read again, mended and imported. */
export interface RefusedFile {
  readonly path: string;
  add(rows: readonly RefusedRow[]): Promise<void>;
  /** How much there is of it; 0 while there is none. */
  octets(): number;
  close(): Promise<void>;
}

const header = 'line,reason,text\n';

/**
 * Made with the first row, for its owner alone: it holds addresses.
 *
 * @param keeps how many octets of a standing one are gone on with: all of it, or 0 to replace it.
 * @throws Refused where it could not be written, or another file has its name.
 */
export async function prepareRefusedFile(
  file: string,
  { keeps, force }: { keeps: number | 'all'; force: boolean },
): Promise<RefusedFile> {
  const kept = await clear(file, keeps, force);
  let handle: FileHandle | null = null;
  let octets = kept;
  return {
    path: file,
    async add(rows) {
      if (rows.length === 0) return;
      const lines = rows.map(({ line, reason, raw }) => `${csvLine([String(line), reason, raw], ',')}\n`);
      try {
        handle ??= await open(file, kept === 0 ? 'wx' : 'a', 0o600);
        const text = Buffer.from((octets === 0 ? header : '') + lines.join(''), 'latin1');
        await handle.appendFile(text);
        octets += text.length;
      } catch (error) {
        throw cannot(file, error);
      }
    },
    octets: () => octets,
    close: async () => handle?.close(),
  };
}

/**
 * @returns the size of one that stands there; null where there is none.
 * @throws Refused where it could not be written, or another file has its name.
 */
export async function checkRefusedFile(file: string, force: boolean): Promise<number | null> {
  await access(path.dirname(file), constants.W_OK).catch((error: unknown) => {
    throw cannot(file, error);
  });
  const standing = await lstat(file).catch(() => null);
  if (standing === null) return null;
  if (standing.isFile() && (force || (await isOurs(file)))) return standing.size;
  throw new Refused(
    'file',
    `${file} is there already, and holds no refused rows: name another place for them (--refused)` +
      (standing.isFile() ? ', or replace it with --force.' : '.'),
  );
}

/** @returns how many octets of the file stay. */
async function clear(file: string, keeps: number | 'all', force: boolean): Promise<number> {
  const size = await checkRefusedFile(file, force);
  if (size === null) return 0;
  if (keeps === 'all') return size;
  if (keeps > 0 && size >= keeps) {
    const handle = await open(file, 'r+');
    await handle.truncate(keeps).finally(() => handle.close());
    return keeps;
  }
  await rm(file).catch((error: unknown) => {
    throw cannot(file, error);
  });
  return 0;
}

async function isOurs(file: string): Promise<boolean> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw cannot(file, error);
  });
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(header.length), 0, header.length, 0);
    return bytesRead === 0 || buffer.toString('latin1') === header;
  } finally {
    await handle.close();
  }
}

function cannot(file: string, error: unknown): Refused {
  return new Refused(
    'file',
    `${file} cannot be written (${codeOf(error)}): name another place for refused rows (--refused).`,
  );
}
