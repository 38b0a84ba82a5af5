import { randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import * as theCore from '../../migrations/0001-the-core.js';
import * as signedLinks from '../../migrations/0002-signed-links.js';
import * as attackRule from '../../migrations/0003-attack-rule.js';
import * as globalList from '../../migrations/0004-global-list.js';
import * as peoplesRights from '../../migrations/0005-peoples-rights.js';
import * as imports from '../../migrations/0006-imports.js';
import * as cap from '../../migrations/0007-cap.js';
import * as credentials from '../../migrations/0008-credentials.js';
import * as bulkRemovals from '../../migrations/0009-bulk-removals.js';
import * as importJobs from '../../migrations/0010-import-jobs.js';
import * as accountSettings from '../../migrations/0011-account-settings.js';
import * as idempotency from '../../migrations/0012-idempotency.js';
import * as searchByAddress from '../../migrations/0013-search-by-address.js';
import * as users from '../../migrations/0014-users.js';
import * as figures from '../../migrations/0015-figures.js';
import * as importsInTheConsole from '../../migrations/0016-imports-in-the-console.js';
import * as foundRemovals from '../../migrations/0017-found-removals.js';
import * as consoleSecurity from '../../migrations/0018-console-security.js';
import * as storedColumns from '../../migrations/0019-stored-columns.js';
import { StartRefused } from '../errors.js';
import { engineOf, retrying, type Db } from './connect.js';
import { busyTimeoutMs } from './sqlite.js';

/** Oldest first. A migration's name is its file's, and never changes once released. */
const migrations: [name: string, migration: Knex.Migration][] = [
  ['0001-the-core', theCore],
  ['0002-signed-links', signedLinks],
  ['0003-attack-rule', attackRule],
  ['0004-global-list', globalList],
  ['0005-peoples-rights', peoplesRights],
  ['0006-imports', imports],
  ['0007-cap', cap],
  ['0008-credentials', credentials],
  ['0009-bulk-removals', bulkRemovals],
  ['0010-import-jobs', importJobs],
  ['0011-account-settings', accountSettings],
  ['0012-idempotency', idempotency],
  ['0013-search-by-address', searchByAddress],
  ['0014-users', users],
  ['0015-figures', figures],
  ['0016-imports-in-the-console', importsInTheConsole],
  ['0017-found-removals', foundRemovals],
  ['0018-console-security', consoleSecurity],
  ['0019-stored-columns', storedColumns],
];

export const migrationNames: readonly string[] = migrations.map(([name]) => name);

/** How long another process may take with its migrations before its lock counts as left by a crash. */
const lockPatienceMs = 60_000;

/** How many such locks one start breaks or sees broken. */
const mostBroken = 3;

/**
 * Brings the tables up to date. Several processes may call it at once. A lock that a killed migration
 * left behind is broken after a minute: every step can be run again.
 *
 * @param names only these, for what was made before the others.
 * @returns the names of the migrations that were carried out.
 */
export async function migrate(
  db: Db,
  patienceMs = lockPatienceMs,
  names = migrationNames,
): Promise<string[]> {
  if (engineOf(db).name === 'mysql') return carryOut(db, patienceMs, names);
  // Nobody is served yet: rather wait for the other's write than fail to give the lock back.
  await db.raw('PRAGMA busy_timeout = 5000');
  try {
    return await carryOut(db, patienceMs, names);
  } finally {
    await db.raw(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
  }
}

async function carryOut(db: Db, patienceMs: number, only: readonly string[]): Promise<string[]> {
  const config: Knex.MigratorConfig = {
    migrationSource: {
      getMigrations: () => Promise.resolve(migrations.filter(([name]) => only.includes(name))),
      getMigrationName: ([name]: (typeof migrations)[number]) => name,
      getMigration: ([, migration]: (typeof migrations)[number]) => Promise.resolve(migration),
    },
    disableTransactions: true,
    tableName: 'migrations',
    // Two versions may run side by side: an older one does not know the newest migrations.
    disableMigrationsListValidation: true,
  };
  await retrying(db, patienceMs, () => prepareTables(db));
  let held = await findLock(db);
  let deadline = Date.now() + patienceMs;
  for (let broken = 0; ;) {
    try {
      return await retrying(db, patienceMs, async () => {
        const [, names] = (await db.migrate.latest(config)) as [number, string[]];
        await startFeed(db);
        return names;
      });
    } catch (error) {
      if ((error as { name?: string }).name !== 'MigrationLocked') throw error;
      if (Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 250));
      else if (broken++ === mostBroken)
        throw new StartRefused('Other processes keep migrating this database. Start again later.');
      else {
        // Of several who have lost their patience one breaks the lock, and the others wait for that one.
        await db('migrations_lock')
          .where({ index: held, is_locked: 1 })
          .update({ index: held + 1, is_locked: 0 });
        held = await findLock(db);
        deadline = Date.now() + patienceMs;
      }
    }
  }
}

/** Knex makes its own tables as well, but of two processes that do so at once one fails, or both get a lock. */
async function prepareTables(db: Db): Promise<void> {
  await createOnce(db, 'migrations', (table) => {
    table.increments();
    table.string('name');
    table.integer('batch');
    table.timestamp('migration_time');
  });
  await createOnce(db, 'migrations_lock', (table) => {
    table.increments('index').primary();
    table.integer('is_locked');
  });
  const standing: unknown = await db('migrations_lock').first('index');
  if (standing !== undefined) return;
  await db('migrations_lock').insert({ index: 1, is_locked: 0 }).onConflict('index').merge({ index: 1 });
}

async function createOnce(
  db: Db,
  name: string,
  build: (table: Knex.CreateTableBuilder) => void,
): Promise<void> {
  if (await db.schema.hasTable(name)) return;
  try {
    await db.schema.createTable(name, build);
  } catch (error) {
    if (!(await db.schema.hasTable(name))) throw error;
  }
}

/** The lock's one row: its index names the holders up to the next that is broken. */
async function findLock(db: Db): Promise<number> {
  const row = await db<{ index: number }>('migrations_lock').first('index');
  return row?.index ?? 1;
}

/** An epoch names one unbroken numbering: cursors of any other are refused. */
export function newEpoch(): string {
  return randomBytes(9).toString('base64url');
}

/** The feed's one row. */
async function startFeed(db: Db): Promise<void> {
  const standing: unknown = await db('feed').where({ id: 1 }).first('id');
  if (standing !== undefined) return;
  const row = { id: 1, epoch: newEpoch(), last_number: 0 };
  // Of two processes that come here at once, the second one's row is the one too many.
  await db('feed').insert(row).onConflict('id').merge({ id: 1 });
}
