import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { connect } from '../src/db/connect.js';
import { projectPath } from '../src/paths.js';
import { rowsOfList } from '../test/support/core.js';
import { startLoad } from '../test/support/ledger.js';
import { startPrivateDatabase } from '../test/support/mariadb.js';
import type { Finding, Proof } from './proof.js';
import { createDatabase, install, type Installation } from './support/installation.js';
import { patiently } from './support/patiently.js';

const run = promisify(execFile);
const least = 2000;

/**
 * Promise 1, for power cuts: the process that writes the files is killed, and the files are put back to what it
 * had them flushed to. prove/support/power.c keeps that copy of them.
 */
export const powerCut: Proof = {
  promise: 1,
  name: 'power-cut',
  says: 'What was acknowledged survives a power cut',
  engines: ['sqlite', 'mysql'],
  isQuickToo: false,
  async prove({ engine, say }) {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'signoff-power-'));
    await chmod(folder, 0o755); // a database server runs as a user of its own
    const library = path.join(folder, 'power.so');
    try {
      try {
        const source = projectPath('prove', 'support', 'power.c');
        await run('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl', '-lpthread']);
      } catch {
        return [{ what: 'a power cut', notRun: 'there is no C compiler here (cc)', holds: true }];
      }
      const cut = engine === 'sqlite' ? cutSqlite : cutMysql;
      const findings: Finding[] = [];
      for (const isControl of [false, true]) {
        say(isControl ? 'the control' : 'a power cut');
        findings.push(await cut(library, path.join(folder, isControl ? 'control' : 'cut'), isControl));
      }
      return findings;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function cutSqlite(library: string, folder: string, isControl: boolean): Promise<Finding> {
  const [files, flushed] = [path.join(folder, 'files'), path.join(folder, 'flushed')];
  await mkdir(files, { recursive: true });
  const of = await install(`sqlite://${files}/signoff.db`);
  await cp(files, flushed, { recursive: true });
  const env = { LD_PRELOAD: library, POWER_FROM: files, POWER_TO: flushed };
  const { child, port } = isControl ? await startCareless(of, env) : await startService(of, env);
  const acked = await loadUntilCut(of, `http://127.0.0.1:${port}`, isControl, () => kill(child));
  const what = isControl ? 'on SQLite with synchronous NORMAL' : 'the service on SQLite';
  return judge(what, acked, await readFrom(`sqlite://${flushed}/signoff.db`, of), isControl);
}

async function cutMysql(library: string, folder: string, isControl: boolean): Promise<Finding> {
  await mkdir(folder);
  await chmod(folder, 0o755);
  const settings = ['--innodb-use-native-aio=0', '--innodb-flush-method=fsync'];
  if (isControl) settings.push('--innodb-flush-log-at-trx-commit=2');
  const server = await startPrivateDatabase(settings, folder);
  try {
    const of = await install(await createDatabase(server.url));
    const files = path.join(path.dirname(server.socketPath), 'data');
    const flushed = `${files}-flushed`;
    await server.kill9();
    await run('cp', ['-a', files, flushed]);
    const env = { LD_PRELOAD: library, POWER_FROM: files, POWER_TO: flushed };
    // The server is given our environment.
    Object.assign(process.env, env);
    try {
      await server.restart();
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
    }
    const { child, port } = await startService(of, isControl ? { ACCEPT_LOSING_OPT_OUTS: 'yes' } : {});
    let acked: string[];
    try {
      acked = await loadUntilCut(of, `http://127.0.0.1:${port}`, false, () => server.kill9());
    } finally {
      await kill(child);
    }
    await rm(files, { recursive: true });
    await rename(flushed, files);
    await server.restart();
    const what = isControl ? 'on MariaDB with innodb_flush_log_at_trx_commit=2' : 'the database server';
    return judge(what, acked, await readFrom(of.url, of), isControl);
  } finally {
    await server.stop();
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly port: number;
}

async function startService(of: Installation, env: Record<string, string>): Promise<Started> {
  const { process: child, port } = await of.start({ DATABASE_TIMEOUT_MS: '5000', ...env });
  return { child, port };
}

async function startCareless(of: Installation, env: Record<string, string>): Promise<Started> {
  const file = projectPath('test', 'support', 'careless-service.ts');
  const child = spawn(process.execPath, ['--import=tsx', file, of.url, String(of.list.id)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await patiently('it listens', () => said.endsWith('\n'));
  return { child, port: (JSON.parse(said) as { port: number }).port };
}

/** @returns what was acknowledged until the cut, under load. */
async function loadUntilCut(
  of: Installation,
  url: string,
  isCareless: boolean,
  cut: () => Promise<void>,
): Promise<string[]> {
  const ways = isCareless ? of.ways.filter(({ name }) => name === 'one-click') : of.ways;
  const load = startLoad(() => url, of.link, { connections: 32, name: 'c', ways, patienceMs: 20_000 });
  try {
    await patiently(`${least} are acknowledged`, () => load.ledger.acked.size >= least);
    await cut();
  } finally {
    await load.stop();
  }
  return [...load.ledger.acked];
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function readFrom(url: string, { list }: Installation): Promise<string[]> {
  const db = connect(url, { timeoutMs: 20_000, poolSize: 1 });
  try {
    return (await rowsOfList(db, list.id)).map((row) => String(row.address));
  } finally {
    await db.destroy();
  }
}

function judge(what: string, acked: string[], rows: string[], isControl: boolean): Finding {
  const there = new Set(rows);
  const lost = acked.filter((email) => !there.has(email)).length;
  return {
    ...{ what: `power cut: ${what}`, faults: 1, acknowledged: acked.length, lost },
    doubled: rows.length - there.size,
    ...(isControl ? { holds: lost > 0, isControl } : { holds: lost === 0 && acked.length >= least }),
  };
}
