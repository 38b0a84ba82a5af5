import assert from 'node:assert/strict';
import path from 'node:path';
import fc from 'fast-check';
import { openBackup } from '../../src/core/backup-file.js';
import { checkSecret } from '../../src/core/secret.js';
import { Refused } from '../../src/errors.js';
import { createDatabases, linesIn, writeLines } from '../support/backup-files.js';
import { migratedDatabase, newList } from '../support/core.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

const { SIGNOFF_SECRET: secret = '' } = environmentOf('');

/** Made by hand: their sums fit. */
describe('signoff restore refuses a backup', function () {
  this.timeout(120_000);
  const folder = emptyFolder();
  const small = path.join(folder, 'small.backup');
  const { fresh, hasTables, dropAll } = createDatabases();
  before(async () => {
    const test = await migratedDatabase();
    await checkSecret(test.db, secret);
    await newList(test.db);
    const ran = await signoff(environmentOf(test.url), ['backup', small]);
    await test.close();
    assert.equal(ran.code, 0, ran.stderr);
  });
  afterEach(dropAll);

  const changed = (change: (lines: unknown[]) => void) => {
    const lines = linesIn(small);
    change(lines);
    const file = path.join(folder, 'changed.backup');
    writeLines(file, lines);
    return file;
  };
  const first = 'The first line of this backup is damaged:';
  const second = "This backup's line 2 is damaged:";
  const damages: [what: string, line: number, change: Record<string, unknown>, sentence: string][] = [
    ['without migrations', 0, { migrations: undefined }, `${first} migrations is missing.`],
    ['whose migrations are null', 0, { migrations: null }, `${first} migrations has to be a list of texts.`],
    [
      'whose migrations have a gap',
      0,
      { migrations: ['0002-signed-links'] },
      `${first} migrations lacks 0001-the-core, which later ones build on.`,
    ],
    ['whose secret is a number', 0, { secret: 5 }, `${first} secret has to be a text.`],
    ['whose version is a text', 0, { version: '1' }, `${first} version has to be a number.`],
    ['whose columns are numbers', 1, { columns: [1, 2] }, `${second} columns (entry 1) has to be a text.`],
    ['whose columns are no list', 1, { columns: 'id' }, `${second} columns has to be a list of texts.`],
    ['that tells nothing binary', 1, { octets: undefined }, `${second} octets is missing.`],
    [
      'with a next id that is a text',
      1,
      { next_id: '1' },
      `${second} next_id has to be a whole number, or null.`,
    ],
  ];
  for (const [what, at, change, sentence] of damages) {
    it(`${what}, and writes nothing`, async () => {
      const { url, env } = await fresh();
      const ran = await signoff(env, [
        'restore',
        changed((lines) => Object.assign(lines[at] as object, change)),
      ]);
      assert.deepEqual([ran.code, ran.stdout, ran.stderr], [1, '', `${sentence}\n`]);
      assert.equal(await hasTables(url), false);
    });
  }

  /** Reads a backup with one line changed, whose sums fit again. @returns the refusal; null for none. */
  const told = async (change: (lines: unknown[]) => void) => {
    try {
      await openBackup(changed(change), () => undefined);
      return null;
    } catch (error) {
      assert.ok(error instanceof Refused, String(error));
      return error.message;
    }
  };

  it('with a value that its column cannot hold', async () => {
    for (const value of [true, {}, [], 'g0', 'abc']) {
      const message = await told((lines) => {
        const at = lines.findIndex((line) => (line as { octets?: string[] }).octets?.length);
        const { columns, octets } = lines[at] as { columns: string[]; octets: string[] };
        const row = columns.map((column) => (octets.includes(column) ? value : 1));
        lines.splice(at + 1, 0, [row]);
      });
      assert.match(
        message ?? '',
        /^This backup has rows that do not fit their table at line \d+, in the table/,
      );
    }
  });

  const junk = [undefined, null, 5, -1, 0.5, true, '', 'x', '\n', [], [null], [1], ['x', 'x'], {}, { x: 1 }];

  it('whose first line, or a table, holds nonsense in any field', async () => {
    for (const at of [0, 1]) {
      const whole = linesIn(small)[at] as Record<string, unknown>;
      const taken: string[] = [];
      for (const field of Object.keys(whole)) {
        for (const value of junk) {
          const message = await told((lines) => (lines[at] = { ...whole, [field]: value }));
          if (message === null) taken.push(`${field}: ${JSON.stringify(value)}`);
          else assert.match(message, /^This (is no )?backup|^The first line of this backup is damaged: /);
        }
      }
      // What may stand there.
      assert.deepEqual(
        taken,
        at === 0 ? ['signoff: "x"', 'secret: null'] : ['octets: []', 'next_id: null', 'next_id: 5'],
      );
    }
  });

  it('whose first line is any value', async () => {
    const whole = linesIn(small)[0] as Record<string, unknown>;
    const fields = Object.fromEntries(
      Object.entries(whole).map(([field, value]) => [
        field,
        fc.oneof({ weight: 3, arbitrary: fc.constant(value) }, fc.jsonValue({ maxDepth: 2 })),
      ]),
    );
    const header = fc.oneof(
      { weight: 5, arbitrary: fc.record(fields, { requiredKeys: [] }) },
      fc.jsonValue(),
    );
    await fc.assert(
      fc.asyncProperty(header, async (value) => {
        const message = await told((lines) => (lines[0] = value));
        if (message === null) return;
        assert.match(message, /^This (is no )?backup|^The first line of this backup is damaged: /);
        assert.doesNotMatch(message, /undefined|\[object|Cannot read/);
      }),
      { numRuns: 300 },
    );
  });
});
