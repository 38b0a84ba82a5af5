import { createReadStream, statSync } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { migrationNames } from '../db/migrate.js';
import type { Value } from '../db/tables.js';
import { Refused } from '../errors.js';
import { decodeRow, emptyFile, readLines, type BackupPiece } from './backup-format.js';
import type { BackupHeader, BackupTable } from './backup-shapes.js';
import { fingerprintOf } from './secret.js';

/** A backup's file that was read once, and found to be whole. */
export interface Backup {
  readonly header: BackupHeader;
  readonly tables: readonly { readonly table: BackupTable; readonly rows: number }[];
  /** Of all tables. */
  readonly rows: number;
  /** The feed's one row. */
  readonly feed: Readonly<Record<string, Value>>;
  readonly sha256: string;
  /** Reads it again. @returns its SHA-256. */
  pieces(): AsyncGenerator<BackupPiece, string>;
}

/**
 * Reads a backup to its end: nothing of it is used before all of it is known to be as it was written.
 *
 * @param onOctets is told how much of the file has been read.
 * @throws Refused for a file that is no backup, was cut or changed, or comes from a newer Signoff.
 */
export async function openBackup(file: string, onOctets: (octets: number) => void): Promise<Backup> {
  const pieces = readPieces(file, onOctets);
  const tables: { table: BackupTable; rows: number }[] = [];
  let header: BackupHeader | undefined;
  let feed: Record<string, Value> | undefined;
  let step = await pieces.next();
  for (; !step.done; step = await pieces.next()) {
    const piece = step.value;
    if ('header' in piece) {
      checkHeader(piece.header);
      ({ header } = piece);
    } else if ('rows' in piece) {
      const last = tables.at(-1);
      if (last !== undefined) last.rows += piece.rows.length;
      if (piece.table.table === 'feed') feed = onlyRow(piece.table, piece.rows) ?? feed;
    } else tables.push({ table: piece.table, rows: 0 });
  }
  if (header === undefined || feed === undefined) {
    throw new Refused('damaged', 'This backup holds no feed, so it is none of a whole database.');
  }
  return {
    header,
    tables,
    rows: tables.reduce((sum, { rows }) => sum + rows, 0),
    feed,
    sha256: step.value,
    pieces: () => readPieces(file, () => undefined),
  };
}

async function* readPieces(
  file: string,
  onOctets: (octets: number) => void,
): AsyncGenerator<BackupPiece, string> {
  if (statSync(file, { throwIfNoEntry: false })?.size === 0) throw emptyFile();
  const source = createReadStream(file, { highWaterMark: 128 * 1024 });
  const gunzip = createGunzip({ chunkSize: 128 * 1024 });
  source.on('data', () => onOctets(source.bytesRead));
  source.on('error', (error) => gunzip.destroy(error));
  source.pipe(gunzip);
  try {
    const sha256 = yield* readLines(gunzip);
    // Node passes over what follows the end of the gzip.
    if (gunzip.bytesWritten !== source.bytesRead) {
      throw new Refused('damaged', 'This backup goes on after its end: something was added to the file.');
    }
    return sha256;
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

function onlyRow(
  { columns, octets }: BackupTable,
  [row]: readonly (readonly unknown[])[],
): Record<string, Value> | undefined {
  if (row === undefined) return undefined;
  const values = decodeRow(
    row,
    columns.map((column) => octets.includes(column)),
  );
  return Object.fromEntries(columns.map((column, i) => [column, values[i] ?? null]));
}

function checkHeader({ migrations, signoff, secret, fingerprint }: BackupHeader): void {
  const unknown = migrations.filter((name) => !migrationNames.includes(name));
  if (unknown.length > 0) {
    throw new Refused(
      'newer',
      `This backup was made by a newer Signoff (${signoff}): this one does not know ${unknown.join(', ')}. Restore it with that version.`,
    );
  }
  // The tables are made by these, each on what those before it have left.
  const missing = migrationNames.slice(0, migrations.length).filter((name) => !migrations.includes(name));
  if (missing.length > 0) {
    throw new Refused(
      'damaged',
      `The first line of this backup is damaged: migrations lacks ${missing.join(', ')}, which later ones build on.`,
    );
  }
  if (secret !== null && fingerprintOf(secret) !== fingerprint) {
    throw new Refused('damaged', 'This backup holds a secret that is not the one of its installation.');
  }
}
