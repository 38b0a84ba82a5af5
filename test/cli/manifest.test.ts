import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { md5Of } from '../../src/core/address.js';
import { createList, type List } from '../../src/core/lists.js';
import type { OptOutRecord } from '../../src/core/opt-outs.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { until } from '../support/service.js';
import { emptyFolder, environmentOf, signoff, startSignoff } from './signoff.js';

interface Told {
  readonly files: { file: string; became: string; recorded: number; refused: number; done_to_line: number }[];
}

describe('signoff import --manifest', function () {
  this.timeout(180_000);
  let database: TestDatabase;
  let news: List;
  let offers: List;
  let cwd: string;
  before(async () => {
    database = await migratedDatabase();
  });
  after(() => database.close());
  beforeEach(async () => {
    const { db } = database;
    await db('lists').update({ internal_name: 'old' });
    news = await createList(db, 1, { name: 'Acme News', internalName: 'news' }, { actor: 'test' });
    offers = await createList(db, 1, { name: 'Acme Offers', internalName: 'offers' }, { actor: 'test' });
    cwd = emptyFolder();
    mkdirSync(path.join(cwd, 'files'));
  });

  const write = (name: string, text: string) => writeFileSync(path.join(cwd, 'files', name), text);
  const args = (...more: string[]) => ['import', '--manifest', 'files/all.csv', ...more];
  const run = (...more: string[]) => signoff(environmentOf(database.url), args(...more), { cwd });
  const recorded = async (list: List) =>
    (await rowsOfList(database.db, list.id))
      .map((row) => `${String(row.address)} ${row.tag.toString()}`)
      .sort();
  const states = (told: Told) => told.files.map(({ file, became }) => `${file} ${became}`);

  it('imports many files into many lists, each in its own way, and tells what became of each', async () => {
    write(
      'all.csv',
      '\uFEFFlist;file;column;tag;add_tags\nnews;a.csv;mail2;;\noffers;b.txt;;sale;yes\nnews;b.txt;;;no\n',
    );
    write('a.csv', 'email,mail2\nann@example.com,bob@example.com\n');
    write('b.txt', 'cyd@example.com\nnobody\n');
    const ran = await run();
    assert.equal(ran.code, 1);
    assert.equal(ran.stderr, 'b.txt: line 2: the address has no @\n'.repeat(2));
    assert.match(
      ran.stdout,
      /^FILE +LIST +RECORDED +REFUSED +BECAME\na\.csv +news +1 +0 +done\nb\.txt +offers +1 +1 +done\nb\.txt +news +1 +1 +done\n/,
    );
    assert.deepEqual(await recorded(news), ['bob@example.com *', 'cyd@example.com *']);
    assert.deepEqual(await recorded(offers), ['cyd@example.com sale']);
    for (const name of ['b.txt.refused.csv', 'b.txt.2.refused.csv']) {
      assert.match(readFileSync(path.join(cwd, 'files', name), 'utf8'), /\n2,the address has no @,nobody\n$/);
    }
  });

  it('passes over what was done, does anew what has changed, and all of it with --again', async () => {
    write('all.csv', 'file,list\na.txt,news\nb.txt,news\n');
    write('a.txt', 'ann@example.com\n');
    write('b.txt', 'bob@example.com\n');
    assert.deepEqual(states((await run('--json')).json<Told>()), ['a.txt done', 'b.txt done']);
    write('b.txt', 'bob@example.com\ncyd@example.com\n');
    const ran = await run('--json');
    assert.equal(ran.code, 0);
    assert.equal(ran.stderr, 'b.txt: it has changed since it was imported, and begins anew.\n');
    assert.deepEqual(states(ran.json<Told>()), ['a.txt done before', 'b.txt done']);
    const again = await run('--json', '--again');
    assert.deepEqual(states(again.json<Told>()), ['a.txt done', 'b.txt done']);
    assert.equal((await recorded(news)).length, 3);
    write('all.csv', 'file,list,format\na.txt,news,text\nb.txt,offers,\n');
    assert.deepEqual(states((await run('--json')).json<Told>()), ['a.txt done', 'b.txt done']);
  });

  it('goes on where it was killed: nothing is lost, and nothing is told twice', async () => {
    const lines = Array.from({ length: 60_000 }, (_, i) =>
      i % 1000 === 500 ? `bad${i}` : `p${i}@example.com`,
    );
    write('all.csv', 'file,list\nbig.txt,news\nlate.txt,offers\n');
    write('big.txt', lines.join('\n'));
    write('late.txt', 'ann@example.com\n');
    const saved = async () => {
      const rows = database.db<{ list_id: number; line: number }>('imports');
      return (await rows.where({ list_id: news.id }).first('line'))?.line ?? 0;
    };
    let before = 0;
    for (let kill = 1; kill <= 2; kill++) {
      const { child, ran } = startSignoff(environmentOf(database.url), args(), { cwd });
      const from = before;
      await until('it has come further', async () => (await saved()) > from);
      child.kill('SIGKILL');
      await ran;
      before = await saved();
    }
    assert.ok(before > 0 && before < 60_000, `killed at line ${before}`);
    assert.deepEqual(await recorded(offers), []);
    // As if it had been killed between what was refused and the note of how far it had come.
    const refusedFile = path.join(cwd, 'files', 'big.txt.refused.csv');
    appendFileSync(refusedFile, `${before + 1},the address has no @,bad\n`);
    const killedAt = Date.now();
    const ran = await run('--json');
    assert.match(ran.stderr, new RegExp(`^big\\.txt: goes on behind line ${before}\\.\n`));
    const told = ran.json<Told>();
    assert.deepEqual(states(told), ['big.txt done', 'late.txt done']);
    assert.deepEqual([told.files[0]?.recorded, told.files[0]?.refused], [59_940, 60]);
    assert.equal((await recorded(news)).length, 59_940);
    assert.deepEqual(await recorded(offers), ['ann@example.com *']);
    const first = await database
      .db<OptOutRecord>('opt_outs')
      .where({ list_id: news.id, address_key: md5Of('p0@example.com') })
      .first();
    assert.ok(first !== undefined && first.last_at < killedAt, 'what was done was not done again');
    const refused = readFileSync(refusedFile, 'utf8').trimEnd().split('\n');
    assert.deepEqual(
      refused.slice(1).map((line) => Number(line.split(',')[0])),
      Array.from({ length: 60 }, (_, i) => i * 1000 + 501),
    );
    assert.deepEqual(states((await run('--json')).json<Told>()), [
      'big.txt done before',
      'late.txt done before',
    ]);
  });

  it('is checked whole before the first row is recorded: every fault at once, by its line', async () => {
    write('good.txt', 'ann@example.com\n');
    write('empty.txt', '');
    write('nobody.csv', 'id,name\n');
    write('other.txt.refused.csv', 'mine\n');
    write('other.txt', 'ann@example.com\n');
    const rows = [
      ...[
        'good.txt,news,,',
        'missing.txt,news,,',
        ',news,,',
        'good.txt,,,',
        'good.txt,Nix,,',
        'good.txt,old,,',
      ],
      ...[
        'good.txt,news,xml,',
        'good.txt,news,,unknown',
        'empty.txt,news,,',
        'nobody.csv,news,,',
        '.,news,,',
      ],
      ...['good.txt,news,,', 'good.txt,news,,,more', '"good.txt,news,,', 'other.txt,news,,'],
    ];
    write('all.csv', `file,list,format,tag\n${rows.join('\n')}\n`);
    const ran = await run();
    assert.equal(ran.code, 1);
    assert.equal(ran.stdout, '');
    const told = ran.stderr.trimEnd().split('\n');
    const expected: [line: number, why: RegExp][] = [
      [3, /missing\.txt cannot be read: there is no such file/],
      [4, /names no file/],
      [5, /names no list/],
      [6, /There is no list "Nix"/],
      [7, /Several lists are called "old"|There is no list "old"/],
      [8, /format is "xml", and can be auto, csv, text, md5, sha256/],
      [9, /does not know this tag/],
      [10, /The file is empty/],
      [11, /names no column that says who has left/],
      [12, /it is a folder/],
      [13, /is the same as line 2/],
      [14, /has 5 fields, and the first line 4/],
      [15, /its quotes do not close/],
      [16, /other\.txt\.refused\.csv is there already/],
    ];
    assert.equal(told.at(-1), 'Nothing was imported.');
    assert.equal(told.length, expected.length + 1, ran.stderr);
    for (const [i, [line, why]] of expected.entries()) {
      assert.ok(told[i]?.startsWith(`files/all.csv, line ${line}: `), told[i]);
      assert.match(told[i] ?? '', why);
    }
    assert.deepEqual(await recorded(news), []);
    assert.ok(!existsSync(path.join(cwd, 'files', 'good.txt.refused.csv')));
  });

  it('says what is wrong with a manifest that is none', async () => {
    const broken: [text: string, why: RegExp][] = [
      ['', /all\.csv is empty: it needs the columns file, list/],
      ['file,list\n', /line 1: names no file below this line/],
      [
        'path,list\nx,y\n',
        /line 1: has no column file\.\n.*line 1: has a column "path", which there is none of/,
      ],
      ['file,list,file\nx,y,z\n', /line 1: has the column "file" twice/],
      ['\n"file,list\n', /line 2: its quotes do not close/],
      ['PK\x03\x04', /all\.csv: This is a ZIP archive or an Excel workbook/],
    ];
    for (const [text, why] of broken) {
      write('all.csv', text);
      const ran = await run();
      assert.equal(ran.code, 1, text);
      assert.match(ran.stderr, why);
      assert.doesNotMatch(ran.stderr, /\n {4}at |Signoff failed/);
    }
    const missing = await signoff(environmentOf(database.url), ['import', '--manifest', 'none.csv'], { cwd });
    assert.equal(missing.stderr, 'none.csv cannot be read: there is no such file.\n');
  });

  it('does the others where one of its files turns out bad', async () => {
    const { gzipSync } = await import('node:zlib');
    write('all.csv', 'file,list\ncut.gz,news\nb.txt,news\n');
    const text = Array.from({ length: 3000 }, (_, i) => `person${i}@example.com\n`).join('');
    writeFileSync(path.join(cwd, 'files', 'cut.gz'), gzipSync(text).subarray(0, 5000));
    write('b.txt', 'bob@example.com\n');
    const ran = await run('--json');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^cut\.gz: the gzip file is cut off, after 5000 octets/);
    assert.deepEqual(states(ran.json<Told>()), ['cut.gz failed', 'b.txt done']);
    assert.ok((await recorded(news)).includes('bob@example.com *'));
    writeFileSync(path.join(cwd, 'files', 'cut.gz'), gzipSync(text));
    assert.equal((await run()).code, 0);
    assert.equal((await recorded(news)).length, 3001);
  });
});
