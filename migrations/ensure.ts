import type { Knex } from 'knex';

/**
 * Carries out a step of a migration, past what stands already. A step may be several statements: Knex makes
 * a new table's indexes after it, each by itself. MySQL's DDL is not transactional, so a process may be killed
 * between any two of them, and what it has begun may end while the next process is at it.
 */
export async function ensure(
  db: Knex,
  step: (schema: Knex.SchemaBuilder) => Knex.SchemaBuilder,
): Promise<void> {
  for (const { sql, bindings } of step(db.schema).toSQL()) {
    try {
      await db.raw(sql, bindings);
    } catch (error) {
      if (!standsAlready(error)) throw error;
    }
  }
}

/** A table, column or index of that name. */
function standsAlready(error: unknown): boolean {
  const { code = '', message } = error as { code?: string; message: string };
  return code === 'SQLITE_ERROR'
    ? /(table|index) \S+ already exists$|duplicate column name: \S+$/.test(message)
    : ['ER_TABLE_EXISTS_ERROR', 'ER_DUP_FIELDNAME', 'ER_DUP_KEYNAME'].includes(code);
}
