/**
 * The bench that settled the key of the table `opt_outs`: docs/decisions/0001-the-key-of-opt-outs.md.
 *
 *   npm run bench:key                       MariaDB and SQLite, up to 5,000,000 rows: an hour, 12 GB of disk
 *   npm run bench:key -- --rows 500000      the same in little: ten minutes
 *   npm run bench:key -- --engine sqlite    one engine alone (`mariadb` or `sqlite`)
 *   npm run bench:key -- --pool 4G          MariaDB's buffer pool, by default 1G; there are three servers
 *   npm run bench:key -- --in-flight 8      as many recording statements at once as four nodes send to MariaDB
 *   npm run bench:key -- --dir /mnt/disk    where to put the databases; by default the temporary folder
 *   npm run bench:key -- --smoke            two thousand rows, some six seconds; says nothing about speed
 *
 * It starts MariaDB servers of its own, on sockets in that folder, and takes them down again. Without MariaDB
 * installed it measures SQLite alone. Point it at a disk that really flushes: on a RAM disk a commit is free.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LAYOUTS, type Engine } from './layouts.js';
import { isMariadbInstalled, serverFlags, startServer, type Server } from './mariadb-server.js';
import { openMariadb } from './mariadb.js';
import { measure, type Plan } from './measure.js';
import { reportOf } from './report.js';
import { openSqlite, SQLITE_SETTINGS } from './sqlite.js';
import type { Store } from './store.js';

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '5000000' },
    engine: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    pool: { type: 'string', default: '1G' },
    'in-flight': { type: 'string', default: '2' },
    smoke: { type: 'boolean', default: false },
  },
});
const top = options.smoke ? 2000 : Number(options.rows);
if (!Number.isSafeInteger(top) || top < 1000) throw new Error('--rows takes a whole number from 1000');
if (options.engine !== undefined && !['mariadb', 'sqlite'].includes(options.engine)) {
  throw new Error('--engine takes mariadb or sqlite');
}
const inFlight = Number(options['in-flight']);
if (!Number.isSafeInteger(inFlight) || inFlight < 1)
  throw new Error('--in-flight takes a whole number from 1');
const plan: Plan = {
  sizes: options.smoke ? [0, top] : [0, top / 5, top].map(Math.round),
  windows: options.smoke ? 1 : 7,
  batches: Math.min(500, Math.ceil(top / 1000)),
  lookUps: Math.min(2000, Math.ceil(top / 20)),
  rounds: options.smoke ? 1 : 3,
  scanLimit: 6_000,
};

const directory = mkdtempSync(join(options.dir, 'signoff-bench-key-'));
// mariadbd may have to run as another user, who has to get in.
chmodSync(directory, 0o755);
const servers: Server[] = [];
let cleaning: Promise<void> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cleanUp().then(() => process.exit(1)));

try {
  console.log(`${cpus().length} cores, Node ${process.version}, ${plan.windows} windows\n`);
  if (options.engine !== 'sqlite') await benchMariadb();
  if (options.engine !== 'mariadb') await benchSqlite();
} finally {
  await cleanUp();
}

async function benchMariadb(): Promise<void> {
  if (!isMariadbInstalled()) {
    if (options.engine === 'mariadb') throw new Error('MariaDB is not installed');
    console.log('MariaDB is not installed: SQLite alone.\n');
    return;
  }
  const flags = serverFlags(options.pool);
  console.log(`MariaDB: ${flags.join(' ')}; a server for each layout, ${inFlight} statements in flight`);
  const stores: Store[] = [];
  for (const layout of LAYOUTS.MariaDB) {
    // One buffer pool each, so that no layout evicts another's pages. The smoke run spares the time.
    const shared = options.smoke ? servers[0] : undefined;
    const server = shared ?? (await startServer(join(directory, layout), flags));
    if (!shared) servers.push(server);
    stores.push(await openMariadb(layout, server, inFlight));
  }
  await bench('MariaDB', stores, plan);
  await Promise.all(servers.splice(0).map((server) => server.stop()));
}

async function benchSqlite(): Promise<void> {
  console.log(`SQLite: ${SQLITE_SETTINGS.join(', ')}`);
  const stores: Store[] = [];
  for (const layout of LAYOUTS.SQLite)
    stores.push(await openSqlite(layout, join(directory, `${layout}.sqlite`)));
  // It records slower, and a window need not take longer for that.
  await bench('SQLite', stores, { ...plan, batches: Math.ceil(plan.batches / 3) });
}

async function bench(engine: Engine, stores: Store[], plan: Plan): Promise<void> {
  console.log(`${plan.batches} batches of 64 a window\n`);
  const say = (text: string) => console.error(`${new Date().toISOString()} ${engine}: ${text}`);
  await measure(stores, plan, (measured) => console.log(`${reportOf(engine, measured)}\n`), say);
  for (const store of stores) await store.close();
}

/** A signal and the error that it brings about both come here; the second waits for the first. */
function cleanUp(): Promise<void> {
  cleaning ??= (async () => {
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    rmSync(directory, { recursive: true, force: true });
  })();
  return cleaning;
}
