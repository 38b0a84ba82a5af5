/**
 * Measures what docs/performance.md tells, each thing beside its own baseline in the same run.
 *
 *   npm run bench                          all of it: half an hour, 20 GB of disk
 *   npm run bench -- doors download        some of them, by name
 *   npm run bench -- --rounds 7            how often each pair is measured, by default 5 times
 *   npm run bench -- --window 5            seconds of load in one window, by default 4
 *   npm run bench -- --dir /mnt/disk       where to put the databases; by default the temporary folder
 *   npm run bench -- --write               and writes the table into docs/performance.md
 *   npm run bench -- --smoke               whether each of them runs; says nothing about speed
 *
 * It measures the program that `npm run build` has made, against a MariaDB server of its own. Point it at a disk
 * that really flushes: on a RAM disk a commit is free.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { hasDatabaseServer, startPrivateDatabase, type PrivateDatabase } from '../test/support/mariadb.js';
import { writeFigures } from '../test/support/figures.js';
import type { Figure, Setting } from './bench.js';
import { benches } from './benches.js';
import { tableOf, verdictOf } from './report.js';

const { values: options, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    window: { type: 'string', default: '4' },
    dir: { type: 'string', default: os.tmpdir() },
    write: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
  },
});
const unknown = names.find((name) => benches.every((bench) => bench.name !== name));
if (unknown !== undefined) {
  console.error(`there is no bench ${unknown}; there are ${benches.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const chosen = benches.filter(({ name }) => names.length === 0 || names.includes(name));
/** As production would have it; what is measured is smaller than the pool, as lists that are in use are. */
const serverSettings = ['--innodb-buffer-pool-size=6G', '--innodb-log-file-size=512M'];

const folder = mkdtempSync(path.join(options.dir, 'signoff-bench-'));
// mariadbd may have to run as another user, who has to get in.
chmodSync(folder, 0o755);
let server: Promise<PrivateDatabase> | undefined;
let isCleanedUp = false;
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const setting: Setting = {
  isSmoke: options.smoke,
  rounds: options.smoke ? 1 : numberOf('rounds', 1, 100),
  windowMs: options.smoke ? 300 : numberOf('window', 1, 60) * 1000,
  rows: (count) => (options.smoke ? Math.max(100, Math.round(count / 1000)) : count),
  folder,
  mariadb: async () => {
    if (!hasDatabaseServer()) return null;
    server ??= startPrivateDatabase(options.smoke ? [] : serverSettings, folder);
    return server;
  },
  say: (text) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`),
};

const figures: Figure[] = [];
const day = new Date().toISOString().slice(0, 10);
try {
  for (const bench of chosen) {
    setting.say(`${bench.name}: ${bench.says}`);
    try {
      figures.push(...(await bench.run(setting)));
    } catch (error) {
      // What the others have come to is not lost.
      console.error(error);
      process.exitCode = 1;
    }
  }
} finally {
  await cleanUp();
}
console.log(`${machine()}\n\n${tableOf(figures, day)}`);
const missed = figures.filter((figure) => !verdictOf(figure).holds).length;
if (!setting.isSmoke) console.log(`\n${figures.length - missed} reached, ${missed} not`);
if (options.write) {
  const isPart = chosen.length < benches.length || process.exitCode === 1;
  writeFigures('performance.md', { told: machine(), table: tableOf(figures, day), keyCells: 2, isPart });
}

function machine(): string {
  const cores = os.cpus();
  const memory = Math.round(os.totalmem() / 1024 ** 3);
  return `${cores.length} × ${cores[0]?.model ?? 'cores'}, ${memory} GB, Node ${process.version}; median of ${setting.rounds} rounds (lowest to highest).`;
}

async function cleanUp(): Promise<void> {
  if (isCleanedUp) return;
  isCleanedUp = true;
  await (await server)?.stop();
}

function numberOf(option: 'rounds' | 'window', least: number, most: number): number {
  const number = Number(options[option]);
  if (!Number.isSafeInteger(number) || number < least || number > most) {
    console.error(`--${option} takes a whole number from ${least} to ${most}`);
    process.exit(2);
  }
  return number;
}
