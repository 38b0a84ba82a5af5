import type { Knex } from 'knex';
import knex from 'knex';
import MySql2Dialect from 'knex/lib/dialects/mysql2/index.js';
import type { Connection } from 'mysql2';
import { StartRefused } from '../errors.js';
import {
  joinedOctets,
  silent,
  type ConnectOptions,
  type Engine,
  type Insertion,
  type SqlValue,
} from './engine.js';

/** Codes of mysql2's and the server's that mean: not now, perhaps done, ask again later. */
const unavailableCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_SEQUENCE_TIMEOUT',
  'ER_CON_COUNT_ERROR',
  'ER_SERVER_SHUTDOWN',
  'ER_NORMAL_SHUTDOWN',
  'ER_CONNECTION_KILLED',
  'ER_QUERY_INTERRUPTED',
  'ER_QUERY_TIMEOUT',
  'ER_STATEMENT_TIMEOUT',
  'ER_OPTION_PREVENTS_STATEMENT',
  'ER_DISK_FULL',
  'ER_RECORD_FILE_FULL',
  'ER_ERROR_ON_WRITE',
  'ER_TOO_MANY_USER_CONNECTIONS',
  'ER_OUT_OF_RESOURCES',
  'ER_ERROR_DURING_COMMIT',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EMFILE',
]);

/** After which the server ends a connection that it hears nothing of; the pool gives up those it does not need sooner. */
const idleSeconds = 120;
const idleTransactionSeconds = 20;

/** 1213 deadlock, 1205 lock wait, 1047 a Galera node that is not ready: the statement left nothing behind. */
const retryableErrnos = new Set([1213, 1205, 1047]);

export const mysqlEngine: Engine = {
  name: 'mysql',
  straightJoin: 'STRAIGHT_JOIN',
  byIndex: (name) => `FORCE INDEX (${name ?? 'PRIMARY'})`,
  nullSafeEqual: '<=>',
  incoming: (column) => `VALUES(${column})`,
  onRepeat: 'ON DUPLICATE KEY UPDATE',
  smaller: (a, b) => `LEAST(${a}, ${b})`,
  larger: (a, b) => `GREATEST(${a}, ${b})`,
  joined: (sql, separator) => `GROUP_CONCAT(${sql} SEPARATOR '${separator}')`,
  // The first 7 octets of 16, or all 4.
  clientNetwork: (column) => `LEFT(INET6_ATON(${column}), 7)`,
  insertRows,
  isUnavailable: (error) => {
    const { code, fatal, errno } = error as { code?: string; fatal?: boolean; errno?: number };
    return fatal === true || unavailableCodes.has(code ?? '') || retryableErrnos.has(errno ?? 0);
  },
  isRetryable: (error) => retryableErrnos.has((error as { errno?: number }).errno ?? 0),
};

/**
 * Opens a pool on MariaDB 10.6+ or MySQL 8. Every query has `timeoutMs`: one that takes longer fails,
 * and its connection is destroyed, since the server may still answer on it.
 */
export function openMysql(url: string, options: ConnectOptions): Knex {
  class TimedDialect extends MySql2Dialect {
    override _query(connection: Connection, query: Parameters<MySql2Dialect['_query']>[1]): Promise<unknown> {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          connection.destroy();
          reject(
            Object.assign(new Error(`no answer from the database within ${options.timeoutMs} ms`), {
              code: 'PROTOCOL_SEQUENCE_TIMEOUT',
            }),
          );
        }, options.timeoutMs);
        super
          ._query(connection, query)
          .then(resolve, reject)
          .finally(() => clearTimeout(timer));
      });
    }
  }
  return knex({
    client: TimedDialect as unknown as typeof Knex.Client,
    connection: connectionSettings(url, options.timeoutMs),
    acquireConnectionTimeout: options.timeoutMs,
    // Otherwise the messages of errors would hold the values of their statements.
    compileSqlOnError: false,
    // Knex prints failed connections, with their stacks, to the standard output.
    log: silent,
    pool: {
      min: 0,
      max: options.poolSize,
      createTimeoutMillis: options.timeoutMs,
      idleTimeoutMillis: 60_000,
      afterCreate: (connection: Connection, done: (error: Error | null) => void) => {
        prepareSession(connection).then(() => done(null), done);
      },
    },
  });
}

