import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A program that knows ZIP files and nothing of ours: Debian's 7-Zip, under either of its names. */
export const sevenZip = ['7zz', '7z'].find((name) => spawnSync(name, ['i']).status === 0) ?? null;

export interface Unzipped {
  /** 7-Zip has checked it: 0, or 2 where it was damaged, or the password is another one. */
  readonly code: number | null;
  /** Of the one file in it. */
  readonly name: string;
  readonly method: string;
  readonly isEncrypted: boolean;
  /** What a reader has to know of the format: 45 is ZIP64. */
  readonly version: number;
  readonly content: Buffer;
}

/** Opens a ZIP file that holds one file. */
export function unzip(octets: Buffer, password = ''): Unzipped {
  if (sevenZip === null) throw new Error('7-Zip is not here: npm run test:setup');
  const folder = mkdtempSync(path.join(os.tmpdir(), 'signoff-zip-'));
  try {
    const file = path.join(folder, 'file.zip');
    writeFileSync(file, octets);
    const listed = spawnSync(sevenZip, ['l', '-slt', '-p', file], { encoding: 'utf8' }).stdout;
    const [, , ...entries] = listed.split(/^Path = /m);
    if (entries.length !== 1) throw new Error(`it holds ${entries.length} files: ${listed}`);
    const fact = (name: string) => new RegExp(`^${name} = (.*)$`, 'm').exec(entries[0] ?? '')?.[1] ?? '';
    const taken = spawnSync(sevenZip, ['x', '-so', `-p${password}`, file], { maxBuffer: 512 * 1024 * 1024 });
    return {
      code: taken.status,
      name: (entries[0] ?? '').split('\n')[0] ?? '',
      method: fact('Method'),
      isEncrypted: fact('Encrypted') === '+',
      version: Number(fact('Version')),
      content: taken.stdout,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
