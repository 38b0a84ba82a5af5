import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection as createCallbackConnection, type Connection as CallbackConnection } from 'mysql2';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { BIG_LIST, LISTS, type Entry } from './entries.js';
import { ROW_KEY, jsonKeyOf, recordingOf, rowOf, schemaOf, sortByKey } from './layouts.js';
import type { Layout } from './layouts.js';
import type { Server } from './mariadb-server.js';
import { NUMBERING_PAUSE, NUMBERING_ROWS } from './store.js';
import type { LookUp, Recorded, ScanOrder, Size, Store } from './store.js';

interface Keeper {
  connection: Connection;
  layout: Layout;
  retries: number;
}

export async function openMariadb(layout: Layout, server: Server, inFlight: number): Promise<Store> {
  const database = `key_${layout.toLowerCase()}`;
  const options = { socketPath: server.socket, user: 'root', database };
  const connect = () => createConnection(options);
  const first = await createConnection({ socketPath: server.socket, user: 'root' });
  await first.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`);
  await first.end();
  const reader = await connect();
  const writers = await Promise.all(Array.from({ length: inFlight }, connect));
  const keeper: Keeper = { connection: await connect(), layout, retries: 0 };
  await keeper.connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  for (const statement of schemaOf(layout, 'MariaDB')) await reader.query(statement);
  for (let list = 1; list <= LISTS; list++)
    await reader.query('INSERT INTO list_counts VALUES (?, 0)', [list]);

  return {
    layout,
    async setFilling(isOn) {
      await reader.query(`SET GLOBAL innodb_flush_log_at_trx_commit = ${isOn ? 2 : 1}`);
    },
    async fill(entries) {
      const { head, tail } = recordingOf(layout, 'MariaDB', true);
      const number = await count(reader, 'SELECT next_number FROM feed');
      const rows = sortByKey(entries, layout).map((entry, at) => rowOf(entry, number + at));
      await reader.query(`${head} ? ${tail}`, [rows]);
      await reader.query('UPDATE feed SET next_number = ?', [number + rows.length]);
    },
    record: (batches) => record(batches, layout, writers, keeper, reader),
    async size(): Promise<Size> {
      await reader.query('ANALYZE TABLE opt_outs');
      const bytes = await count(
        reader,
        `SELECT data_length + index_length FROM information_schema.tables
         WHERE table_schema = '${database}' AND table_name = 'opt_outs'`,
      );
      return {
        rows: await count(reader, 'SELECT COUNT(*) FROM opt_outs'),
        bytes,
        fileBytes: statSync(join(server.dataDirectory, database, 'opt_outs.ibd')).size,
        lastId: layout === 'B' ? await count(reader, 'SELECT MAX(id) FROM opt_outs') : null,
      };
    },
    lookUp: (kind, entries) => lookUp(reader, layout, kind, entries),
    scan: (order, limit) => scan(createCallbackConnection(options), layout, order, limit),
    async close() {
      for (const connection of [reader, ...writers, keeper.connection]) await connection.end();
    },
  };
}

async function record(
  batches: Entry[][],
  layout: Layout,
  writers: Connection[],
  keeper: Keeper,
  reader: Connection,
): Promise<Recorded> {
  const { head, tail } = recordingOf(layout, 'MariaDB', false);
  const waiting = batches.map((batch) => sortByKey(batch, layout).map((entry) => rowOf(entry)));
  const over = new AbortController();
  let recorderRetries = 0;
  const retriesBefore = keeper.retries;

  const write = async (connection: Connection) => {
    for (let rows = waiting.shift(); rows; rows = waiting.shift()) {
      const retries = await retried(() => connection.query(`${head} ? ${tail}`, [rows]));
      recorderRetries += retries;
    }
  };
  const started = performance.now();
  const numbering = (async () => {
    while (!over.signal.aborted) {
      await numberAll(keeper);
      await sleep(NUMBERING_PAUSE, undefined, { signal: over.signal }).catch(() => undefined);
    }
  })();
  await Promise.all(writers.map(write));
  const written = performance.now();
  const pending = await count(reader, 'SELECT COUNT(*) FROM opt_outs WHERE feed_number IS NULL');
  over.abort();
  await numbering;
  await numberAll(keeper);
  return {
    milliseconds: written - started,
    pending,
    drainMilliseconds: performance.now() - written,
    recorderRetries,
    numberingRetries: keeper.retries - retriesBefore,
  };
}

async function numberAll(keeper: Keeper): Promise<void> {
  for (let list = 1; list <= LISTS; list++) {
    for (;;) {
      const [pending] = await keeper.connection.query<RowDataPacket[][]>({
        sql: `SELECT ${ROW_KEY[keeper.layout].join(', ')} FROM opt_outs
              WHERE list_id = ${list} AND feed_number IS NULL LIMIT ${NUMBERING_ROWS}`,
        rowsAsArray: true,
      });
      const keys = pending as unknown as (Buffer | number)[][];
      if (keys.length > 0) keeper.retries += await retried(() => number(keeper, list, keys));
      if (keys.length < NUMBERING_ROWS) break;
    }
  }
}

async function number(
  { connection, layout }: Keeper,
  list: number,
  keys: (Buffer | number)[][],
): Promise<void> {
  const columns = ROW_KEY[layout];
  const inJson = columns.map((column, at) => `k${at} ${JSON_TYPES[column]} PATH '$[${at}]'`);
  const on = columns.map((column, at) => `o.${column} = ${column === 'id' ? `j.k${at}` : `UNHEX(j.k${at})`}`);
  await connection.query('START TRANSACTION');
  try {
    const next = await count(connection, 'SELECT next_number FROM feed WHERE id = 1 FOR UPDATE');
    const numbered = keys.map((key, at) => [...jsonKeyOf(key), next + at]);
    await connection.query(
      `UPDATE JSON_TABLE(?, '$[*]' COLUMNS (${inJson.join(', ')}, n BIGINT PATH '$[${columns.length}]')) j
       STRAIGHT_JOIN opt_outs o FORCE INDEX (PRIMARY) ON o.list_id = ${list} AND ${on.join(' AND ')}
       SET o.feed_number = j.n, o.counted = 1 WHERE o.feed_number IS NULL`,
      [JSON.stringify(numbered)],
    );
    await connection.query('UPDATE feed SET next_number = ? WHERE id = 1', [next + keys.length]);
    await connection.query(`UPDATE list_counts SET suppressed = suppressed + ? WHERE list_id = ${list}`, [
      keys.length,
    ]);
    await connection.query('COMMIT');
  } catch (error) {
    await connection.query('ROLLBACK');
    throw error;
  }
}

const JSON_TYPES = {
  address_key: 'VARCHAR(32)',
  address: 'VARCHAR(508)',
  tag: 'VARCHAR(256)',
  id: 'BIGINT UNSIGNED',
};

async function lookUp(reader: Connection, layout: Layout, kind: LookUp, entries: Entry[]): Promise<number> {
  const ofAddress = layout === 'C' ? 'address' : 'address_key';
  const column = kind.startsWith('md5') ? 'address_key' : ofAddress;
  const value = (entry: Entry) => (column === 'address' ? entry.address : entry.key);
  const ask = async (where: string, values: unknown[]) => {
    const sql = `SELECT ${column}, tag, removed_at, expires_at FROM opt_outs WHERE list_id = ? AND ${where}`;
    const [rows] = await reader.query<RowDataPacket[]>({ sql, rowsAsArray: true }, [BIG_LIST, ...values]);
    return rows.length;
  };
  if (kind === 'addresses' || kind === 'md5s') return ask(`${column} IN (?)`, [entries.map(value)]);
  let found = 0;
  for (const entry of entries) {
    if (kind === 'prefix') {
      const from = entry.address.subarray(0, 6);
      found += await ask('address >= ? AND address < ? LIMIT 50', [from, Buffer.concat([from, AFTER_ALL])]);
    } else if (kind === 'domain') {
      const domain = entry.address.subarray(entry.address.lastIndexOf('@') + 1);
      found += await ask('domain = ? LIMIT 50', [domain]);
    } else {
      found += await ask(`${column} = ?`, [value(entry)]);
    }
  }
  return found;
}

const AFTER_ALL = Buffer.from([0xff]);

async function scan(
  connection: CallbackConnection,
  layout: Layout,
  order: ScanOrder,
  limit: number,
): Promise<number> {
  const [index, by] =
    order === 'id'
      ? ['PRIMARY', 'id']
      : layout === 'C'
        ? ['PRIMARY', 'list_id, address, tag']
        : [layout === 'A' ? 'PRIMARY' : 'list_id', 'list_id, address_key, tag'];
  const sql = `SELECT address_key FROM opt_outs FORCE INDEX (${index})
               WHERE list_id = ${BIG_LIST} AND removed_at IS NULL ORDER BY ${by}`;
  const until = performance.now() + limit;
  let rows = 0;
  await new Promise<void>((resolve, reject) => {
    connection
      .query({ sql, rowsAsArray: true })
      .on('result', () => {
        rows++;
        if (rows % 1000 === 0 && performance.now() > until) resolve();
      })
      .on('end', resolve)
      .on('error', reject);
  });
  // What may have been cut short cannot be used again.
  connection.destroy();
  return rows;
}

/** Runs it until neither a deadlock (1213) nor a lock wait timeout (1205) ends it; answers the number of retries. */
async function retried(task: () => Promise<unknown>): Promise<number> {
  for (let retries = 0; ; retries++) {
    try {
      await task();
      return retries;
    } catch (error) {
      const { errno } = error as { errno?: number };
      if (errno !== 1213 && errno !== 1205) throw error;
    }
  }
}

async function count(connection: Connection, sql: string): Promise<number> {
  const [rows] = await connection.query<RowDataPacket[]>({ sql, rowsAsArray: true });
  return Number((rows[0] as unknown as unknown[])[0]);
}
