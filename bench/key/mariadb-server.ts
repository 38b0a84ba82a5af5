import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';

export interface Server {
  socket: string;
  dataDirectory: string;
  stop(): Promise<void>;
}

export function isMariadbInstalled(): boolean {
  return ['mariadbd', 'mariadb-install-db'].every((name) => spawnSync(name, ['--help']).error === undefined);
}

/** The flags of every server of the bench; the report prints them. */
export const serverFlags = (pool: string): string[] => [
  '--innodb-flush-log-at-trx-commit=1',
  '--skip-log-bin',
  `--innodb-buffer-pool-size=${pool}`,
  '--innodb-log-file-size=512M',
  '--innodb-io-capacity=2000',
  '--innodb-io-capacity-max=10000',
  '--innodb-autoinc-lock-mode=2',
];

/** A server of our own, on a folder of our own and a unix socket; it listens on no port. */
export async function startServer(directory: string, flags: string[]): Promise<Server> {
  const dataDirectory = join(directory, 'data');
  const socket = join(directory, 'socket');
  mkdirSync(directory, { recursive: true });
  // mariadbd refuses to run as root.
  const asUser: string[] = process.getuid?.() === 0 ? ['--user=mysql'] : [];
  if (asUser.length > 0) run('chown', ['mysql', directory]);
  run('mariadb-install-db', [
    '--no-defaults',
    ...asUser,
    `--datadir=${dataDirectory}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]);
  const child = spawn(
    'mariadbd',
    [
      '--no-defaults',
      ...asUser,
      `--datadir=${dataDirectory}`,
      `--socket=${socket}`,
      `--pid-file=${join(directory, 'pid')}`,
      '--skip-networking',
      ...flags,
    ],
    { stdio: 'ignore' },
  );
  const exited = once(child, 'exit');
  const server = {
    socket,
    dataDirectory,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
  for (let attempt = 0; attempt < 300 && child.exitCode === null; attempt++) {
    try {
      await (await createConnection({ socketPath: socket, user: 'root' })).end();
      return server;
    } catch {
      await sleep(100);
    }
  }
  await server.stop();
  throw new Error(`mariadbd did not start in ${directory}`);
}

function run(command: string, args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`);
}
