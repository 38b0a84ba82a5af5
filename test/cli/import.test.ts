import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { createList, type List } from '../../src/core/lists.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { holdWrites } from '../support/faults.js';
import { until } from '../support/service.js';
import { emptyFolder, environmentOf, signoff, startSignoff } from './signoff.js';

interface Told {
  readonly format: string;
  readonly lines: number;
  readonly recorded: number;
  readonly refused: number;
  readonly refused_file: string | null;
  readonly is_whole: boolean;
}

describe('signoff import', function () {
  this.timeout(180_000);
  let database: TestDatabase;
  let list: List;
  let cwd: string;
  before(async () => {
    database = await migratedDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    list = await createList(database.db, 1, { name: 'Acme News' }, { actor: 'test' });
    cwd = emptyFolder();
  });

  const write = (name: string, octets: string | Buffer) => writeFileSync(path.join(cwd, name), octets);
  const read = (name: string) => readFileSync(path.join(cwd, name), 'latin1');
  const run = (file: string, ...more: string[]) =>
    signoff(environmentOf(database.url), ['import', file, '--list', list.publicId, ...more], { cwd });
  const recorded = async () =>
    (await rowsOfList(database.db, list.id)).map((row) => String(row.address)).sort();

  it('records what is good, and keeps what is not by line and reason, for its owner alone', async () => {
    write('people.csv', 'email,name\nann@example.com,Ann\nnobody,"x, y"\nbob@example.com,Bob\n');
    const ran = await run('people.csv');
    assert.equal(ran.code, 1);
    assert.equal(ran.stderr, 'line 3: the address has no @\n');
    assert.equal(
      ran.stdout,
      'Read as CSV with a line of names, who has left in column 1.\n' +
        '2 opt-outs of Acme News recorded; 1 row refused: see people.csv.refused.csv.\n',
    );
    assert.equal(
      read('people.csv.refused.csv'),
      'line,reason,text\n3,the address has no @,"nobody,""x, y"""\n',
    );
    assert.equal(statSync(path.join(cwd, 'people.csv.refused.csv')).mode & 0o777, 0o600);
    assert.deepEqual(await recorded(), ['ann@example.com', 'bob@example.com']);
    const history = (await database.db('history').where({ list_id: list.id }).orderBy('id')) as {
      action: string;
      details: string;
    }[];
    const [, started, ended] = history.map(({ action, details }) => `${action} ${details}`);
    assert.equal(started, 'list.import-started {}');
    assert.equal(ended, 'list.imported {"format":"csv","recorded":2,"refused":1,"is_whole":true}');
  });

  it('says where a file ends before the line that it is to go on with', async () => {
    write('people.txt', 'ann@example.com\nbob@example.com\n');
    for (const [line, told] of [
      ['4', 'people.txt has only 2 lines: there is none to go on with from line 4.\n'],
      ['3', ''],
    ] as const) {
      const ran = await run('people.txt', '--from-line', line);
      assert.deepEqual([ran.code, ran.stderr], [told === '' ? 0 : 1, told]);
    }
    assert.deepEqual(await recorded(), []);
    assert.equal((await run('people.txt', '--from-line', '2')).code, 0);
    assert.deepEqual(await recorded(), ['bob@example.com']);
  });

  it('leaves no list of refused rows where there are none, and none of an earlier run', async () => {
    write('people.txt', 'ann@example.com\nnobody\n');
    assert.equal((await run('people.txt')).code, 1);
    assert.ok(existsSync(path.join(cwd, 'people.txt.refused.csv')));
    write('people.txt', 'ann@example.com\n');
    const ran = await run('people.txt');
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    assert.ok(!existsSync(path.join(cwd, 'people.txt.refused.csv')));
  });

  it('overwrites no other file with refused rows, unless it is told to', async () => {
    write('people.txt', 'ann@example.com\nnobody\n');
    write('people.txt.refused.csv', 'mine\n');
    const ran = await run('people.txt');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /people\.txt\.refused\.csv is there already, .*--refused.*--force/);
    assert.deepEqual(await recorded(), []);
    assert.equal(read('people.txt.refused.csv'), 'mine\n');
    assert.equal((await run('people.txt', '--force')).code, 1);
    assert.match(read('people.txt.refused.csv'), /^line,reason,text\n2,/);
    mkdirSync(path.join(cwd, 'folder'));
    assert.match(
      (await run('people.txt', '--refused', 'folder', '--force')).stderr,
      /folder is there already/,
    );
    assert.match(
      (await run('people.txt', '--refused', 'no/where')).stderr,
      /no\/where cannot be written \(ENOENT\)/,
    );
  });

  it('tells the first twenty of many, and keeps all of them', async () => {
    write('bad.txt', `ann@example.com\n${'nobody\n'.repeat(2500)}bob@example.com\n`);
    const ran = await run('bad.txt', '--refused', 'kept.csv', '--json');
    const lines = ran.stderr.trimEnd().split('\n');
    assert.equal(lines.length, 21);
    assert.equal(lines[20], '… and 2,480 more rows refused.');
    assert.deepEqual(
      ran.json<Told>(),
      Object.assign(ran.json<Told>(), { format: 'lines', lines: 2502, recorded: 2, refused: 2500 }),
    );
    assert.equal(ran.json<Told>().refused_file, 'kept.csv');
    assert.equal(read('kept.csv').trimEnd().split('\n').length, 2501);
  });

  it('reads standard input, gzip, and columns by name or number', async () => {
    const args = ['import', '-', '--list', list.publicId, '--column', '2'];
    const packed = gzipSync('1;ann@example.com\n2;nobody\n') as unknown as string;
    const ran = await signoff(environmentOf(database.url), args, { cwd, input: packed });
    assert.equal(ran.stderr, 'line 2: the address has no @\n');
    assert.ok(existsSync(path.join(cwd, 'stdin.refused.csv')));
    assert.deepEqual(await recorded(), ['ann@example.com']);
  });

  it('says where a gzip is cut off, and keeps what came before', async () => {
    const text = Array.from({ length: 5000 }, (_, i) => `person${(i * 7919) % 100_003}@example.com\n`).join(
      '',
    );
    write('cut.gz', gzipSync(text).subarray(0, 8000));
    const ran = await run('cut.gz', '--json');
    assert.equal(ran.code, 1);
    const { lines, recorded: count, is_whole } = ran.json<Told>();
    assert.match(
      ran.stderr,
      new RegExp(
        `^cut\\.gz: the gzip file is cut off, after 8000 octets of it\\. It was read to the end of line ${lines};`,
      ),
    );
    assert.deepEqual([is_whole, count], [false, lines]);
    assert.deepEqual(await recorded(), text.split('\n').slice(0, lines).sort());
  });

  it('records nothing with --dry-run, and tells all the same', async () => {
    write('people.txt', 'ann@example.com\nnobody\n');
    const ran = await run('people.txt', '--dry-run', '--tag', 'new', '--add-tags');
    assert.match(ran.stdout, /1 opt-out would be recorded in Acme News; 1 row refused/);
    assert.deepEqual([await recorded(), await database.db('tags').where({ list_id: list.id })], [[], []]);
  });

  it('names a tag that the list does not know, before anything is recorded', async () => {
    write('people.txt', 'ann@example.com\n');
    const ran = await run('people.txt', '--tag', 'new');
    assert.match(ran.stderr, /^--tag: list \w+ does not know this tag/);
    assert.equal((await run('people.txt', '--tag', 'new', '--add-tags')).code, 0);
    assert.equal((await rowsOfList(database.db, list.id))[0]?.tag.toString(), 'new');
  });

  const naughty: [what: string, octets: string | Buffer | null, why: RegExp][] = [
    ['is not there', null, /^naughty cannot be read: there is no such file\.\n$/],
    ['is empty', '', /^naughty: The file is empty\.\n$/],
    ['has only names', 'email,name\n', /^$/],
    ['is an empty gzip', gzipSync(''), /^naughty: The file is empty\.\n$/],
    [
      'is half a gzip',
      gzipSync('ann@example.com').subarray(0, 12),
      /^naughty: the gzip file is cut off, after 12/,
    ],
    ['names no people', 'id,name\n', /^naughty: The first line names no column that says who has left/],
    [
      'is a workbook',
      Buffer.from('PK\x03\x04\x00\x00'),
      /^naughty: This is a ZIP archive or an Excel workbook/,
    ],
    [
      'is one long line',
      Buffer.alloc(10 * 1024 * 1024, 'x'),
      /^line 1: the line is longer than a megabyte\n$/,
    ],
    ['holds NULs', 'ann\0@example.com\n', /^line 1: the address holds a control character/],
    ['opens a quote', 'email,x\n"ann@example.com,x\n', /^line 2: its quotes do not close\n$/],
  ];
  it('says what is wrong with the naughtiest of files, and never a stack', async () => {
    for (const [what, octets, why] of naughty) {
      if (octets !== null) write('naughty', octets);
      const ran = await run('naughty');
      assert.match(ran.stderr, why, what);
      assert.equal(ran.code, why.source === '^$' ? 0 : 1, what);
    }
    assert.match((await run('.')).stderr, /\. cannot be read: it is a folder\.\n$/);
    assert.deepEqual(await recorded(), []);
  });

  it('says to which line all is recorded when the database stands still, and how to go on', async () => {
    const lines = Array.from({ length: 9000 }, (_, i) => `person${i}@example.com\n`);
    const env = { ...environmentOf(database.url), DATABASE_TIMEOUT_MS: '500' };
    const args = ['import', '-', '--list', list.publicId];
    const { child, ran } = startSignoff(env, args, { cwd });
    child.stdin?.write(lines.slice(0, 5000).join(''));
    await until('some are recorded', async () => (await recorded()).length >= 2000);
    const mend = await holdWrites({ databaseUrl: database.url });
    child.stdin?.end(lines.slice(5000).join(''));
    const { code, stderr } = await ran;
    await mend();
    assert.equal(code, 1);
    const [, done, next] =
      /All up to line (\d+) is recorded.* Go on with --from-line (\d+)\./.exec(stderr) ?? [];
    assert.ok(Number(done) >= 1000 && Number(next) === Number(done) + 1, stderr);
    const there = new Set(await recorded());
    assert.ok(lines.slice(0, Number(done)).every((line) => there.has(line.trim())));
    const again = await signoff(environmentOf(database.url), [...args, '--from-line', next ?? '', '--json'], {
      ...{ cwd, input: lines.join('') },
    });
    assert.equal(again.code, 0, again.stderr);
    assert.equal(again.json<Told>().recorded, 9000 - Number(done));
    assert.equal((await recorded()).length, 9000);
  });

  it('stops in order when it is told to', async () => {
    const { child, ran } = startSignoff(
      environmentOf(database.url),
      ['import', '-', '--list', list.publicId],
      { cwd },
    );
    const more = setInterval(() => child.stdin?.write('ann@example.com\n'.repeat(1500)), 20);
    await until('it is at work', async () => (await recorded()).length > 0);
    child.kill('SIGINT');
    const { code, stderr } = await ran;
    clearInterval(more);
    assert.equal(code, 130, stderr);
    assert.match(
      stderr,
      /^Standard input: stopped\. All up to line \d+ is recorded\. Go on with --from-line \d+\.\n$/,
    );
  });
});
