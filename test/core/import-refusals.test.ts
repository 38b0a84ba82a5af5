import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { fieldsOf } from '../../src/core/csv.js';
import { erasePerson } from '../../src/core/erasure.js';
import { refusalsAsCsv } from '../../src/core/import-refusals-csv.js';
import { createList, type List } from '../../src/core/lists.js';
import { foundInTables } from '../support/bytes.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';
import { imported, keptRefusals } from '../support/import-jobs.js';

describe('The refused rows of imports', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
    await createAccount(test.db, 'Other');
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
  });

  async function erase(address: string): Promise<void> {
    for await (const one of erasePerson(test.db, 1, address, { actor: 'test', retryMs: 10_000 })) void one;
  }
  const textsOf = async (job: Awaited<ReturnType<typeof imported>>) =>
    (await keptRefusals(test.db, job)).map(({ line, text }) => `${line} ${text}`);

  it('lose the text that holds an address when its person is erased, however it is written', async () => {
    const rows = [
      '"Zqann@Example.com',
      'zqann@exam\u200bple.com,x,y,bob@example.com',
      'zqann @ example.com',
      'ｚｑａｎｎ@example.com,,,cyd@example.com',
      'zqother@example.com,,,cyd@example.com',
      'nobody',
    ];
    const job = await imported(test.db, list, `address,tag\n${rows.join('\n')}\n`, { tag: '*' });
    const strange = await createList(test.db, 2, { name: 'Strange' }, { actor: 'test' });
    const others = await imported(test.db, strange, 'address\n"zqann@example.com\n');
    assert.equal((await keptRefusals(test.db, job)).filter(({ text }) => text !== null).length, job.refused);
    await erase('zqann@example.com');
    const kept = await keptRefusals(test.db, job);
    assert.equal(kept.length, job.refused);
    assert.deepEqual(
      kept.flatMap(({ text }) => (text === null ? [] : [text])),
      rows.slice(-2),
    );
    assert.deepEqual(await textsOf(others), ['2 "zqann@example.com']);
  });

  it('are a CSV for spreadsheets, in which nothing is taken for a formula', async () => {
    const texts = ['=1+1', ' @SUM(A1)', '-2', '\t+3', '＝1', "'=x", 'nobody,"quoted ""text"""', 'nöbödy'];
    const job = await imported(test.db, list, `address,a,b\n${texts.join('\n')}\n`);
    assert.equal(job.refused, texts.length);
    const textOf = async (parts: AsyncIterable<string>) => {
      let text = '';
      for await (const part of parts) text += part;
      return text;
    };
    const csv = await textOf(refusalsAsCsv(test.db, job));
    assert.ok(csv.startsWith('\ufeffline,problem,text\r\n') && csv.endsWith('\r\n'));
    const rows = csv.split('\r\n').slice(1, -1);
    const fields = rows.map((row) => fieldsOf(row, ','));
    assert.deepEqual(
      fields.map(([line, , text]) => `${line} ${text}`),
      texts.map((text, i) => `${i + 2} ${i < 5 ? "'" : ''}${text}`),
    );
    assert.equal(fields[7]?.[1], 'the address has no @');
    await test.db('import_job_refusals').update({ text: null });
    const japanese = await textOf(refusalsAsCsv(test.db, job, ['行', '理由', '内容'], () => '無効'));
    assert.ok(japanese.startsWith('\ufeff行,理由,内容\r\n2,無効,\r\n'), japanese.slice(0, 100));
  });

  it('finds the other form of a domain as well', async () => {
    const job = await imported(
      test.db,
      list,
      'address\n"zqeve@bücher.example\n"zqeve@xn--bcher-kva.example\n',
    );
    await erase('zqeve@xn--bcher-kva.example');
    assert.deepEqual(await textsOf(job), ['2 null', '3 null']);
  });

  it('are kept without their text where they name somebody who was erased before', async () => {
    await erase('zqdan@example.com');
    const job = await imported(test.db, list, 'address\n"ZqDan@Example.com\n"eve@example.com\n');
    assert.deepEqual(await textsOf(job), ['2 null', '3 "eve@example.com']);
    assert.deepEqual(await foundInTables(test.db, 'zqdan'), ['import_job_chunks']);
  });
});
