import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/** Uploads that wait to be imported, and what became of them. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (type: string) => (isSqlite ? 'BLOB' : type);
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

  await create('import_jobs', (table) => {
    table.increments('id');
    table.specificType('public_id', ascii(20)).notNullable();
    table.integer('account_id').unsigned().notNullable();
    table.integer('list_id').unsigned().notNullable();
    table.integer('credential_id').unsigned();
    table.specificType('actor', ascii(64)).notNullable();
    table.string('file_name', 255);
    // JSON: how the file is to be read.
    table.text('options').notNullable();
    table.specificType('state', ascii(10)).notNullable();
    table.bigInteger('octets').notNullable().defaultTo(0);
    // How many rows of import_job_chunks are its; none once it is over.
    table.integer('chunks').unsigned().notNullable().defaultTo(0);
    // Rises with each change: what was read under an older one must not be written back.
    table.integer('version').unsigned().notNullable().defaultTo(0);
    // All up to this line has been dealt with.
    table.bigInteger('line').notNullable().defaultTo(0);
    table.bigInteger('taken').notNullable().defaultTo(0);
    table.bigInteger('refused').notNullable().defaultTo(0);
    table.integer('kept_refusals').unsigned().notNullable().defaultTo(0);
    // JSON: how many of each kind.
    table.text('warnings').notNullable();
    table.specificType('format', ascii(10));
    // How often it was begun or gone on with since something of it was last done.
    table.integer('attempts').unsigned().notNullable().defaultTo(0);
    table.specificType('failure_code', ascii(40));
    table.text('failure');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('begun_at');
    table.bigInteger('finished_at');
    // When the keeper has something to delete of it; null for nothing.
    table.bigInteger('due_at');
    table.unique(['public_id'], { indexName: 'import_jobs_public_id' });
    table.index(['account_id', 'id'], 'import_jobs_account');
    table.index(['list_id', 'id'], 'import_jobs_list');
    table.index(['state', 'id'], 'import_jobs_state');
    table.index(['due_at'], 'import_jobs_due');
  });

  // The file, piece by piece: as one value it would be larger than servers take in one packet.
  await create('import_job_chunks', (table) => {
    table.integer('job_id').unsigned().notNullable();
    table.integer('number').unsigned().notNullable();
    table.specificType('octets', octets('MEDIUMBLOB')).notNullable();
    table.primary(['job_id', 'number']);
  });

  await create('import_job_refusals', (table) => {
    table.integer('job_id').unsigned().notNullable();
    table.bigInteger('line').notNullable();
    table.specificType('problem', ascii(40)).notNullable();
    // As it stood; null once it is forgotten.
    table.specificType('text', octets('VARBINARY(1000)'));
    table.primary(['job_id', 'line']);
  });
}

export function down(): Promise<void> {
  return Promise.reject(new Error('Uploads that were answered for would be lost.'));
}
