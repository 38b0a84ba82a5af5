import { randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import * as theCore from '../../migrations/0001-the-core.js';
import * as signedLinks from '../../migrations/0002-signed-links.js';
import { StartRefused } from '../errors.js';
import type { Db } from './connect.js';

/** Oldest first. A migration's name is its file's, and never changes once released. */
const migrations: [name: string, migration: Knex.Migration][] = [
  ['0001-the-core', theCore],
  ['0002-signed-links', signedLinks],
];

/** How long another process may take with its migrations before its lock counts as left by a crash. */
const lockPatienceMs = 60_000;

/**
 * Brings the tables up to date. Several processes may call it at once. A lock that a killed migration
 * left behind is broken after a minute: every step can be run again.
 *
 * @returns the names of the migrations that were carried out.
 */
export async function migrate(db: Db, patienceMs = lockPatienceMs): Promise<string[]> {
  const config: Knex.MigratorConfig = {
    migrationSource: {
      getMigrations: () => Promise.resolve(migrations),
      getMigrationName: ([name]: (typeof migrations)[number]) => name,
      getMigration: ([, migration]: (typeof migrations)[number]) => Promise.resolve(migration),
    },
    disableTransactions: true,
    tableName: 'migrations',
    // Two versions may run side by side: an older one does not know the newest migrations.
    disableMigrationsListValidation: true,
  };
  const deadline = Date.now() + patienceMs;
  let isBroken = false;
  for (;;) {
    try {
      const [, names] = (await db.migrate.latest(config)) as [number, string[]];
      await startFeed(db);
      return names;
    } catch (error) {
      if ((error as { name?: string }).name !== 'MigrationLocked') throw error;
      if (Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 250));
      else if (isBroken)
        throw new StartRefused('Other processes keep migrating this database. Start again later.');
      else {
        await db.migrate.forceFreeMigrationsLock(config);
        isBroken = true;
      }
    }
  }
}

/** The feed's one row. An epoch names one unbroken numbering: cursors of any other are refused. */
async function startFeed(db: Db): Promise<void> {
  const standing: unknown = await db('feed').where({ id: 1 }).first('id');
  if (standing !== undefined) return;
  const row = { id: 1, epoch: randomBytes(9).toString('base64url'), last_number: 0 };
  // Of two processes that come here at once, the second one's row is the one too many.
  await db('feed').insert(row).onConflict('id').merge({ id: 1 });
}
