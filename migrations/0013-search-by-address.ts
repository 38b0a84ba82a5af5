import type { Knex } from 'knex';
import { ensure } from './ensure.js';

/**
 * The search by address looks at nothing that was removed: after a million removals it would have to pass
 * them all over, for as long as their tombstones are kept. Each step may be run again.
 *
 * Done by a generated column on both engines, as the search by domain is: MySQL has no partial indexes.
 */
export async function up(db: Knex): Promise<void> {
  const isSqlite = (db.client as { driverName: string }).driverName === 'better-sqlite3';
  // By itself: to add a column that is not stored costs nothing, an index takes a while.
  const octets = isSqlite ? 'BLOB' : 'VARBINARY(254)';
  await ensure(db, (schema) =>
    schema.raw(
      `ALTER TABLE opt_outs ADD COLUMN standing_address ${octets} AS (CASE WHEN removed_at IS NULL THEN address END) VIRTUAL`,
    ),
  );
  const columns = await columnsOfIndex(db, isSqlite);
  if (columns.includes('standing_address')) return;
  if (isSqlite) {
    await db.raw('DROP INDEX IF EXISTS opt_outs_address');
    await db.raw('CREATE INDEX opt_outs_address ON opt_outs (list_id, standing_address)');
    return;
  }
  const drop = columns.length === 0 ? '' : 'DROP INDEX opt_outs_address,';
  await db.raw(`ALTER TABLE opt_outs ${drop} ADD INDEX opt_outs_address (list_id, standing_address)`);
}

/** None where there is no such index. */
async function columnsOfIndex(db: Knex, isSqlite: boolean): Promise<string[]> {
  const columns: { name: string }[] = isSqlite
    ? await db.raw("SELECT name FROM pragma_index_info('opt_outs_address')")
    : await db('information_schema.statistics')
        .whereRaw('table_schema = DATABASE()')
        .where({ table_name: 'opt_outs', index_name: 'opt_outs_address' })
        .select({ name: 'column_name' });
  return columns.map(({ name }) => name);
}

export function down(): Promise<void> {
  return Promise.reject(new Error('A search would go through all that was ever removed again.'));
}
