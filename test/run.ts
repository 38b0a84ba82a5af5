/**
 * `npm test`: a build, then every test on SQLite and on MariaDB or MySQL, side by side: each run keeps one core
 * busy. Type-check and lint run beside them at the lowest priority, in the time in which the tests wait. What
 * they and the second run print comes when those have ended.
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
import type { Totals } from './support/reporter.js';

const root = path.resolve(import.meta.dirname, '..');
const isCi = process.env.CI === 'true';
/** How long Mocha may live on after its last test: what still holds it open then was left behind. */
const lingerLimitMs = 60_000;

/**
 * What runs on one engine alone, where both are tested: what comes to no database or to both by itself, and the
 * words and files of commands whose work core/ tests on both. Shared out so that both runs take as long.
 */
const runOnce: Readonly<Record<string, readonly string[]>> = {
  sqlite: [
    ...['bench.test.ts', 'structure.test.ts', 'versions.test.ts', 'config.test.ts'],
    ...['core/address*.test.ts', 'core/ip-whitelist*.test.ts', 'core/redirect-template.test.ts'],
    ...['core/thank-you.test.ts', 'core/import-dates.test.ts', 'core/import-rows.test.ts'],
    ...['core/sorted-lines.test.ts', 'core/time-zone.test.ts', 'http/client-address.test.ts'],
    ...['http/locale.test.ts', 'http/request.test.ts', 'http/zip.test.ts', 'http/upload.test.ts'],
    ...['api/page.test.ts', 'api/openapi.test.ts', 'cli/usage.test.ts', 'cli/global-list.test.ts'],
    ...[
      'matrix/addresses.test.ts',
      'console/texts.test.ts',
      'console/accessibility.test.ts',
      'console/*browser.test.ts',
    ],
    ...[
      'cli/refusals.test.ts',
      'cli/backup-damaged.test.ts',
      'cli/backup-files.test.ts',
      'cli/links.test.ts',
    ],
  ],
  mysql: [
    ...['cli/account-settings.test.ts', 'cli/attacks.test.ts', 'cli/credentials.test.ts'],
    ...['cli/import-job.test.ts', 'cli/links-mint*.test.ts', 'cli/removals.test.ts'],
    ...['console/matrix.test.ts', 'matrix/matrix.test.ts', 'views/**'],
  ],
};

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
    os.setPriority(child.pid, os.constants.priority.PRIORITY_LOW);
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
  const file = path.join(folder, `${engine}.json`);
  const printed = path.join(folder, `${engine}.txt`);
  const isShown = engines[0] === engine;
  if (isShown) console.log(`\nTests on ${engine}`);
  const child = start(
    process.execPath,
    mochaCommand(engine),
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
  if (!isShown) later.push(`\nTests on ${engine}\n${readFileSync(printed, 'utf8')}`);

  const found = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Totals) : null;
  totals.passed += found?.passed ?? 0;
  totals.failed.push(...(found?.failed ?? []).map((title) => `(${engine}) ${title}`));
  totals.skipped.push(
    ...(found?.skipped ?? []).map((one) => ({ ...one, title: `(${engine}) ${one.title}` })),
  );
  const wrong = wasLeftOpen ? 'something was left open after the last test' : wrongWith(found, code);
  if (wrong !== null) totals.failed.push(`(${engine}) ${wrong}`);
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

/** Mocha with the settings of .mocharc.json; all tests of this engine, where none are named. */
function mochaCommand(engine: string): string[] {
  const namesSpecs = mochaArguments.some((argument) => /^[^-].*\.ts$/.test(argument));
  const elsewhere = engines.filter((other) => other !== engine).flatMap((other) => runOnce[other] ?? []);
  return [
    '--import=tsx',
    path.join(root, 'node_modules/mocha/bin/mocha.js'),
    ...['--reporter', path.join(root, 'test/support/reporter.ts')],
    ...(isCi ? ['--forbid-only'] : []),
    ...mochaArguments,
    ...(namesSpecs
      ? []
      : [...elsewhere.flatMap((pattern) => ['--ignore', `test/${pattern}`]), 'test/**/*.test.ts']),
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
