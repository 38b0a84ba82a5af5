import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { md5Of } from '../../src/core/address.js';
import { startImportJob } from '../../src/core/import-job-changes.js';
import { getImportJob, plainImport, type ImportJobOptions } from '../../src/core/import-jobs.js';
import { exportColumns, type Mapping } from '../../src/core/import-layout.js';
import { columnsOf, type ColumnRole } from '../../src/core/import-mapping.js';
import { previewImport, type ImportPreview } from '../../src/core/import-preview.js';
import { createList, getListById, type List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { Invalid, Refused } from '../../src/errors.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { carryOut, csvOf, keptRefusals, uploadText } from '../support/import-jobs.js';

describe('The preview of an import', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    for (const table of ['import_jobs', 'import_job_chunks', 'import_job_refusals']) {
      await test.db(table).delete();
    }
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
    await addTags(test.db, list.id, ['news', 'sale']);
    list = await getListById(test.db, list.id);
  });

  async function previewOf(file: string | Buffer, options: Partial<ImportJobOptions> = {}) {
    const job = await uploadText(test.db, list, file, { isHeld: true });
    return previewImport(test.db, list, job, options);
  }
  const mapped = (
    delimiter: ',' | ';' | '\t',
    hasHeader: boolean,
    ...roles: ColumnRole[]
  ): ImportJobOptions => ({
    ...plainImport,
    mapping: { type: 'csv', delimiter, hasHeader, columns: columnsOf(roles) },
  });
  const rolesIn = ({ columns }: ImportPreview) => columns.map(({ role }) => role);
  const summary = ({ rows }: ImportPreview) =>
    rows.map(({ line, problem, optOut }) => `${line} ${problem ?? optOut?.who}`);

  it('finds out the separator, the heading and what each column says', async () => {
    const preview = await previewOf(
      'Name;E-Mail;Tag;Created_At;Reason\nAnn;Ann@Example.com;news;2024-05-01;too many\nBob;bob;;;\n',
    );
    assert.deepEqual(preview.found, { encoding: 'utf-8', isGzip: false });
    const { mapping } = preview.options;
    assert.deepEqual(
      [mapping.type === 'csv' && mapping.delimiter, mapping.type === 'csv' && mapping.hasHeader],
      [';', true],
    );
    assert.deepEqual(preview.columns, [
      { role: 'ignore', name: 'Name' },
      { role: 'who', name: 'E-Mail' },
      { role: 'tag', name: 'Tag' },
      { role: 'date', name: 'Created_At' },
      { role: 'reason', name: 'Reason' },
    ]);
    assert.deepEqual(preview.rows, [
      {
        ...{ line: 2, cells: ['Ann', 'Ann@Example.com', 'news', '2024-05-01', 'too many'] },
        ...{ problem: null, warnings: [] },
        optOut: {
          ...{ who: 'ann@example.com', tags: ['news'] },
          ...{ createdAt: Date.UTC(2024, 4, 1), expiresAt: null, reason: 'too many' },
        },
      },
      { line: 3, cells: ['Bob', 'bob', '', '', ''], problem: 'no-at', warnings: [], optOut: null },
    ]);
    assert.deepEqual([preview.isWhole, preview.problem, preview.moreColumns], [true, null, 0]);
    assert.deepEqual(await rowsOfList(test.db, list.id), [], 'it records nothing');
  });

  it('tells files without a heading, of lines, of hashes, packed, in UTF-16, and our own export', async () => {
    const dated = await previewOf('17,ann@example.com,2024-05-01\n18,bob@example.com,\n');
    assert.deepEqual(rolesIn(dated), ['ignore', 'who', 'date']);
    assert.deepEqual(
      dated.columns.map(({ name }) => name),
      [null, null, null],
    );
    const lines = await previewOf(gzipSync(`ann@example.com\n${md5Of('bob@example.com').toString('hex')}\n`));
    assert.deepEqual([lines.options.mapping, lines.found.isGzip], [{ type: 'lines' }, true]);
    assert.deepEqual(summary(lines), ['1 ann@example.com', `2 ${md5Of('bob@example.com').toString('hex')}`]);
    const utf16 = await previewOf(Buffer.from('\ufeffemail\tname\nann@example.com\tÄnn\n', 'utf16le'));
    assert.deepEqual([utf16.found.encoding, utf16.rows[0]?.cells], ['utf-16le', ['ann@example.com', 'Änn']]);
    const ours = await previewOf(`${exportColumns.join(',')}\nann@example.com,,,*,,,,,\n`);
    assert.deepEqual(rolesIn(ours), [
      ...['who', 'who', 'who', 'tag', 'date', 'ignore', 'ignore', 'reason', 'expires'],
    ]);
    const tags = await previewOf('email,tags\nann@example.com,"news,sale"\n');
    assert.deepEqual([rolesIn(tags), tags.options.severalTags], [['who', 'ignore'], false]);
  });

  it('guesses by the names that likely mean it, in Japanese as well, since somebody looks at it', async () => {
    const likely = await previewOf(
      '名前,メールアドレス,解除日,ラベル,理由\nAnn,ann@example.com,2024-05-01,news,x\n',
    );
    assert.deepEqual(rolesIn(likely), ['ignore', 'who', 'date', 'tag', 'reason']);
    const two = await previewOf(
      'Courriel,Contact,Why\na@example.com,b@example.com,\nc@example.com,d@example.com,\n',
    );
    assert.deepEqual(rolesIn(two), ['who', 'ignore', 'reason']);
    const own = await previewOf('email,tag,label,created,timestamp\nann@example.com,,x,2024-05-01,\n');
    assert.deepEqual(rolesIn(own), ['who', 'tag', 'ignore', 'date', 'ignore']);
  });

  it('says which encoding it is not, and shows what can be read all the same', async () => {
    const preview = await previewOf(Buffer.from('email,name\nann@example.com,\xc4nn\n', 'latin1'));
    assert.equal(preview.found.encoding, 'other');
    assert.deepEqual(summary(preview), ['2 ann@example.com']);
    assert.equal(preview.rows[0]?.cells[1], '\ufffdnn');
  });

  it('leaves it to whoever looks, where several columns could say who has left, or none', async () => {
    const several = await previewOf('a@example.com,b@example.com,x\n,c@example.com,y\n');
    assert.deepEqual(rolesIn(several), ['ignore', 'who', 'ignore']);
    assert.deepEqual([several.problem, summary(several)], [null, ['1 b@example.com', '2 c@example.com']]);
    const none = await previewOf('name,town,date\nAnn,Rome,2024-05-01\n');
    assert.deepEqual(rolesIn(none), ['ignore', 'ignore', 'date']);
    assert.deepEqual(summary(none), ['2 missing']);
  });

  it('refuses what is no text at all, or empty', async () => {
    const refusal = async (file: Buffer | string) => {
      const error: unknown = await previewOf(file).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof Refused, String(error));
      return error.reason;
    };
    assert.equal(await refusal(Buffer.from('PK\u0003\u0004xxxx')), 'archive');
    assert.equal(await refusal(Buffer.from('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'latin1')), 'archive');
    assert.equal(await refusal(Buffer.from('GIF89a\u0001\u0000\u0001\u0000\u0000')), 'not-text');
    for (const empty of ['', '\n \n', '\ufeff']) assert.equal(await refusal(empty), 'empty');
  });

  it('shows what another mapping would come to, and the import does the same', async () => {
    const file = [
      'who,email,when,label,why',
      'ann@example.com,x@example.com,2024-05-01,news,"too, many"',
      'bob@example.com,,01/02/2024,other,',
      'nobody,y@example.com,,,',
      '"cyd,,,,',
      '',
    ].join('\n');
    const options = { ...mapped(',', true, 'who', 'ignore', 'date', 'tag', 'reason'), tag: 'sale' };
    const preview = await previewOf(file, options);
    assert.deepEqual(summary(preview), ['2 ann@example.com', '3 bob@example.com', '4 no-at', '5 quotes']);
    assert.deepEqual(
      preview.rows.map(({ warnings, optOut }) => [warnings, optOut?.tags, optOut?.reason]),
      [
        [[], ['news'], 'too, many'],
        [['tag', 'date'], ['*'], null],
        [[], undefined, undefined],
        [[], undefined, undefined],
      ],
    );
    const job = await uploadText(test.db, list, file, { isHeld: true });
    await test.db.transaction((trx) => startImportJob(trx, job.id, options, 'user:1'));
    await carryOut(test.db);
    const done = await getImportJob(test.db, job.id);
    assert.deepEqual([done.taken, done.refused, done.warnings], [2, 2, { tag: 1, date: 1 }]);
    assert.deepEqual(
      (await keptRefusals(test.db, done)).map(({ line, problem }) => `${line} ${problem}`),
      ['4 no-at', '5 quotes'],
    );
    assert.deepEqual(
      (await rowsOfList(test.db, list.id))
        .map((row) => `${String(row.address)} ${row.tag.toString()}`)
        .sort(),
      ['ann@example.com news', 'bob@example.com *'],
    );
  });

  it('takes a column by its place, whatever the heading calls it, and none that is ignored', async () => {
    const file = 'email,2,tag\nann@example.com,bob@example.com,news\n';
    const preview = await previewOf(file, mapped(',', true, 'ignore', 'who', 'ignore'));
    assert.deepEqual(preview.rows[0]?.optOut, {
      ...{ who: 'bob@example.com', tags: ['*'], createdAt: null, expiresAt: null, reason: null },
    });
    const data = await previewOf(file, mapped(',', false, 'who'));
    assert.deepEqual(summary(data), ['1 no-at', '2 ann@example.com']);
    const lines: ImportJobOptions = { ...plainImport, mapping: { type: 'lines' } satisfies Mapping };
    assert.deepEqual(summary(await previewOf('ann@example.com\nx,y\n', lines)), [
      '1 ann@example.com',
      '2 no-at',
    ]);
  });

  it('tells when an opt-out would end, and where that cannot be read', async () => {
    const file = 'ann@example.com,2099-05-01\nbob@example.com,\ncid@example.com,some day\n';
    const { rows } = await previewOf(file, mapped(',', false, 'who', 'expires'));
    assert.deepEqual(
      rows.map(({ optOut, warnings }) => [optOut?.expiresAt, ...warnings]),
      [[Date.UTC(2099, 4, 1)], [null], [null, 'expires']],
    );
  });

  it('adds no tag, and says for which rows the list knows none', async () => {
    const file = 'email,tag\nann@example.com,"new, news"\n';
    const options = mapped(',', true, 'who', 'tag');
    const tagsOf = async (more: Partial<ImportJobOptions>) => {
      const { rows } = await previewOf(file, { ...options, ...more });
      return [rows[0]?.optOut?.tags, rows[0]?.warnings];
    };
    assert.deepEqual(await tagsOf({}), [['*'], ['tag']]);
    assert.deepEqual(await tagsOf({ severalTags: true }), [['*', 'news'], ['tag']]);
    assert.deepEqual(await tagsOf({ severalTags: true, addsTags: true }), [['new', 'news'], []]);
    assert.deepEqual([...(await getListById(test.db, list.id)).tags].sort(), ['news', 'sale']);
  });

  it('looks at the first 200 rows, however long the file, and however its beginning is cut', async () => {
    const long = await previewOf(csvOf(50_000));
    assert.deepEqual([long.rows.length, long.isWhole], [200, false]);
    assert.equal(long.rows.at(-1)?.optOut?.who, 'p199@example.com');
    const packed = await previewOf(gzipSync(csvOf(200_000)));
    assert.deepEqual([packed.rows.length, packed.isWhole, packed.found.isGzip], [200, false, true]);
    const exact = await previewOf(csvOf(200));
    assert.deepEqual([exact.rows.length, exact.isWhole], [200, true]);
    assert.equal((await previewOf(csvOf(201))).isWhole, false);
    // Rows of two lines in quotes, so long that the beginning ends within one of them.
    const wide = `email,note\n${Array.from({ length: 400 }, (_, i) => `p${i}@example.com,"${'x'.repeat(2000)}\n${'y'.repeat(3000)}"\n`).join('')}`;
    const cut = await previewOf(wide);
    assert.ok(cut.rows.length > 20 && cut.rows.length < 100, `${cut.rows.length}`);
    assert.deepEqual(
      cut.rows.filter(({ problem }) => problem !== null),
      [],
    );
    const one = await previewOf(`email,x${'x'.repeat(600_000)}\nann@example.com,\n`);
    assert.deepEqual(rolesIn(one), ['who', 'ignore']);
  });

  it('shows 50 columns, and those behind them that say something', async () => {
    const names = Array.from({ length: 700 }, (_, i) =>
      i === 60 ? 'email' : i === 650 ? 'reason' : `c${i}`,
    );
    const row = names.map((name) => (name === 'email' ? 'ann@example.com' : ''));
    const preview = await previewOf(`${names.join(',')}\n${row.join(',')}\n`);
    assert.deepEqual([preview.columns.length, preview.moreColumns], [61, 639]);
    assert.equal(preview.rows[0]?.cells.length, 61);
    const few = await previewOf(`email,${names.slice(0, 59).join(',')}\nann@example.com\n`);
    assert.deepEqual([few.columns.length, few.moreColumns], [50, 10]);
  });

  it('takes a mapping only where one column says who, and none is said twice', () => {
    const problem = (...roles: ColumnRole[]) => {
      try {
        columnsOf(roles);
        return null;
      } catch (error) {
        assert.ok(error instanceof Invalid);
        return `${error.field} ${error.problem}: ${error.message}`;
      }
    };
    assert.equal(problem('ignore', 'who', 'who', 'tag'), null);
    assert.match(problem('tag', 'date') ?? '', /^columns missing: no column is said to hold the addresses/);
    assert.match(problem('who', 'tag', 'ignore', 'tag') ?? '', /^columns twice: columns 2 and 4 .* the tag/);
  });
});
