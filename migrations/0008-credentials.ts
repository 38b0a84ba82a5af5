import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** Credentials of the APIs, and the names that lists have there. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);
  const ascii = (length: number) =>
    isSqlite ? 'TEXT' : `VARCHAR(${length}) CHARACTER SET ascii COLLATE ascii_bin`;
  const create = async (name: string, build: (table: Knex.CreateTableBuilder) => void) => {
    await ensure(db, (schema) =>
      schema.createTable(name, (table) => {
        if (!isSqlite) {
          table.engine('InnoDB');
          table.charset('utf8mb4');
          table.collate('utf8mb4_bin');
        }
        build(table);
      }),
    );
  };

  await create('credentials', (table) => {
    table.increments('id');
    table.integer('account_id').unsigned().notNullable().index('credentials_account');
    table.specificType('surface', ascii(40)).notNullable();
    table.string('name', 200).notNullable();
    // What the surface has as a user's name, where it has one.
    table.string('login', 200).notNullable().defaultTo('');
    table.specificType('key_hash', octets(32)).notNullable();
    table.specificType('ending', ascii(8)).notNullable();
    table.specificType('role', ascii(40)).notNullable().defaultTo('');
    table.specificType('rights', ascii(100)).notNullable();
    table.text('ip_whitelist', 'mediumtext').notNullable();
    // False: for those of credential_lists alone, and for none where they are lost.
    table.boolean('for_all_lists').notNullable();
    table.bigInteger('created_at').notNullable();
    table.bigInteger('expires_at');
    table.unique(['surface', 'key_hash'], { indexName: 'credentials_key' });
  });

  await create('credential_lists', (table) => {
    table.integer('credential_id').unsigned().notNullable();
    table.integer('list_id').unsigned().notNullable().index('credential_lists_list');
    table.primary(['credential_id', 'list_id']);
  });

  await create('list_names', (table) => {
    table.integer('account_id').unsigned().notNullable();
    table.specificType('surface', ascii(40)).notNullable();
    // Folded, as names are compared, and as it was typed.
    table.string('name', 200).notNullable();
    table.string('written', 200).notNullable();
    table.integer('list_id').unsigned().notNullable().index('list_names_list');
    table.bigInteger('created_at').notNullable();
    table.primary(['account_id', 'surface', 'name']);
  });
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Programs that use the APIs would be locked out.'));
}
