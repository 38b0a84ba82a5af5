import { retrying, isDatabaseUnavailable, type Db } from '../db/connect.js';
import { describeTables, setNextId, type Value } from '../db/tables.js';
import { DomainError, Refused } from '../errors.js';
import type { Backup } from './backup-file.js';
import { decodeRow } from './backup-format.js';
import type { BackupTable } from './backup-shapes.js';
import { signInTables, transientTables } from './backup.js';
import { clearInstallation } from './half-restored.js';

/** SQLite takes 32,766 values a statement. */
const valuesAStatement = 20_000;
/** What one transaction takes: a fraction of a second. */
const statementsATransaction = 10;

/**
 * Where a backup's rows can go.
 *
 * @returns the tables of the backup that this database does not have: they are another program's.
 * @throws Refused where a table lacks a column that the backup has.
 */
export async function foreignTables(db: Db, { tables }: Backup): Promise<string[]> {
  const standing = new Map((await describeTables(db)).map((table) => [table.name, table]));
  const foreign: string[] = [];
  for (const { table } of tables) {
    const here = standing.get(table.table);
    if (here === undefined) {
      foreign.push(table.table);
      continue;
    }
    const missing = table.columns.filter((name) => !here.columns.some((column) => column.name === name));
    if (missing.length === 0) continue;
    throw new Refused(
      'columns',
      `The table ${table.table} of this database has no column ${missing.join(', ')}, and the backup has. Were the tables changed by hand?`,
    );
  }
  return foreign;
}

/**
 * Takes away what an unfinished restore, or the migrations, have left; and sessions and links of users that are
 * gone: the backup's have the same ids.
 */
export async function clearTables(db: Db): Promise<void> {
  for (const { name } of await describeTables(db)) {
    if (transientTables.includes(name) && !signInTables.includes(name)) continue;
    if (name === 'installation') await clearInstallation(db);
    else if ((await db(name).first(db.raw('1'))) !== undefined) await db(name).truncate();
  }
}

export interface RowsOptions {
  readonly timeoutMs: number;
  /** Tables to pass over. */
  readonly except: readonly string[];
  /** Called between the transactions. */
  readonly onRows: (rows: number) => Promise<void>;
}

/**
 * Puts the rows of a backup into empty tables, by bounded transactions.
 *
 * @throws Refused where the file is no longer the one that was checked.
 */
export async function bringRows(
  db: Db,
  backup: Backup,
  { timeoutMs, except, onRows }: RowsOptions,
): Promise<void> {
  let waiting: Statement[] = [];
  let done = 0;
  const write = async () => {
    const statements = waiting;
    waiting = [];
    await retrying(db, timeoutMs, () =>
      db.transaction(async (trx) => {
        for (const statement of statements) await insert(trx, statement);
      }),
    );
    done += statements.reduce((sum, { rows }) => sum + rows.length, 0);
    await onRows(done);
  };

  const pieces = backup.pieces();
  let step = await pieces.next();
  for (; !step.done; step = await pieces.next()) {
    const piece = step.value;
    if (!('rows' in piece) || except.includes(piece.table.table)) continue;
    for (const statement of statementsFor(piece.table, piece.rows)) {
      waiting.push(statement);
      if (waiting.length === statementsATransaction) await write();
    }
  }
  await write();
  if (step.value !== backup.sha256)
    throw new Refused('changed', 'The file was changed while it was being restored.');
  for (const { table } of backup.tables) {
    if (table.next_id !== null && !except.includes(table.table))
      await setNextId(db, table.table, table.next_id);
  }
}

interface Statement {
  readonly table: BackupTable;
  readonly rows: readonly Value[][];
}

function* statementsFor(table: BackupTable, rows: readonly (readonly unknown[])[]): Generator<Statement> {
  const isOctets = table.columns.map((column) => table.octets.includes(column));
  const most = Math.max(1, Math.floor(valuesAStatement / table.columns.length));
  for (let i = 0; i < rows.length; i += most) {
    yield { table, rows: rows.slice(i, i + most).map((row) => decodeRow(row, isOctets)) };
  }
}

async function insert(db: Db, { table, rows }: Statement): Promise<void> {
  const row = `(${table.columns.map(() => '?').join(',')})`;
  try {
    await db.raw(
      `INSERT INTO ?? (${table.columns.map(() => '??').join(',')}) VALUES ${rows.map(() => row).join(',')}`,
      [table.table, ...table.columns, ...(rows.flat() as (string | number | Buffer)[])],
    );
  } catch (error) {
    if (error instanceof DomainError || isDatabaseUnavailable(db, error)) throw error;
    // Its own message would hold the row's values.
    const { code = 'unknown' } = error as { code?: string };
    throw new Refused('row', `Rows of the table ${table.table} do not go into this database (${code}).`);
  }
}
