import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ImportJob } from '../../src/core/import-jobs.js';
import { createList, type List } from '../../src/core/lists.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';
import { imported, uploadText } from '../support/import-jobs.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

interface Told {
  readonly id: string;
  readonly list: string;
  readonly state: string;
  readonly taken: number;
  readonly refused: number;
}

describe('signoff import-job', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  let list: List;
  let done: ImportJob;
  let waiting: ImportJob;
  let cwd: string;
  before(async () => {
    database = await migratedDatabase();
    list = await createList(database.db, 1, { name: 'Acme News' }, { actor: 'test' });
    const other = await createList(database.db, 1, { name: 'Other' }, { actor: 'test' });
    await imported(database.db, other, 'ann@example.com\n');
    const text = 'address,created_at\nann@example.com,2024-05-01\nno,\nbob@example.com,soon\n';
    done = await imported(database.db, list, text, { fileName: 'unsub.csv', credentialId: 3 });
    waiting = await uploadText(database.db, list, 'cyd@example.com\n', { fileName: null });
  });
  after(() => database.close());
  beforeEach(() => (cwd = emptyFolder()));

  const run = (...args: string[]) => signoff(environmentOf(database.url), ['import-job', ...args], { cwd });

  it('lists the jobs of a list or an account, the newest first', async () => {
    const ran = await run('list', 'Acme News');
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    const [head, ...rows] = ran.stdout.trimEnd().split('\n');
    assert.match(head ?? '', /^ID +LIST +FILE +MADE +STATE +TAKEN +REFUSED$/);
    assert.match(rows[0] ?? '', new RegExp(`^${waiting.publicId} +Acme News .* waiting +0 +0$`));
    assert.match(rows[1] ?? '', new RegExp(`^${done.publicId} +Acme News +unsub.csv .* done +2 +1$`));
    assert.equal(rows.length, 2);
    const all = (await run('list', '--json')).json<Told[]>();
    assert.deepEqual(
      all.map(({ id, state }) => [id, state]),
      [
        [waiting.publicId, 'waiting'],
        [done.publicId, 'done'],
        [all[2]?.id, 'done'],
      ],
    );
    assert.equal((await run('list', '--limit', '1', '--json')).json<Told[]>().length, 1);
  });

  it('shows what became of one, and writes the rows that it refused', async () => {
    const ran = await run('show', done.publicId, '--refused', 'refused.csv');
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    assert.match(ran.stdout, /^State +done$/m);
    assert.match(ran.stdout, /^Taken +2$/m);
    assert.match(ran.stdout, /^Warnings +1 for the date$/m);
    assert.match(ran.stdout, /^1 refused row written to refused\.csv\.$/m);
    assert.equal(
      readFileSync(path.join(cwd, 'refused.csv'), 'utf8'),
      'line,reason,text\n3,the address has no @,"no,"\n',
    );
    const told = (await run('show', done.publicId, '--json')).json<Told & Record<string, unknown>>();
    assert.deepEqual(
      [told.list, told.state, told.taken, told.refused, told.credential, told.file_name],
      [list.publicId, 'done', 2, 1, 3, 'unsub.csv'],
    );
  });

  it('overwrites no other file, and knows no job that there is not', async () => {
    writeFileSync(path.join(cwd, 'mine.csv'), 'mine\n');
    const ran = await run('show', done.publicId, '--refused', 'mine.csv');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /mine\.csv is there already/);
    const none = await run('show', 'abcdefghjkmnpqrstuvw');
    assert.equal(none.code, 1);
    assert.match(none.stderr, /There is no import job/);
  });

  it('ends one that waits, and starts again what was given up alone', async () => {
    const { publicId } = await uploadText(database.db, list, 'dan@example.com\n');
    const ended = await run('end', publicId, '--json');
    assert.deepEqual([ended.code, ended.stderr], [0, '']);
    assert.equal(ended.json<Told>().state, 'failed');
    const again = await run('end', publicId);
    assert.deepEqual([again.code, /is over/.test(again.stderr)], [1, true]);
    const refused = await run('restart', publicId);
    assert.deepEqual([refused.code, /Only an import that was given up/.test(refused.stderr)], [1, true]);
    const none = await run('end', 'abcdefghjkmnpqrstuvw');
    assert.match(none.stderr, /There is no import job/);
  });
});
