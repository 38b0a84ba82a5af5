import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { createDataFolder, findProgram, freePort, ownerOf } from '../../test/support/mariadb.js';

const run = promisify(execFile);
const startLimitMs = 90_000;

const libraries = ['/usr/lib/galera', '/usr/lib64/galera', '/usr/lib64/galera-4', '/usr/lib/galera-4'];

export function findLibrary(): string | null {
  return libraries.map((folder) => path.join(folder, 'libgalera_smm.so')).find(existsSync) ?? null;
}

export interface GaleraNode {
  readonly name: string;
  /** `mysql://signoff:…@127.0.0.1:port/`, of the node itself. */
  readonly url: string;
  readonly isRunning: () => boolean;
  /** As a crash ends it; its files stay. */
  readonly kill9: () => Promise<void>;
  /** Stops and wakes its process. */
  readonly signal: (name: 'SIGSTOP' | 'SIGCONT') => void;
  /** Starts it again, and resolves once it has what it missed: by IST where a node still holds that, else by SST. */
  readonly rejoin: () => Promise<void>;
  /** Of a node that is down: the number of the last transaction that its files hold. */
  readonly recoveredNumber: () => Promise<number>;
  /** Its files are lost, as with its disk. */
  readonly loseFiles: () => Promise<void>;
  /** What its server has logged since its last start. */
  readonly log: () => Promise<string>;
}

export interface Ports {
  readonly client: number;
  readonly group: number;
  readonly ist: number;
  readonly sst: number;
}

export async function freePorts(): Promise<Ports> {
  return { client: await freePort(), group: await freePort(), ist: await freePort(), sst: await freePort() };
}

export interface Settings {
  readonly folder: string;
  readonly owner: readonly string[];
  readonly password: string;
  readonly ports: readonly Ports[];
  readonly servers: Set<ChildProcess>;
}

export interface StartableNode extends GaleraNode {
  readonly create: () => Promise<void>;
  readonly markSafe: () => Promise<void>;
  readonly startPosition: () => Promise<string[]>;
  readonly start: (more: readonly string[]) => Promise<void>;
}

export function makeNode({ folder, owner, password, ports, servers }: Settings, i: number): StartableNode {
  const own = ports[i];
  const program = findProgram('mariadbd') ?? 'mariadbd';
  if (own === undefined) throw new Error(`no ports for node ${i}`);
  const name = `db${i + 1}`;
  const home = path.join(folder, name);
  const url = `mysql://signoff:${password}@127.0.0.1:${own.client}/`;
  const logFile = path.join(home, 'error.log');
  const options = [...nodeOptions(home, name, own, ports), ...owner];
  // A server that starts removes the temporary tables of all others in its folder for temporary files.
  const env = { ...process.env, TMPDIR: home };
  let server: ChildProcess | undefined;

  const isRunning = () => server !== undefined && server.exitCode === null && server.signalCode === null;
  const makeFolders = async () => {
    for (const made of [home, path.join(home, 'data')]) {
      await mkdir(made, { recursive: true });
      await ownerOf(made);
    }
  };
  const create = async () => {
    await makeFolders();
    await createDataFolder(program, home, [...owner]);
  };
  const start = async (more: readonly string[]) => {
    await rm(logFile, { force: true });
    const started = spawn(program, ['--no-defaults', ...options, ...more], {
      ...{ env, stdio: 'ignore', detached: true },
    });
    server = started;
    servers.add(started);
    started.once('exit', () => servers.delete(started));
    await untilSynced(url, isRunning, logFile);
  };
  /** As galera_recovery does before a node is started, by the log of a server that only reads its files. */
  const recover = async () => {
    const only = ['--wsrep-recover', '--skip-log-error'];
    const limits = { env, timeout: startLimitMs, killSignal: 'SIGKILL' } as const;
    const { stderr } = await run(program, ['--no-defaults', ...options, ...only], limits);
    const [, cluster = '', number = '-1'] = /WSREP: Recovered position: ([\w-]+):(-?\d+)/.exec(stderr) ?? [];
    return { cluster, number: Number(number) };
  };
  const startPosition = async () => {
    const { cluster, number } = await recover();
    return number < 0 ? [] : [`--wsrep-start-position=${cluster}:${number}`];
  };

  return {
    name,
    url,
    isRunning,
    create,
    start,
    async kill9() {
      if (!isRunning() || server === undefined) return;
      const ended = once(server, 'exit');
      server.kill('SIGKILL');
      await ended;
    },
    signal: (signal) => void server?.kill(signal),
    async rejoin() {
      if (existsSync(path.join(home, 'data'))) return start(await startPosition());
      await makeFolders();
      await start([]);
    },
    recoveredNumber: async () => (await recover()).number,
    startPosition,
    async markSafe() {
      const file = path.join(home, 'data', 'grastate.dat');
      const state = await readFile(file, 'utf8');
      await writeFile(file, state.replace(/safe_to_bootstrap: \d/, 'safe_to_bootstrap: 1'));
    },
    loseFiles: () => rm(path.join(home, 'data'), { recursive: true, force: true }),
    log: () => readFile(logFile, 'utf8'),
  };
}

