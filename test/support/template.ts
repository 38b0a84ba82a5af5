import { readFile, writeFile } from 'node:fs/promises';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { connect } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { sqlitePath } from '../../src/db/sqlite.js';
import { engine, freshDatabaseUrl, type FreshDatabase } from './engine.js';

/** SQLite's file, or MySQL's statements, of a database that has been migrated and holds no more. */
type Template = Buffer | string;

let template: Promise<Template> | undefined;

/**
 * A fresh database that has its tables already: the migrations run once a process, and what they made is
 * copied. It has no feed yet, and no fingerprint of a secret: `migrate` and the service's start, which find
 * nothing else to do, make those, so that each database has its own.
 */
export async function freshMigratedDatabase(folder?: string): Promise<FreshDatabase> {
  const made = await (template ??= makeTemplate());
  const database = await freshDatabaseUrl(folder);
  if (typeof made !== 'string') {
    await writeFile(sqlitePath(database.url), made);
  } else {
    const connection = await createConnection({ uri: database.url, multipleStatements: true });
    try {
      await connection.query(made);
    } finally {
      await connection.end();
    }
  }
  return database;
}

async function makeTemplate(): Promise<Template> {
  const database = await freshDatabaseUrl();
  try {
    const db = connect(database.url, { timeoutMs: 10_000, poolSize: 1 });
    try {
      await migrate(db);
      // Its epoch names one numbering: no two databases may share it.
      await db('feed').delete();
    } finally {
      await db.destroy();
    }
    // The last connection that closes takes the journal into the file.
    return engine === 'sqlite' ? await readFile(sqlitePath(database.url)) : await statementsOf(database.url);
  } finally {
    await database.drop();
  }
}

/** Makes the same tables with the same rows. */
async function statementsOf(url: string): Promise<string> {
  const connection = await createConnection({ uri: url, dateStrings: true });
  try {
    const statements = ['SET foreign_key_checks = 0'];
    const [tables] = await connection.query<RowDataPacket[][]>({ sql: 'SHOW TABLES', rowsAsArray: true });
    for (const [table] of tables) {
      const [[shown]] = await connection.query<RowDataPacket[]>('SHOW CREATE TABLE ??', [table]);
      statements.push(String(shown?.['Create Table']));
      const [rows] = await connection.query<RowDataPacket[][]>({
        sql: connection.format('SELECT * FROM ??', [table]),
        rowsAsArray: true,
      });
      if (rows.length > 0) statements.push(connection.format('INSERT INTO ?? VALUES ?', [table, rows]));
    }
    return statements.join(';\n');
  } finally {
    await connection.end();
  }
}
