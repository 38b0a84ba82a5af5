import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { gunzipSync, gzipSync } from 'node:zlib';
import { openBackup } from '../../src/core/backup-file.js';
import { checkSecret } from '../../src/core/secret.js';
import { Refused } from '../../src/errors.js';
import { createDatabases, linesIn, writeLines } from '../support/backup-files.js';
import { migratedDatabase, newList, type TestDatabase } from '../support/core.js';
import { programArguments } from '../support/program.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

const { SIGNOFF_SECRET: secret = '' } = environmentOf('');

/** A database that a service has been started on, with one list. */
async function usedDatabase(): Promise<TestDatabase> {
  const test = await migratedDatabase();
  await checkSecret(test.db, secret);
  await newList(test.db);
  return test;
}

describe('signoff restore', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  const small = path.join(folder, 'small.backup');
  const { fresh, hasTables, dropAll } = createDatabases();
  before(async () => {
    const test = await usedDatabase();
    const ran = await signoff(environmentOf(test.url), ['backup', small]);
    await test.close();
    assert.equal(ran.code, 0, ran.stderr);
  });
  afterEach(dropAll);

  describe('refuses a file', () => {
    const write = (octets: Buffer | string) => {
      const to = path.join(emptyFolder(), 'x.backup');
      writeFileSync(to, octets);
      return to;
    };
    const whole = () => readFileSync(small);
    const edited = (edit: (header: Record<string, unknown>) => void) => {
      const lines = linesIn(small);
      edit(lines[0] as Record<string, unknown>);
      const to = write('');
      writeLines(to, lines);
      return to;
    };
    const refusals: [what: string, file: () => string, why: RegExp][] = [
      ['that is not there', () => path.join(folder, 'none'), /^The file cannot be read \(ENOENT\)\.$/m],
      ['that is a folder', () => folder, /^The file cannot be read \(EISDIR\)\.$/m],
      ['that comes by standard input', () => '-', /^A backup is read twice/],
      ['that is empty', () => write(''), /^This is no backup: the file is empty\.$/m],
      ['that is a text', () => write('Dear Sir,\n'), /^This is no backup: the file is not gzipped\.$/m],
      ['that is another gzip', () => write(gzipSync('{"a":1}\n')), /^This is no backup that signoff backup/],
      ['that was cut', () => write(whole().subarray(0, -500)), /^This backup ends too early, after line \d+/],
      [
        'that something was added to',
        () => write(Buffer.concat([whole(), Buffer.from('\0\0')])),
        /^This backup goes on after its end/,
      ],
      [
        'that goes on with another backup',
        () => write(Buffer.concat([whole(), whole()])),
        /^This backup goes on after its end, at line \d+/,
      ],
      [
        'of a later format',
        () => edited((header) => Object.assign(header, { version: 2, signoff: '9.0.0' })),
        /^This backup is of the format 2, made by Signoff 9\.0\.0; this Signoff reads 1\.$/m,
      ],
      [
        'of migrations that are to come',
        () => edited((header) => (header.migrations as string[]).push('0999-the-future')),
        /^This backup was made by a newer Signoff \(.*\): this one does not know 0999-the-future\./,
      ],
    ];
    for (const [what, make, why] of refusals) {
      it(`${what}, and writes nothing`, async () => {
        const { url, env } = await fresh();
        const ran = await signoff(env, ['restore', make()]);
        assert.equal(ran.code, 1);
        assert.match(ran.stderr, why);
        assert.doesNotMatch(ran.stderr, /Signoff failed|\n\s+at /);
        assert.equal(await hasTables(url), false);
      });
    }

    const read = (octets: Buffer) => openBackup(write(octets), () => undefined);
    const isRefusal = (error: unknown) =>
      error instanceof Refused && /^This (is no )?backup/.test(error.message);

    it('that was cut, wherever that was', async () => {
      const octets = whole();
      await read(octets);
      for (let length = 1; length < octets.length; length += 37) {
        await assert.rejects(read(octets.subarray(0, length)), isRefusal, `cut to ${length}`);
      }
      await assert.rejects(read(octets.subarray(0, -1)), isRefusal);
    });

    it('of which one bit was changed, wherever that was', async () => {
      const octets = whole();
      const text = gunzipSync(octets);
      let refused = 0;
      let tried = 0;
      // Octets 4 to 9 of a gzip tell when and where it was made.
      for (let at = 10; at < octets.length; at += 7) {
        const changed = Buffer.from(octets);
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
        tried++;
        try {
          await read(changed);
        } catch (error) {
          assert.ok(isRefusal(error), `changed at ${at}: ${String(error)}`);
          refused++;
          continue;
        }
        // Some bits of a gzip mean nothing: the filling before an octet's end, the code of what never occurs.
        assert.ok(gunzipSync(changed).equals(text), `changed at ${at}`);
      }
      assert.ok(refused > tried * 0.95, `${refused} of ${tried} were refused`);
    });

    it('whose lines were changed, with a gzip that fits', async () => {
      const text = linesIn(small).map((line) => `${JSON.stringify(line)}\n`);
      const at = text.findIndex((line) => line.includes('Acme News'));
      assert.ok(at > 0);
      const zipped = (lines: string[]) => read(gzipSync(lines.join('')));
      await zipped(text);
      await assert.rejects(zipped(text.with(at, (text[at] ?? '').replace('Acme', 'Bcme'))), /SHA-256/);
      await assert.rejects(zipped(text.toSpliced(at, 1)), /SHA-256|rows of the table/);
      await assert.rejects(zipped(text.slice(0, -1)), /ends too early, after line \d+, in the table/);
      await assert.rejects(
        zipped(text.with(at, 'nonsense\n')),
        new RegExp(`at line ${at + 1}, in the table lists`),
      );
    });
  });
});

