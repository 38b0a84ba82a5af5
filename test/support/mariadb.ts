import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { chown, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';

const run = promisify(execFile);
const startLimitMs = 60_000;

export interface PrivateDatabase {
  /** `mysql://signoff:…@127.0.0.1:port/`, of a user who may do everything. */
  readonly url: string;
  /** Of the server that runs now; another one after a restart. */
  readonly pid: number;
  readonly socketPath: string;
  /** Ends the server the hard way, as a crash would; its files stay. */
  kill9: () => Promise<void>;
  /** Ends the server, if it runs, and starts it again on the same files, port and socket. */
  restart: () => Promise<void>;
  /** Ends the server and removes its folder. */
  stop: () => Promise<void>;
}

/** Whether this machine has a MariaDB or MySQL server to start. */
export function hasDatabaseServer(): boolean {
  return findProgram('mariadbd', 'mysqld') !== null;
}

/**
 * Starts a server of its own for this process, in a folder of its own: MariaDB or else MySQL, set to
 * keep what it acknowledges. It ends with this process, unless that one is killed the hard way.
 *
 * @param more settings for the server's command line, which win over ours.
 * @param parent that its folder is made in.
 * @throws Error with the end of the server's log, where it did not come up within a minute.
 */
export async function startPrivateDatabase(
  more: readonly string[] = [],
  parent = os.tmpdir(),
): Promise<PrivateDatabase> {
  const program = findProgram('mariadbd', 'mysqld');
  if (program === null) throw new Error('no MariaDB or MySQL server here; npm run test:setup installs one');
  const folder = await mkdtemp(path.join(parent, 'signoff-db-'));
  let server: ChildProcess | undefined;

  const removeAll = () => {
    if (server?.exitCode === null && server.signalCode === null) server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const leave = () => process.exit(130);
  process.on('exit', removeAll);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);

  const kill9 = async () => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  };
  const stop = async () => {
    await kill9();
    removeAll();
    process.off('exit', removeAll);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, leave);
  };

  try {
    const owner = await ownerOf(folder);
    const password = randomBytes(12).toString('hex');
    await createDataFolder(program, folder, owner);
    await writeInitFile(folder, password);
    const port = await freePort();
    const url = `mysql://signoff:${password}@127.0.0.1:${port}/`;
    const start = async () => {
      server = spawnServer(program, folder, [...owner, ...more], port);
      await isUp(server, url, folder);
    };
    await start();
    return {
      url,
      get pid() {
        return server?.pid ?? 0;
      },
      socketPath: path.join(folder, 'db.sock'),
      kill9,
      restart: async () => {
        await kill9();
        await start();
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export function findProgram(...names: string[]): string | null {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/usr/libexec'];
  const places = names.flatMap((name) => folders.map((folder) => path.join(folder, name)));
  return places.find((place) => existsSync(place)) ?? null;
}

/** Neither server runs as root: there, the folder goes to the user that the package made. */
export async function ownerOf(folder: string): Promise<string[]> {
  if (process.getuid?.() !== 0) return [];
  const ids = await Promise.all(['-u', '-g'].map((flag) => run('id', [flag, 'mysql']))).catch(() => null);
  if (ids === null) return ['--user=root'];
  const [uid, gid] = ids.map(({ stdout }) => Number(stdout));
  await chown(folder, uid ?? 0, gid ?? 0);
  return ['--user=mysql'];
}

export async function createDataFolder(program: string, folder: string, owner: string[]): Promise<void> {
  const data = `--datadir=${path.join(folder, 'data')}`;
  const { stdout: version } = await run(program, ['--no-defaults', '--version']);
  if (!version.includes('MariaDB')) {
    await run(program, ['--no-defaults', '--initialize-insecure', data, ...owner]);
    return;
  }
  const installer = findProgram('mariadb-install-db', 'mysql_install_db');
  if (installer === null) throw new Error('this MariaDB has no mariadb-install-db');
  const quick = ['--skip-test-db', '--auth-root-authentication-method=normal'];
  await run(installer, ['--no-defaults', data, ...quick, ...owner], { env: environmentOf(folder) });
}

/** A server that starts removes the temporary tables of all others in its folder for temporary files. */
function environmentOf(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, TMPDIR: folder };
}

/** Read at every start: the superusers that the two installers make cannot come in by TCP. */
async function writeInitFile(folder: string, password: string): Promise<void> {
  const statements = ['127.0.0.1', 'localhost'].flatMap((host) => [
    `CREATE USER IF NOT EXISTS 'signoff'@'${host}' IDENTIFIED BY '${password}';`,
    `GRANT ALL PRIVILEGES ON *.* TO 'signoff'@'${host}' WITH GRANT OPTION;`,
  ]);
  await writeFile(path.join(folder, 'init.sql'), `${statements.join('\n')}\n`);
}

function spawnServer(program: string, folder: string, owner: string[], port: number): ChildProcess {
  const options = {
    datadir: path.join(folder, 'data'),
    socket: path.join(folder, 'db.sock'),
    'pid-file': path.join(folder, 'db.pid'),
    'log-error': path.join(folder, 'error.log'),
    'init-file': path.join(folder, 'init.sql'),
    port: String(port),
    'bind-address': '127.0.0.1',
    'character-set-server': 'utf8mb4',
    'innodb-flush-log-at-trx-commit': '1',
    'innodb-buffer-pool-size': '256M',
    'max-connections': '400',
    // MySQL's second protocol would want a port of its own; MariaDB passes over it.
    'loose-mysqlx': '0',
  };
  const settings = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  // A session of its own: Ctrl-C is for this process, which still has to shut down what it tests.
  return spawn(program, ['--no-defaults', ...settings, '--skip-log-bin', '--skip-name-resolve', ...owner], {
    stdio: 'ignore',
    detached: true,
    env: environmentOf(folder),
  });
}

async function isUp(server: ChildProcess, url: string, folder: string): Promise<void> {
  const deadline = Date.now() + startLimitMs;
  let last: unknown;
  while (Date.now() < deadline && server.exitCode === null && server.signalCode === null) {
    try {
      const connection = await createConnection({ uri: url, connectTimeout: 2000 });
      await connection.end();
      return;
    } catch (error) {
      last = error;
      await sleep(50);
    }
  }
  const log = await readFile(path.join(folder, 'error.log'), 'utf8').catch(() => 'no log');
  throw new Error(`the database server did not come up:\n${log.slice(-3000)}`, { cause: last });
}

/**
 * Below the ports that Linux hands out to outgoing connections: among those, a client that keeps
 * calling while the server is down can take its port, or even be connected to itself.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(11_000, 32_000);
  const probe = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    probe.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
  });
  probe.close();
  return isFree ? port : freePort();
}
