import { statSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { BIG_LIST, LISTS, type Entry } from './entries.js';
import { ROW_KEY, jsonKeyOf, recordingOf, rowOf, schemaOf, sortByKey } from './layouts.js';
import type { Layout, Value } from './layouts.js';
import { NUMBERING_PAUSE, NUMBERING_ROWS } from './store.js';
import type { LookUp, Recorded, ScanOrder, Size, Store } from './store.js';

/** Rows a slice of the scan; the product yields to other requests between two slices. */
const SLICE = 2000;
const FLUSHED = [
  'journal_mode = WAL',
  'synchronous = FULL',
  'cache_size = -262144',
  'wal_autocheckpoint = 1000',
];
// One transaction without a journal and with a cache that holds the file: each page is written once. Through the
// WAL, random keys would write some 20 KB for each row.
const FILLING = ['journal_mode = OFF', 'synchronous = OFF', 'cache_size = -2097152'];

/** The settings of the measured windows; the report prints them. */
export const SQLITE_SETTINGS = FLUSHED;

export async function openSqlite(layout: Layout, file: string): Promise<Store> {
  const { default: open } = await import('better-sqlite3');
  const db = open(file);
  const apply = (settings: string[]) => settings.forEach((setting) => db.pragma(setting));
  apply(SQLITE_SETTINGS);
  for (const statement of schemaOf(layout, 'SQLite')) db.exec(statement);
  for (let list = 1; list <= LISTS; list++) db.prepare('INSERT INTO list_counts VALUES (?, 0)').run(list);

  return {
    layout,
    setFilling(isOn) {
      if (isOn) db.pragma('wal_checkpoint(TRUNCATE)');
      else db.exec('COMMIT');
      apply(isOn ? FILLING : FLUSHED);
      if (isOn) db.exec('BEGIN');
      return Promise.resolve();
    },
    fill(entries) {
      const { head, tail } = recordingOf(layout, 'SQLite', true);
      const number = count(db, 'SELECT next_number FROM feed');
      const rows = sortByKey(entries, layout).map((entry, at) => rowOf(entry, number + at));
      const insert = db.prepare(`${head} ${placeholders(rows.slice(0, 1))} ${tail}`);
      for (const row of rows) insert.run(row);
      db.prepare('UPDATE feed SET next_number = ?').run(number + rows.length);
      return Promise.resolve();
    },
    record: (batches) => Promise.resolve(record(db, layout, batches)),
    size(): Promise<Size> {
      db.pragma('wal_checkpoint(TRUNCATE)');
      const bytes = statSync(file).size;
      return Promise.resolve({
        rows: count(db, 'SELECT COUNT(*) FROM opt_outs'),
        bytes,
        fileBytes: bytes,
        lastId: layout === 'B' ? count(db, 'SELECT MAX(id) FROM opt_outs') : null,
      });
    },
    lookUp: (kind, entries) => Promise.resolve(lookUp(db, layout, kind, entries)),
    scan: (order, limit) => Promise.resolve(scan(db, layout, order, limit)),
    close() {
      db.close();
      return Promise.resolve();
    },
  };
}

function record(db: Database.Database, layout: Layout, batches: Entry[][]): Recorded {
  const { head, tail } = recordingOf(layout, 'SQLite', false);
  const waiting = batches.map((batch) => sortByKey(batch, layout).map((entry) => rowOf(entry)));
  const insert = db.prepare(`${head} ${placeholders(waiting[0] ?? [])} ${tail}`);
  const numberList = preparedNumbering(db, layout);
  const numberAll = () => {
    for (let list = 1; list <= LISTS; list++) while (numberList(list) === NUMBERING_ROWS);
  };
  const started = performance.now();
  let lastRound = started;
  for (const rows of waiting) {
    insert.run(rows.flat());
    if (performance.now() - lastRound < NUMBERING_PAUSE) continue;
    numberAll();
    lastRound = performance.now();
  }
  const written = performance.now();
  const pending = count(db, 'SELECT COUNT(*) FROM opt_outs WHERE feed_number IS NULL');
  numberAll();
  return {
    milliseconds: written - started,
    pending,
    drainMilliseconds: performance.now() - written,
  };
}

/** The numbering of one list's next rows; answers how many they were. */
function preparedNumbering(db: Database.Database, layout: Layout): (list: number) => number {
  const columns = ROW_KEY[layout];
  const on = columns.map((column, at) => {
    const part = `j.value ->> ${at}`;
    return `o.${column} = ${column === 'id' ? `CAST(${part} AS INTEGER)` : `unhex(${part})`}`;
  });
  const pending = db
    .prepare<[number]>(
      `SELECT ${columns.join(', ')} FROM opt_outs
       WHERE list_id = ? AND feed_number IS NULL LIMIT ${NUMBERING_ROWS}`,
    )
    .raw();
  const update = db.prepare<[string, number]>(
    `UPDATE opt_outs AS o SET feed_number = j.value ->> ${columns.length}, counted = 1 FROM json_each(?) AS j
     WHERE o.list_id = ? AND ${on.join(' AND ')} AND +o.feed_number IS NULL`,
  );
  const setNext = db.prepare<[number]>('UPDATE feed SET next_number = ? WHERE id = 1');
  const setCount = db.prepare<[number, number]>(
    'UPDATE list_counts SET suppressed = suppressed + ? WHERE list_id = ?',
  );
  return db.transaction((list: number) => {
    const keys = pending.all(list) as (Buffer | number)[][];
    if (keys.length === 0) return 0;
    const next = count(db, 'SELECT next_number FROM feed WHERE id = 1');
    update.run(JSON.stringify(keys.map((key, at) => [...jsonKeyOf(key), next + at])), list);
    setNext.run(next + keys.length);
    setCount.run(keys.length, list);
    return keys.length;
  });
}

function lookUp(db: Database.Database, layout: Layout, kind: LookUp, entries: Entry[]): number {
  const ofAddress = layout === 'C' ? 'address' : 'address_key';
  const column = kind.startsWith('md5') ? 'address_key' : ofAddress;
  const value = (entry: Entry) => (column === 'address' ? entry.address : entry.key);
  const ask = (where: string) =>
    db.prepare<Value[]>(
      `SELECT ${column}, tag, removed_at, expires_at FROM opt_outs WHERE list_id = ? AND ${where}`,
    );
  if (kind === 'addresses' || kind === 'md5s') {
    const statement = ask(`${column} IN (${entries.map(() => '?').join(', ')})`);
    return statement.raw().all(BIG_LIST, ...entries.map(value)).length;
  }
  const [statement, valuesOf] = ((): [Database.Statement<Value[]>, (entry: Entry) => Value[]] => {
    if (kind === 'prefix') {
      return [
        ask('address >= ? AND address < ? LIMIT 50'),
        ({ address }) => rangeFrom(address.subarray(0, 6)),
      ];
    }
    if (kind === 'domain') {
      return [ask('domain = ? LIMIT 50'), ({ address }) => [address.subarray(address.lastIndexOf('@') + 1)]];
    }
    return [ask(`${column} = ?`), (entry) => [value(entry)]];
  })();
  statement.raw();
  return entries.reduce((found, entry) => found + statement.all(BIG_LIST, ...valuesOf(entry)).length, 0);
}

function rangeFrom(prefix: Buffer): Buffer[] {
  return [prefix, Buffer.concat([prefix, Buffer.from([0xff])])];
}

/** In slices that take up after the last key, as the download reads here: the driver is synchronous. */
function scan(db: Database.Database, layout: Layout, order: ScanOrder, limit: number): number {
  const columns = order === 'id' ? ['id'] : layout === 'C' ? ['address', 'tag'] : ['address_key', 'tag'];
  const names = columns.join(', ');
  // The unary plus keeps the id order from becoming a sort of what an index on list_id finds.
  const statement = db
    .prepare<Value[]>(
      `SELECT ${names}, address_key FROM opt_outs
       WHERE ${order === 'id' ? '+' : ''}list_id = ? AND (${names}) > (${columns.map(() => '?').join(', ')})
         AND removed_at IS NULL
       ORDER BY ${names} LIMIT ${SLICE}`,
    )
    .raw();
  const until = performance.now() + limit;
  let after: Value[] = order === 'id' ? [0] : [Buffer.alloc(0), Buffer.alloc(0)];
  let rows = 0;
  for (;;) {
    const slice = statement.all(BIG_LIST, ...after) as Value[][];
    rows += slice.length;
    const last = slice.at(-1);
    if (!last || performance.now() > until) return rows;
    after = last.slice(0, columns.length);
  }
}

function placeholders(rows: Value[][]): string {
  return rows.map((row) => `(${row.map(() => '?').join(', ')})`).join(', ');
}

function count(db: Database.Database, sql: string): number {
  return Number(db.prepare(sql).pluck().get());
}
