import { realpathSync, rmSync, statSync, type Stats } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { Refused } from '../errors.js';

export interface WholeFileOptions {
  /** Who may read it; without one, as the process has it. */
  readonly mode?: number;
  /** Whether a file of that name is replaced; it is, unless told otherwise. */
  readonly replaces?: boolean;
}

/**
 * Writes a file under another name until it is whole, and on the disk: half of one is not to be taken for it.
 *
 * @returns its size in octets.
 * @throws Refused where it cannot be written.
 */
export async function writeWhole(
  output: string,
  chunks: AsyncIterable<Buffer>,
  { mode = 0o666, replaces = true }: WholeFileOptions = {},
): Promise<number> {
  const target = targetOf(output, replaces);
  const unfinished = `${target}.${process.pid}.part`;
  const remove = () => rmSync(unfinished, { force: true });
  const stop = () => {
    remove();
    process.exit(130);
  };
  // What fails in making the chunks is told by those who know it.
  const writing = <T>(work: Promise<T>) =>
    work.catch((error: unknown) => {
      throw notWritten(output, error);
    });
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const handle = await writing(open(unfinished, 'wx', mode));
    let octets = 0;
    try {
      for await (const chunk of chunks) {
        await writing(handle.appendFile(chunk));
        octets += chunk.length;
      }
      await writing(handle.sync());
    } finally {
      await writing(handle.close());
    }
    targetOf(output, replaces);
    await writing(rename(unfinished, target));
    await syncFolder(path.dirname(target));
    return octets;
  } catch (error) {
    remove();
    throw error;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

/** A link is followed; a device or a folder is not replaced by a file. */
function targetOf(output: string, replaces: boolean): string {
  let standing: Stats | undefined;
  try {
    standing = statSync(output, { throwIfNoEntry: false });
  } catch (error) {
    throw notWritten(output, error);
  }
  if (standing === undefined) return output;
  if (!standing.isFile()) throw new Refused('file', `${output} is no file.`);
  if (!replaces) {
    throw new Refused('file', `${output} is there already: choose another name, or add --force.`);
  }
  return realpathSync(output);
}

/** The new name has to outlast a power cut as well; some systems cannot be asked for it. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null);
  if (handle === null) return;
  await handle.sync().catch(() => undefined);
  await handle.close();
}

export function notWritten(output: string, error: unknown): Refused {
  return new Refused('file', `${output} cannot be written (${codeOf(error)}).`);
}

export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
