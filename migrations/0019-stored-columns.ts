import type { Knex } from 'knex';

/**
 * MariaDB and MySQL store the two generated columns that opt-outs are searched by. Purging rows of a table
 * with indexes on virtual ones needs the whole server, and `mariadbd --wsrep-recover`, with which a Galera
 * node finds out after a crash what its files hold, is none: it could wait for itself for ever.
 * Recording takes a few percent more of the server's time for it, and a row some 60 octets more. SQLite cannot
 * add stored columns, and purges nothing.
 *
 * One statement, which is carried out wholly or not at all. The table is copied: nothing is recorded meanwhile.
 * The columns stay where they stood, as on SQLite.
 */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  if (isSqlite || !(await areVirtual(db))) return;
  await db.raw(
    `ALTER TABLE opt_outs
      DROP INDEX opt_outs_domain, DROP INDEX opt_outs_address, DROP COLUMN domain, DROP COLUMN standing_address,
      ADD COLUMN domain VARBINARY(254) AS (SUBSTRING_INDEX(address, '@', -1)) STORED AFTER counted,
      ADD COLUMN standing_address VARBINARY(254) AS (CASE WHEN removed_at IS NULL THEN address END) STORED
        AFTER removal_id,
      ADD INDEX opt_outs_domain (list_id, domain), ADD INDEX opt_outs_address (list_id, standing_address)`,
  );
}

async function areVirtual(db: Knex): Promise<boolean> {
  const column: unknown = await db('information_schema.columns')
    .whereRaw("table_schema = DATABASE() AND extra LIKE 'VIRTUAL%'")
    .where({ table_name: 'opt_outs' })
    .first('column_name');
  return column !== undefined;
}

export function down(): Promise<void> {
  return Promise.reject(new Error('A Galera node that has died might not come back any more.'));
}
