import { Refused } from '../errors.js';
import { engineOf, rowsOf, type Db } from './connect.js';

/** Both engines' types come to these three; what is binary has to be told from text. */
export type ColumnKind = 'octets' | 'text' | 'number';

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
}

export interface Table {
  readonly name: string;
  /** Those that are stored: generated ones make themselves. */
  readonly columns: readonly Column[];
  /** The columns of the primary key, in its order. */
  readonly key: readonly string[];
}

/** A value as both drivers give and take it. */
export type Value = string | number | Buffer | null;

interface ColumnRow {
  table: string;
  column: string;
  type: string;
  /** The place in the primary key, from 1; 0 for a column that is no part of it. */
  place: number;
}

/**
 * The tables as the database itself tells them, so that none that a migration adds is forgotten. Those that
 * the migrations note themselves in are left out.
 *
 * @throws Refused for a table that is none of Signoff's: of a type that none of its columns has, or without a key.
 */
export async function describeTables(db: Db): Promise<Table[]> {
  const found = new Map<string, { columns: Column[]; key: string[] }>();
  for (const { table, column, type, place } of await readColumns(db)) {
    const { columns, key } = found.get(table) ?? { columns: [], key: [] };
    columns.push({ name: column, kind: kindOf(table, column, type) });
    if (Number(place) > 0) key[Number(place) - 1] = column;
    found.set(table, { columns, key });
  }
  return [...found].map(([name, { columns, key }]) => {
    if (key.length === 0) throw foreign(name, 'has no primary key');
    return { name, columns, key };
  });
}

async function readColumns(db: Db): Promise<ColumnRow[]> {
  if (engineOf(db).name === 'sqlite') {
    return db.raw(
      `SELECT t.name AS "table", c.name AS "column", c.type, c.pk AS place
       FROM sqlite_schema AS t, pragma_table_xinfo(t.name) AS c
       WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         AND t.name NOT IN ('migrations', 'migrations_lock') AND c.hidden = 0
       ORDER BY t.name, c.cid`,
    );
  }
  const result: unknown = await db.raw(
    `SELECT c.table_name AS \`table\`, c.column_name AS \`column\`, c.data_type AS type, COALESCE(s.seq_in_index, 0) AS place
     FROM information_schema.tables AS t
     JOIN information_schema.columns AS c ON c.table_schema = t.table_schema AND c.table_name = t.table_name
     LEFT JOIN information_schema.statistics AS s ON s.table_schema = c.table_schema AND s.table_name = c.table_name
       AND s.index_name = 'PRIMARY' AND s.column_name = c.column_name
     WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE'
       AND t.table_name NOT IN ('migrations', 'migrations_lock') AND COALESCE(c.generation_expression, '') = ''
     ORDER BY c.table_name, c.ordinal_position`,
  );
  return rowsOf<ColumnRow>(db, result);
}

function kindOf(table: string, column: string, type: string): ColumnKind {
  if (/BLOB|BINARY/i.test(type)) return 'octets';
  if (/CHAR|TEXT/i.test(type)) return 'text';
  if (/INT|BOOL|FLOAT|DOUBLE|REAL/i.test(type)) return 'number';
  throw foreign(table, `has a column ${column} of the type ${type}`);
}

function foreign(table: string, what: string): Refused {
  return new Refused(
    'foreign-table',
    `The table ${table} ${what}, which none of Signoff's does: give other programs a database of their own.`,
  );
}

/** What a slice may come to: few milliseconds, also where rows hold large values. */
const mostRows = 2000;
const sliceOctets = 256 * 1024;

/**
 * All rows of a table in the order of its key, by slices, in flat memory: values in the order of its columns.
 * Each slice is a look-up in the key, so the last one costs what the first one does.
 */
export async function* readRows(db: Db, table: Table): AsyncGenerator<Value[][]> {
  let limit = 50;
  let last: Record<string, Value> | undefined;
  // How many columns of the key stay as they are: all but the last one first, then fewer.
  for (let kept = 0; ;) {
    const rows = await readSlice(db, table, last, kept, limit);
    if (rows.length > 0) yield rows.map((row) => table.columns.map(({ name }) => row[name] ?? null));
    last = rows.at(-1) ?? last;
    if (rows.length === limit) kept = table.key.length - 1;
    else if (kept-- === 0) return;
    const octets = rows.reduce((sum, row) => sum + octetsOf(row), 0);
    if (octets > sliceOctets) limit = Math.max(1, Math.floor(limit / 2));
    else if (rows.length === limit && octets < sliceOctets / 2) limit = Math.min(mostRows, limit * 2);
  }
}

async function readSlice(
  db: Db,
  { name, columns, key }: Table,
  last: Record<string, Value> | undefined,
  kept: number,
  limit: number,
): Promise<Record<string, Value>[]> {
  return db(db.raw(`?? ${engineOf(db).byIndex(null)}`, [name]))
    .modify((query) => {
      if (last === undefined) return;
      for (const column of key.slice(0, kept)) void query.where(column, last[column] ?? null);
      const next = key[kept] ?? '';
      void query.where(next, '>', last[next] ?? null);
    })
    .orderBy([...key])
    .limit(limit)
    .select(columns.map((column) => column.name));
}

/** Roughly. */
function octetsOf(row: Record<string, Value>): number {
  return Object.values(row).reduce<number>(
    (sum, value) => sum + (typeof value === 'string' || value instanceof Buffer ? value.length : 8),
    0,
  );
}

/** The id that a table would give to its next row; null for one that gives none, or has not given any. */
export async function nextIdOf(db: Db, { name }: Table): Promise<number | null> {
  if (engineOf(db).name === 'sqlite') {
    if (!(await db.schema.hasTable('sqlite_sequence'))) return null;
    const row = await db<{ name: string; seq: number }>('sqlite_sequence').where({ name }).first('seq');
    return row === undefined ? null : row.seq + 1;
  }
  // information_schema may tell a number of yesterday.
  const result: unknown = await db.raw('SHOW CREATE TABLE ??', [name]);
  const [row] = rowsOf<Record<string, string>>(db, result);
  const [, next] = /\) ENGINE=.* AUTO_INCREMENT=(\d+)/.exec(row?.['Create Table'] ?? '') ?? [];
  return next === undefined ? null : Number(next);
}

/** So that the id of a row that is gone is not given to another one. */
export async function setNextId(db: Db, table: string, next: number): Promise<void> {
  if (engineOf(db).name === 'mysql') {
    await db.raw('ALTER TABLE ?? AUTO_INCREMENT = ?', [table, next]);
    return;
  }
  await db('sqlite_sequence').where({ name: table }).delete();
  await db('sqlite_sequence').insert({ name: table, seq: next - 1 });
}
