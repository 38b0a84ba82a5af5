/**
 * `npm test`: a build, then every test on SQLite and on MariaDB or MySQL, all of it side by side, in two parts on
 * each: two cores have something to do while tests wait. Type-check and lint run beside them at a low priority.
 * What they and all but the first part print comes when those have ended.
 *
 *   npm test -- [--only sqlite|mysql] [--fast] [Mocha's arguments and spec files]
 *
 * --fast leaves out type-check, lint and build. The server is one of our own, unless SIGNOFF_TEST_MYSQL_URL
 * names one. With CI=true, whatever is skipped counts as failed. The last line holds the totals.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { hasDatabaseServer, startPrivateDatabase, type PrivateDatabase } from './support/mariadb.js';
import { partsOf, type Part } from './support/parts.js';
import type { Totals } from './support/reporter.js';

const root = path.resolve(import.meta.dirname, '..');
const isCi = process.env.CI === 'true';
/** How long Mocha may live on after its last test: what still holds it open then was left behind. */
const lingerLimitMs = 60_000;

const running = new Set<ChildProcess>();
/** Of the databases and files, but for those of tests of crashes: they stand on a disk. */
const place = hasRoomInMemory() ? '/dev/shm' : os.tmpdir();
const folder = mkdtempSync(path.join(place, 'signoff-run-'));
// A database server that a test starts in it runs as a user of its own, who has to get there.
chmodSync(folder, 0o711);
process.on('exit', () => {
  running.forEach(endGroup);
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));

const { enginesAsked, isFast, mochaArguments } = readArguments(process.argv.slice(2));
const totals: Totals = { passed: 0, failed: [], skipped: [] };
const engines = enginesAsked.filter(isHere);
/** What is printed at the end, so that it does not get in between. */
const later: string[] = [];
// The type-check says what is wrong with the types.
if (!isFast) await checkSources('build', '--noCheck');
await Promise.all([
  ...(isFast ? [] : [checkSources('typecheck').then(() => checkSources('lint'))]),
  ...engines.map((engine) => (engine === 'sqlite' ? testOn('sqlite', {}) : testOnMysql())),
]);
for (const text of later) process.stdout.write(text);
report();

/** For several tests with a million rows each, on both engines: in a container, /dev/shm often has 64 MB. */
function hasRoomInMemory(): boolean {
  const enough = 6 * 1024 ** 3;
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    return Math.min(bavail * bsize, os.freemem()) >= enough;
  } catch {
    return false;
  }
}

function readArguments(given: string[]) {
  const rest = [...given];
  const isFast = rest.includes('--fast');
  const only = rest.indexOf('--only');
  const engine = only === -1 ? undefined : rest.splice(only, 2)[1];
  if (only !== -1 && engine !== 'sqlite' && engine !== 'mysql') {
    console.error('--only takes sqlite or mysql');
    process.exit(2);
  }
  const enginesAsked = engine === undefined ? ['sqlite', 'mysql'] : [engine];
  return { enginesAsked, isFast, mochaArguments: rest.filter((argument) => argument !== '--fast') };
}

function isHere(engine: string): boolean {
  if (engine === 'sqlite' || process.env.SIGNOFF_TEST_MYSQL_URL || hasDatabaseServer()) return true;
  const reason = 'no MariaDB or MySQL server here; npm run test:setup installs one';
  totals.skipped.push({ title: 'every test on MariaDB or MySQL', reason });
  return false;
}

/** Runs a script of package.json, and shows what it says where it fails. */
async function checkSources(script: string, ...more: string[]): Promise<void> {
  const child = start('npm', ['run', '--silent', script, '--', ...more], {}, 'pipe');
  if (child.pid !== undefined && script !== 'build')
    os.setPriority(child.pid, os.constants.priority.PRIORITY_BELOW_NORMAL);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += String(chunk)));
  const isClean = (await ended(child)) === 0;
  later.push(isClean ? `${script}: clean\n` : `${script} failed:\n${said}`);
  if (!isClean) totals.failed.push(`npm run ${script}`);
}

async function testOnMysql(): Promise<void> {
  const given = process.env.SIGNOFF_TEST_MYSQL_URL;
  if (given) return testOn('mysql', { SIGNOFF_TEST_MYSQL_URL: given });
  let database: PrivateDatabase;
  try {
    database = await startPrivateDatabase([], place);
  } catch (error) {
    console.error(error);
    totals.failed.push('(mysql) the database server starts');
    return;
  }
  try {
    await testOn('mysql', { SIGNOFF_TEST_MYSQL_URL: database.url });
  } finally {
    await database.stop();
  }
}

