import type { Knex } from 'knex';

/** What requests with an Idempotency-Key came to. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);

  if (!(await db.schema.hasTable('idempotency_keys'))) {
    await db.schema.createTable('idempotency_keys', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      table.integer('credential_id').unsigned().notNullable();
      table.specificType('key_hash', octets(32)).notNullable();
      // Of the request, under the installation's secret.
      table.specificType('fingerprint', octets(32)).notNullable();
      // Who carries it out, and until when that counts.
      table.specificType('claim', octets(16)).notNullable();
      table.bigInteger('claimed_until').notNullable();
      table.bigInteger('created_at').notNullable();
      // Both null until it is answered.
      table.integer('status').unsigned();
      table.specificType('answer', isSqlite ? 'BLOB' : 'MEDIUMBLOB');
      table.primary(['credential_id', 'key_hash']);
    });
  }
  // Each is a statement of its own: a process may be killed between any two of them.
  const indexes: [name: string, columns: string[]][] = [
    ['idempotency_keys_time', ['created_at']],
    ['idempotency_keys_credential', ['credential_id', 'created_at']],
  ];
  for (const [name, columns] of indexes) {
    if (await hasIndex(db, isSqlite, name)) continue;
    await db.schema.alterTable('idempotency_keys', (table) => {
      table.index(columns, name);
    });
  }
}

async function hasIndex(db: Knex, isSqlite: boolean, name: string): Promise<boolean> {
  const found: unknown = isSqlite
    ? await db('sqlite_schema').where({ type: 'index', name }).first('name')
    : await db('information_schema.statistics')
        .whereRaw('table_schema = DATABASE()')
        .where({ index_name: name })
        .first('index_name');
  return found !== undefined;
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Requests that were carried out would be carried out again.'));
}
