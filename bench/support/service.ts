import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { createConnection } from 'mysql2/promise';
import { createAccount } from '../../src/core/accounts.js';
import type { ListSettings } from '../../src/core/list-settings.js';
import { createList, type List } from '../../src/core/lists.js';
import { connect, retrying, type Db } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { projectPath } from '../../src/paths.js';
import type { Setting } from '../bench.js';

export const engines = ['mysql', 'sqlite'] as const;
export type EngineName = (typeof engines)[number];

/** As the tables call them. */
export const engineNames: Record<EngineName, string> = { mysql: 'MariaDB', sqlite: 'SQLite' };

const production = {
  NODE_ENV: 'production',
  BASE_URL: 'http://signoff.test',
  SIGNOFF_SECRET: 'a secret of at least 32 characters',
};

/** A program that listens, in a process of its own. */
export interface RunningProgram {
  readonly pid: number;
  readonly port: number;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** What it wrote so far, to both streams, by lines. */
  readonly lines: readonly string[];
  /** What it has used of the processor so far, user and system together: milliseconds, to the next 10. */
  cpuMs(): number;
  /** The most memory it has held since it began, or since `forgetPeak`: octets. */
  peakOctets(): number;
  forgetPeak(): void;
  /** SIGTERM, and waits for its end; after half a minute, SIGKILL. */
  stop(): Promise<void>;
}

/**
 * Starts the program that is measured, `dist/src/server.js`, with this environment and no more of ours than it
 * needs. In production, so that it makes no demo.
 *
 * @param nodeOptions for Node itself, such as `--cpu-prof`.
 */
export async function startService(
  env: Readonly<Record<string, string>>,
  nodeOptions: readonly string[] = [],
): Promise<RunningProgram> {
  const program = projectPath('dist', 'src', 'server.js');
  if (!existsSync(program)) throw new Error(`${program} is missing: npm run build makes it`);
  return startProgram([...startOptions(), ...nodeOptions, program], { ...production, ...env });
}

/** What `npm start` tells Node. */
function startOptions(): string[] {
  const { scripts } = JSON.parse(readFileSync(projectPath('package.json'), 'utf8')) as {
    scripts: { start: string };
  };
  return scripts.start.split(' ').filter((word) => word.startsWith('--'));
}

/** One of bench/support/baselines.ts. */
export function startBaseline(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProgram> {
  const program = projectPath('bench', 'support', 'baselines.ts');
  return startProgram(['--import=tsx', program, name], { ...production, ...env });
}

/** Any program of Node's that logs `"port":…` and `"msg":"listening"` in one line once it listens. */
export async function startProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<RunningProgram> {
  const child = spawn(process.execPath, args, {
    cwd: projectPath(),
    env: { PATH: process.env.PATH, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killed = () => child.kill('SIGKILL');
  process.on('exit', killed);
  const ended = once(child, 'close').finally(() => process.off('exit', killed));
  const lines: string[] = [];
  const port = await new Promise<number | null>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', (line) => {
        lines.push(line);
        const listening = /"port":(\d+),.*"msg":"listening"/.exec(line);
        if (listening) resolve(Number(listening[1]));
      });
    }
    void ended.then(() => resolve(null));
  });
  const { pid } = child;
  if (port === null || pid === undefined)
    throw new Error(`${args.join(' ')} did not start:\n${lines.join('\n')}`);
  return {
    pid,
    port,
    url: `http://127.0.0.1:${port}`,
    lines,
    cpuMs: () => cpuMsOf(pid),
    peakOctets: () => peakOctetsOf(pid),
    // proc(5): 5 resets the peak.
    forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, '5'),
    stop: async () => {
      child.kill('SIGTERM');
      const timer = setTimeout(killed, 30_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** What a process has used of the processor; also a database server's: milliseconds. */
export function cpuMsOf(pid: number): number {
  // The name, in brackets, can hold anything; the two times are the 14th and 15th fields (proc(5)).
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

export function peakOctetsOf(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

/** A migrated database with one account. */
export interface BenchDatabase {
  readonly engine: EngineName;
  /** For DATABASE_URL. */
  readonly url: string;
  readonly db: Db;
  readonly accountId: number;
  /** Closes our connections; the database itself goes with the run. */
  close(): Promise<void>;
}

/** @returns null for MariaDB where no server is installed. */
export async function newDatabase(
  setting: Setting,
  engine: EngineName,
  name: string,
): Promise<BenchDatabase | null> {
  const url = await newDatabaseUrl(setting, engine, name);
  if (url === null) return null;
  const db = connect(url, { timeoutMs: 600_000, poolSize: 4 });
  await migrate(db);
  const { id: accountId } = await createAccount(db, 'Acme');
  return { engine, url, db, accountId, close: () => db.destroy() };
}

async function newDatabaseUrl(setting: Setting, engine: EngineName, name: string): Promise<string | null> {
  if (engine === 'sqlite') {
    const folder = path.join(setting.folder, name);
    mkdirSync(folder, { recursive: true });
    return `sqlite://${path.join(folder, 'signoff.db')}`;
  }
  const server = await setting.mariadb();
  if (server === null) return null;
  const connection = await createConnection(server.url);
  await connection.query(`CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`);
  await connection.end();
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return url.href;
}

/** A list whose whitelist lets this machine in, unless the settings say otherwise. */
export function newList(
  { db, accountId }: BenchDatabase,
  settings: Partial<ListSettings> = {},
): Promise<List> {
  const all = { name: 'Acme News', ipWhitelist: '127.0.0.1', ...settings };
  const by = { actor: 'bench', confirmPrivate: true, confirmWide: true };
  // The service may be writing meanwhile.
  return retrying(db, 60_000, () => createList(db, accountId, all, by));
}

/** Rows of a list that the database holds. */
export async function countRows(db: Db, list: List): Promise<number> {
  const rows: { n: number | string }[] = await db('opt_outs').where({ list_id: list.id }).count({ n: '*' });
  return Number(rows[0]?.n);
}

/**
 * Waits until the keeper has given every row of a list its number.
 *
 * @returns how long that took: milliseconds.
 */
export async function untilNumbered(db: Db, list: List): Promise<number> {
  const startedAt = performance.now();
  while (
    (await db('opt_outs').where({ list_id: list.id }).whereNull('feed_number').first('tag')) !== undefined
  ) {
    if (performance.now() - startedAt > 120_000) throw new Error('the keeper does not catch up');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - startedAt;
}