async function testOn(engine: string, environment: Record<string, string>): Promise<void> {
  await Promise.all(partsOn(engine).map((part) => testPart(part, environment)));
}

async function testPart(part: Part, environment: Record<string, string>): Promise<void> {
  const { engine, name } = part;
  const file = path.join(folder, `${name}.json`);
  const printed = path.join(folder, `${name}.txt`);
  const isShown = engines[0] === name;
  if (isShown) console.log(`\nTests on ${name}`);
  const child = start(
    process.execPath,
    mochaCommand(part),
    {
      ...environment,
      SIGNOFF_TEST_ENGINE: engine,
      SIGNOFF_TEST_BUILT: isBuilt() ? 'yes' : 'no',
      SIGNOFF_TEST_TOTALS: file,
      SIGNOFF_TEST_FOLDER: folder,
    },
    isShown ? 'inherit' : openSync(printed, 'w'),
  );
  let lingersSince: number | null = null;
  let wasLeftOpen = false;
  const watch = setInterval(() => {
    if (existsSync(file)) lingersSince ??= Date.now();
    if (lingersSince === null || Date.now() - lingersSince < lingerLimitMs) return;
    wasLeftOpen = true;
    endGroup(child);
  }, 1000);
  const code = await ended(child);
  clearInterval(watch);
  if (!isShown) later.push(`\nTests on ${name}\n${readFileSync(printed, 'utf8')}`);

  const found = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Totals) : null;
  totals.passed += found?.passed ?? 0;
  totals.failed.push(...(found?.failed ?? []).map((title) => `(${engine}) ${title}`));
  totals.skipped.push(
    ...(found?.skipped ?? []).map((one) => ({ ...one, title: `(${engine}) ${one.title}` })),
  );
  const wrong = wasLeftOpen ? 'something was left open after the last test' : wrongWith(found, code);
  if (wrong !== null) totals.failed.push(`(${name}) ${wrong}`);
}

/** What no test has reported: a run that broke off, or ran nothing. */
function wrongWith(found: Totals | null, code: number | null): string | null {
  if (found === null) return 'Mocha broke off';
  if (found.passed + found.failed.length + found.skipped.length === 0) return 'there was no test to run';
  return code !== 0 && found.failed.length === 0 ? `Mocha ended with code ${code}` : null;
}

/** `--fast` builds nothing: what stands in dist/ may be older than the source. */
function isBuilt(): boolean {
  return !isFast && !totals.failed.includes('npm run build');
}

/** All tests of an engine, or the files that were named. */
function partsOn(engine: string): Part[] {
  const namesFiles = mochaArguments.some((argument) => /^[^-].*\.ts$/.test(argument));
  if (namesFiles) return [{ engine, name: engine, files: [] }];
  return partsOf(engine, engines, mochaArguments.length > 0);
}

/** Mocha with the settings of .mocharc.json. */
function mochaCommand({ files }: Part): string[] {
  return [
    '--import=tsx',
    path.join(root, 'node_modules/mocha/bin/mocha.js'),
    ...['--reporter', path.join(root, 'test/support/reporter.ts')],
    ...(isCi ? ['--forbid-only'] : []),
    ...mochaArguments,
    ...files,
  ];
}

/** In a process group of its own, so that it can be ended with all that it started. */
function start(
  program: string,
  args: string[],
  environment: Record<string, string>,
  output: 'inherit' | 'pipe' | number = 'inherit',
): ChildProcess {
  const env = { ...process.env, ...environment };
  const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', output, output], detached: true });
  running.add(child);
  return child;
}

async function ended(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'close')) as [number | null];
  running.delete(child);
  return code;
}

function endGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  } catch {
    // It has ended by itself.
  }
}

function report(): void {
  const { passed, failed, skipped } = totals;
  console.log('');
  for (const { title, reason } of skipped) {
    console.log(`skipped: ${title}: ${reason}${isCi ? ' (a failure, since CI=true)' : ''}`);
  }
  for (const title of failed) console.log(`failed: ${title}`);
  const failures = failed.length + (isCi ? skipped.length : 0);
  const skips = skipped.length > 0 && !isCi ? `, ${skipped.length} skipped` : '';
  process.exitCode = failures > 0 ? 1 : 0;
  console.log(`${passed} passed, ${failures} failed${skips}`);
}
