import type { Knex } from 'knex';

/** An account's time zone, and how its ZIP files are encrypted. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;

  if (!(await db.schema.hasColumn('accounts', 'time_zone'))) {
    // None: each API's own.
    await db.schema.alterTable('accounts', (table) => void table.specificType('time_zone', ascii(64)));
  }
  if (!(await db.schema.hasColumn('accounts', 'zip_password'))) {
    // Sealed with the installation's secret. None: ZIP files are not encrypted.
    await db.schema.alterTable(
      'accounts',
      (table) => void table.specificType('zip_password', isSqlite ? 'BLOB' : 'VARBINARY(200)'),
    );
  }
  if (!(await db.schema.hasColumn('accounts', 'zip_cipher'))) {
    await db.schema.alterTable('accounts', (table) => {
      table.specificType('zip_cipher', ascii(12)).notNullable().defaultTo('aes-256');
    });
  }
}

export function down(): Promise<void> {
  return Promise.reject(new Error('ZIP files that are to be encrypted would go out as they are.'));
}