async function insertRows(
  db: Knex,
  { into, merge }: Insertion,
  rows: readonly (readonly SqlValue[])[],
): Promise<boolean> {
  const values = rows.map((row) => `(${row.map(literal).join(',')})`).join(',');
  const [{ info = '' }] = (await db.raw(`INSERT INTO ${into} VALUES ${values} ${merge}`)) as [
    { info?: string },
  ];
  // It tells of a statement of several rows alone: `Records: 2  Duplicates: 0  Warnings: 0`.
  return /Duplicates: 0\b/.test(info);
}

/** Octets in hexadecimal: nothing in them can end the value, or be taken for a binding by Knex. */
function literal(value: SqlValue): string {
  if (value === null) return 'NULL';
  if (typeof value === 'number') return String(value);
  return `X'${typeof value === 'string' ? Buffer.from(value).toString('hex') : value.toString('hex')}'`;
}

function connectionSettings(text: string, timeoutMs: number): Knex.MySql2ConnectionConfig {
  const url = new URL(text);
  const socketPath = url.searchParams.get('socketPath');
  return {
    ...(socketPath === null ? { host: url.hostname, port: Number(url.port || 3306) } : { socketPath }),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)),
    ...(url.searchParams.get('ssl') === 'true' ? { ssl: { rejectUnauthorized: true } } : {}),
    charset: 'utf8mb4',
    supportBigNumbers: true,
    connectTimeout: Math.min(timeoutMs, 5000),
  };
}

/**
 * READ COMMITTED: without gap locks the recorder's batches and the keeper do not wait for each other.
 * Strict mode: a value that does not fit is an error, never cut short. A connection that turned half open in
 * the middle of a transaction holds its locks until the server ends it: by its own settings after eight hours,
 * in which the keeper would number nothing. MariaDB alone tells such a transaction from a connection that is idle.
 */
async function prepareSession(connection: Connection): Promise<void> {
  const run = (sql: string) =>
    new Promise<void>((resolve, reject) => {
      connection.query(sql, (error) => (error ? reject(error) : resolve()));
    });
  await run('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  await run(
    `SET SESSION sql_mode = 'STRICT_ALL_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 3, group_concat_max_len = ${joinedOctets},
     wait_timeout = ${idleSeconds} /*M!100300 , idle_transaction_timeout = ${idleTransactionSeconds} */`,
  );
}

/**
 * Refuses a server that is too old, or that acknowledges commits which a power cut can take back:
 * InnoDB keeps them only with innodb_flush_log_at_trx_commit=1 and, where the binary log is on,
 * sync_binlog=1 (MariaDB and MySQL manuals, "innodb_flush_log_at_trx_commit").
 *
 * @throws StartRefused
 */
export async function checkMysql(db: Knex, acceptLosingOptOuts: boolean): Promise<string[]> {
  const [rows] = (await db.raw(
    'SELECT VERSION() AS version, @@innodb_flush_log_at_trx_commit AS flush_log, @@log_bin AS log_bin, @@sync_binlog AS sync_binlog',
  )) as [{ version: string; flush_log: number; log_bin: number; sync_binlog: number }[]];
  const server = rows[0];
  if (server === undefined) throw new StartRefused('The database server does not tell its settings.');

  const [major = 0, minor = 0] = server.version.split('.').map(Number);
  const isMaria = /mariadb/i.test(server.version);
  const isOldEnough = isMaria ? major > 10 || (major === 10 && minor >= 6) : major >= 8;
  if (!isOldEnough) {
    throw new StartRefused(`MariaDB 10.6 or MySQL 8.0 at least is needed; this server is ${server.version}.`);
  }

  const problems: string[] = [];
  if (server.flush_log !== 1) {
    problems.push(`innodb_flush_log_at_trx_commit is ${server.flush_log}, and has to be 1`);
  }
  if (server.log_bin === 1 && server.sync_binlog !== 1) {
    problems.push(`the binary log is on and sync_binlog is ${server.sync_binlog}; it has to be 1`);
  }
  if (problems.length > 0 && !acceptLosingOptOuts) {
    throw new StartRefused(
      `This database server would lose acknowledged opt-outs in a power cut: ${problems.join('; ')}.\n` +
        'Change the server, or accept the loss in so many words: ACCEPT_LOSING_OPT_OUTS=yes',
    );
  }
  return problems;
}
