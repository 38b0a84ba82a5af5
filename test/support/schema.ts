import { rowsOf, type Db } from '../../src/db/connect.js';
import { engine } from './engine.js';

/** What makes each table and index, as the database itself tells it. */
export async function schemaOf(db: Db): Promise<Record<string, unknown>> {
  if (engine === 'sqlite') {
    const made = await all<{ name: string }>(db, 'SELECT type, name, tbl_name, sql FROM sqlite_schema');
    const [version] = await all<object>(db, 'PRAGMA user_version');
    return { ...version, ...Object.fromEntries(made.map((one) => [one.name, one])) };
  }
  const [database] = await all<object>(
    db,
    'SELECT default_character_set_name AS charset, default_collation_name AS collation FROM information_schema.schemata WHERE schema_name = DATABASE()',
  );
  const schema: Record<string, unknown> = { ...database };
  for (const table of await tablesOf(db)) {
    const [shown] = await all<{ 'Create Table': string }>(db, `SHOW CREATE TABLE ${table}`);
    // The next number is the rows' matter.
    schema[table] = shown?.['Create Table'].replace(/ AUTO_INCREMENT=\d+/, '');
  }
  return schema;
}

export async function tablesOf(db: Db): Promise<string[]> {
  const rows = await all<object>(
    db,
    engine === 'sqlite' ? "SELECT name FROM sqlite_schema WHERE type = 'table'" : 'SHOW TABLES',
  );
  return rows.map((row) => String(Object.values(row)[0])).sort();
}

async function all<T>(db: Db, sql: string): Promise<T[]> {
  return rowsOf<T>(db, await db.raw(sql));
}