describe('signoff backup', function () {
  this.timeout(120_000);
  let test: TestDatabase;
  before(async () => {
    test = await usedDatabase();
  });
  after(() => test.close());

  const run = (...args: string[]) => signoff(environmentOf(test.url), ['backup', ...args]);

  it('replaces no file, unless it is told to', async () => {
    const to = path.join(emptyFolder(), 'signoff.backup');
    writeFileSync(to, 'mine');
    const refused = await run(to);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /is there already: choose another name, or add --force\./);
    assert.equal(readFileSync(to, 'utf8'), 'mine');
    const ran = await run(to, '--force', '--json');
    assert.equal(ran.code, 0, ran.stderr);
    const told = ran.json<{ octets: number; has_secret: boolean; tables: Record<string, number> }>();
    assert.deepEqual([told.octets, told.has_secret, told.tables.accounts], [statSync(to).size, true, 1]);
    await openBackup(to, () => undefined);
    assert.deepEqual(readdirSync(path.dirname(to)), ['signoff.backup']);
  });

  it('refuses a secret that is not the one of its installation, and leaves no file', async () => {
    const to = path.join(emptyFolder(), 'signoff.backup');
    const env = { ...environmentOf(test.url), SIGNOFF_SECRET: 'another secret of 32 characters!' };
    const ran = await signoff(env, ['backup', to]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^SIGNOFF_SECRET .*is not the one this database was set up with/);
    assert.deepEqual(readdirSync(path.dirname(to)), []);
  });

  it('says what is wrong with a place that it cannot write to', async () => {
    const ran = await run('/no/such/folder/signoff.backup');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^\/no\/such\/folder\/signoff\.backup cannot be written \(ENOENT\)\.$/m);
  });

  it('goes to standard output, and tells the rest on standard error', async () => {
    const to = path.join(emptyFolder(), 'signoff.backup');
    const line = [process.execPath, ...programArguments('cli'), 'backup', '-'].map((part) => `'${part}'`);
    const child = spawn('bash', ['-c', `${line.join(' ')} > ${to}`], {
      env: { PATH: process.env.PATH, ...environmentOf(test.url) },
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    assert.deepEqual(await once(child, 'close'), [0, null], said);
    assert.match(said, /keep it as safe as the database/);
    await openBackup(to, () => undefined);
  });
});
