import type { Knex } from 'knex';

/** The cap of a list, and how far the keeper has come with what leaves by it. Each step may be run again. */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  if (!(await db.schema.hasColumn('lists', 'cap'))) {
    await db.schema.alterTable('lists', (table) => void table.integer('cap').unsigned());
  }
  // Few lists have one, and the keeper looks for them each second.
  if (!(await hasIndex(db, isSqlite, 'lists_cap'))) {
    await db.schema.alterTable('lists', (table) => void table.index(['cap'], 'lists_cap'));
  }
  // Up to this feed number, nothing is left that could leave by the cap.
  if (!(await db.schema.hasColumn('list_counts', 'evicted_number'))) {
    await db.schema.alterTable('list_counts', (table) => {
      table.bigInteger('evicted_number').notNullable().defaultTo(0);
    });
  }
  // Who was erased is asked for entries of which only the SHA-256 is known.
  if (!(await hasIndex(db, isSqlite, 'erased_people_sha256'))) {
    await db.schema.alterTable('erased_people', (table) => {
      table.index(['account_id', 'sha256'], 'erased_people_sha256');
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
  return Promise.reject(new Error('Capped lists would grow again without a word.'));
}