function nodeOptions(home: string, name: string, own: Ports, all: readonly Ports[]): string[] {
  const provider = [
    `gmcast.listen_addr=tcp://127.0.0.1:${own.group}`,
    `ist.recv_addr=127.0.0.1:${own.ist}`,
    'gcache.size=64M',
  ];
  const options = {
    datadir: path.join(home, 'data'),
    socket: path.join(home, 'db.sock'),
    'pid-file': path.join(home, 'db.pid'),
    'log-error': path.join(home, 'error.log'),
    port: String(own.client),
    'bind-address': '127.0.0.1',
    'character-set-server': 'utf8mb4',
    'binlog-format': 'ROW',
    'innodb-autoinc-lock-mode': '2',
    'innodb-flush-log-at-trx-commit': '1',
    'innodb-buffer-pool-size': '128M',
    'innodb-force-primary-key': '1',
    'max-connections': '200',
    'wsrep-on': 'ON',
    'wsrep-provider': findLibrary() ?? '',
    'wsrep-cluster-name': path.basename(path.dirname(home)),
    'wsrep-cluster-address': `gcomm://${all.map(({ group }) => `127.0.0.1:${group}`).join(',')}`,
    'wsrep-node-name': name,
    'wsrep-node-address': '127.0.0.1',
    'wsrep-provider-options': provider.join(';'),
    'wsrep-sst-method': 'rsync',
    'wsrep-sst-receive-address': `127.0.0.1:${own.sst}`,
    'wsrep-slave-threads': '2',
    'wsrep-sync-wait': '1',
    'wsrep-mode': 'STRICT_REPLICATION,REQUIRED_PRIMARY_KEY',
  };
  return [
    ...Object.entries(options).map(([option, value]) => `--${option}=${value}`),
    '--skip-log-bin',
    '--skip-name-resolve',
  ];
}

async function untilSynced(url: string, isRunning: () => boolean, logFile: string): Promise<void> {
  const deadline = Date.now() + startLimitMs;
  while (Date.now() < deadline && isRunning()) {
    if (await isSynced(url)) return;
    await sleep(50);
  }
  const log = await readFile(logFile, 'utf8').catch(() => 'no log');
  throw new Error(`a node of the cluster did not come up:\n${log.slice(-4000)}`);
}

/** Whether a node is a part of the cluster that may write, and has caught up with it. */
export async function isSynced(url: string, timeoutMs = 1000): Promise<boolean> {
  try {
    const connection = await createConnection({ uri: url, connectTimeout: timeoutMs });
    try {
      const [rows] = await connection.query({
        sql: "SHOW STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')",
        timeout: timeoutMs,
      });
      await connection.end();
      const said = (rows as { Value: string }[]).map(({ Value }) => Value);
      return said.includes('ON') && said.includes('4');
    } finally {
      connection.destroy();
    }
  } catch {
    return false;
  }
}
