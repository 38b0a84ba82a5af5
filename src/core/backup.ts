import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { engineOf, type Db } from '../db/connect.js';
import { openSnapshot } from '../db/snapshot.js';
import { describeTables, nextIdOf, readRows } from '../db/tables.js';
import { StartRefused } from '../errors.js';
import { createLineWriter, encodeRow, tableLine } from './backup-format.js';
import { formatName, formatVersion, type BackupHeader } from './backup-shapes.js';
import { findFingerprint, fingerprintOf } from './secret.js';

/**
 * What somebody signs in with for a while: whoever has signed out, or has used a link, must not find it good again
 * after a restore.
 */
export const signInTables: readonly string[] = ['sessions', 'one_time_links', 'sign_in_tries'];

/**
 * Tables that no backup holds, since they tell who is at work at this moment, or what is about to be sent: it
 * would be sent once more. All others go along, those as well that a migration adds.
 */
export const transientTables: readonly string[] = ['leases', 'mails', ...signInTables];

export interface BackupOptions {
  /** The version of Signoff. */
  readonly signoff: string;
  /** The installation's; null to leave it out. */
  readonly secret: string | null;
  /** Is told how many rows have been read so far, and of which tables. */
  readonly onRows: (rows: number, counts: Readonly<Record<string, number>>) => void;
}

/**
 * A backup of the whole database as it is when this begins, while the service goes on: see backup-format.ts
 * for what it looks like. Takes flat memory.
 *
 * @throws StartRefused where the secret is not the one that the database was set up with.
 */
export function backUp(db: Db, options: BackupOptions): AsyncIterable<Buffer> {
  // Higher levels take twice the time for a tenth less.
  const gzip = createGzip({ level: 4, chunkSize: 64 * 1024 });
  // What fails is thrown where the gzip is read.
  pipeline(Readable.from(backupLines(db, options)), gzip, () => undefined);
  return gzip;
}

async function* backupLines(db: Db, options: BackupOptions): AsyncGenerator<Buffer> {
  const snapshot = await openSnapshot(db);
  try {
    const tables = (await describeTables(snapshot.db)).filter(({ name }) => !transientTables.includes(name));
    const writer = createLineWriter();
    yield writer.line(await headerOf(snapshot.db, options));
    let read = 0;
    for (const table of tables) {
      yield writer.line(tableLine(table, await nextIdOf(snapshot.db, table)));
      yield writer.rows(table.name, []);
      for await (const rows of readRows(snapshot.db, table)) {
        yield writer.rows(
          table.name,
          rows.map((row) => encodeRow(table, row)),
        );
        read += rows.length;
        options.onRows(read, writer.counts);
      }
    }
    options.onRows(read, writer.counts);
    yield writer.end();
  } finally {
    await snapshot.close().catch(() => undefined);
  }
}

async function headerOf(db: Db, { signoff, secret }: BackupOptions): Promise<BackupHeader> {
  const fingerprint = await findFingerprint(db);
  if (secret !== null && fingerprint !== null && fingerprintOf(secret) !== fingerprint) {
    throw new StartRefused('SIGNOFF_SECRET is not the secret that this database was set up with.');
  }
  return {
    format: formatName,
    version: formatVersion,
    signoff,
    created_at: new Date().toISOString(),
    engine: engineOf(db).name,
    migrations: (await db('migrations').orderBy('id').pluck('name')) as string[],
    fingerprint,
    // Before a first start nothing was made with a secret.
    secret: fingerprint === null ? null : secret,
  };
}
