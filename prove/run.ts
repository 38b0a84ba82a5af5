/**
 * Proves what docs/reliability.md promises, and prints a line for each thing that was done.
 *
 *   npm run prove                          all of it on both engines: some twenty minutes
 *   npm run prove -- --quick               what is a part of the suite, in its quick form
 *   npm run prove -- --only kept,feed      some of them, by name
 *   npm run prove -- --engine sqlite       on one engine (`sqlite` or `mysql`)
 *   npm run prove -- --write               and writes the table into docs/reliability.md
 *
 * It starts a database server of its own. All load goes to services that it starts itself, on loopback.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { projectPath } from '../src/paths.js';
import { writeFigures } from '../test/support/figures.js';
import { hasDatabaseServer, startPrivateDatabase } from '../test/support/mariadb.js';
import type { Engine } from './proof.js';
import { proofs } from './proofs.js';
import { lineOf, tableOf, type Proven } from './report.js';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    engine: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const size = options.quick ? 'quick' : 'long';
const names = options.only?.split(',') ?? proofs.map(({ name }) => name);
const unknown = names.find((name) => proofs.every((proof) => proof.name !== name));
if (unknown !== undefined) {
  fail(`there is no proof ${unknown}; there are ${proofs.map(({ name }) => name).join(', ')}`);
}
if (options.write && size === 'quick') fail('--write takes the figures of the long forms');
if (options.engine !== undefined && options.engine !== 'sqlite' && options.engine !== 'mysql') {
  fail('--engine takes sqlite or mysql');
}
const engines: Engine[] = options.engine === undefined ? ['sqlite', 'mysql'] : [options.engine];
const chosen = proofs.filter(
  ({ name, isQuickToo }) => names.includes(name) && (size === 'long' || isQuickToo),
);

const startedAt = Date.now();
const proven: Proven[] = [];
for (const engine of engines) {
  if (engine === 'mysql' && !hasDatabaseServer()) {
    fail('no MariaDB or MySQL server here; npm run test:setup installs one');
  }
  const server = engine === 'mysql' ? await startPrivateDatabase() : null;
  try {
    for (const proof of chosen) {
      if (proof.engines.includes(engine))
        proven.push(await proveApart(proof.name, engine, server?.url ?? ''));
    }
  } finally {
    await server?.stop();
  }
}
const minutes = ((Date.now() - startedAt) / 60_000).toFixed(1);
const all = proven.flatMap(({ findings }) => findings);
const broken = all.filter(({ holds }) => !holds).length;
const notRun = all.filter((finding) => finding.notRun !== undefined).length;
const outcomes = `${all.length - broken - notRun} held, ${broken} did not, ${notRun} were not run`;
console.log(`\n${outcomes}; ${minutes} minutes, ${cpus().length} cores`);
if (options.write) writeTable();
process.exitCode = broken > 0 || all.length === 0 ? 1 : 0;

/** In a process of its own, so that one proof cannot spoil another. */
async function proveApart(name: string, engine: Engine, serverUrl: string): Promise<Proven> {
  const child = spawn(process.execPath, ['--import=tsx', projectPath('prove', 'one.ts'), name, size], {
    cwd: projectPath(),
    env: {
      ...process.env,
      SIGNOFF_TEST_ENGINE: engine,
      ...(serverUrl === '' ? {} : { SIGNOFF_TEST_MYSQL_URL: serverUrl }),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let outcome: Proven | null = null;
  createInterface(child.stdout).on('line', (line) => {
    outcome = JSON.parse(line) as Proven;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  const proof = proofs.find((one) => one.name === name);
  if (proof === undefined) throw new Error(`no proof ${name}`);
  const seen: Proven = outcome ?? {
    proof: { promise: proof.promise, name, says: proof.says },
    ...{ engine, seconds: 0 },
    findings: [{ what: 'the proof itself', figure: `ended with code ${code}`, holds: false }],
  };
  for (const finding of seen.findings) console.log(lineOf(seen, finding));
  return seen;
}

function writeTable(): void {
  const day = new Date().toISOString().slice(0, 10);
  const isPart = chosen.length < proofs.length || engines.length < 2;
  const took = isPart ? 'in parts' : `${minutes} minutes`;
  const told = `Node ${process.version}, ${cpus().length} cores, ${took}.`;
  writeFigures('reliability.md', { told, table: tableOf(proven, day), keyCells: 3, isPart });
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(2);
}
