import type { Knex } from 'knex';

/** People who were erased, and how far the keeper has come with what it deletes. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  const octets = (length: number) => (isSqlite ? 'BLOB' : `VARBINARY(${length})`);

  // The hashes of an address that was erased, in each of its forms: an import that brings it again keeps these
  // alone.
  if (!(await db.schema.hasTable('erased_people'))) {
    await db.schema.createTable('erased_people', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      table.integer('account_id').unsigned().notNullable();
      table.specificType('address_key', octets(16)).notNullable();
      table.specificType('sha256', octets(32)).notNullable();
      table.bigInteger('at').notNullable();
      table.primary(['account_id', 'address_key']);
    });
  }

  // The last row that a pass through all opt-outs has looked at, and when the pass began.
  if (!(await db.schema.hasTable('passes'))) {
    await db.schema.createTable('passes', (table) => {
      if (!isSqlite) table.engine('InnoDB');
      table
        .specificType('name', isSqlite ? 'TEXT' : 'VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin')
        .notNullable()
        .primary();
      table.integer('list_id').unsigned().notNullable();
      table.specificType('address_key', octets(16)).notNullable();
      table.specificType('tag', octets(128)).notNullable();
      table.bigInteger('began_at').notNullable();
      table.bigInteger('ended_at');
    });
  }

  // What was noted of one person's opt-outs.
  if (!(await hasIndex(db, isSqlite, 'history_subject'))) {
    await db.schema.alterTable('history', (table) => {
      table.index(['account_id', 'subject'], 'history_subject');
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
  return Promise.reject(new Error('An import would bring back people who were erased.'));
}
