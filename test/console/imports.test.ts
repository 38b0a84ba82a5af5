import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { importJobsOfList } from '../../src/core/import-jobs.js';
import { createList, type List } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import { mostFileOctets } from '../../src/core/import-upload.js';
import { connect } from '../../src/db/connect.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { optOutOf } from '../support/core.js';
import { uploadText } from '../support/import-jobs.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { freshMigratedDatabase } from '../support/template.js';

const nothing =
  'Content-Disposition: form-data; name="file"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n';

describe("The console's imports", () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;
  let path: string;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    await addTags(service.deps.db, list.id, ['news']);
    path = `/console/lists/${list.publicId}/imports`;
  });

  const file = (content: string | Buffer, name = 'gone.csv', type = 'text/csv') => ({ name, content, type });
  async function upload(content: string | Buffer, name?: string): Promise<string> {
    const answer = await olive.upload(path, file(content, name));
    assert.equal(answer.status, 303, answer.text);
    assert.match(answer.location ?? '', new RegExp(`^${path}/[a-z0-9]{20}$`));
    return answer.location ?? '';
  }
  async function over(at: string): Promise<ConsolePage> {
    let page = await olive.get(at);
    await until('the import is over', async () => {
      page = await olive.get(at);
      assert.equal(page.status, 200, page.text);
      return !page.html.includes('data-live');
    });
    return page;
  }
  const jobs = () => importJobsOfList(service.deps.db, list);
  const isOut = (email: string, tag?: string) =>
    isSuppressed(service.deps.db, list.id, email, tag === undefined ? {} : { tag });

  it('take a file, show what it is, and import it once its owner says so', async () => {
    assert.match((await olive.get(path)).text, /Nothing was imported yet/);
    await service.deps.recorder.record([optOutOf(list.id, 'bob@example.com')]);
    const at = await upload('E-Mail;Tag;Name\nAnn@example.com;news;Ann\nbob@example.com;;Bob\nnobody;;\n');
    const preview = await olive.get(at);
    assert.equal(preview.status, 200);
    for (const text of [
      ...['gone.csv', 'Nothing is imported yet', 'All 3 rows of the file: 2 will be taken, 1 refused'],
      ...['ann@example.com news', 'The address has no @', 'UTF-8'],
    ]) {
      assert.ok(preview.text.includes(text), `${text} in ${preview.text}`);
    }
    const fields = fieldsOf(preview);
    assert.deepEqual(fields, {
      ...{ shownSeparator: 'semicolon', separator: 'semicolon', hasHeader: 'yes' },
      ...{ column0: 'who', column1: 'tag', column2: 'ignore', tag: '*' },
    });
    assert.equal(await isOut('ann@example.com', 'news'), false);
    const started = await olive.post(at, { ...fields, do: 'start' });
    assert.equal(started.location, at, started.text);
    const done = await over(at);
    assert.match(done.text, /Import done .* 2 rows were taken/);
    assert.deepEqual(tilesOf(done), ['2', '1', '1']);
    assert.equal(await isOut('ann@example.com', 'news'), true);
    const listed = await olive.get(path);
    assert.match(listed.text, /gone\.csv .* Done 2 1 1/);
    const [job] = await jobs();
    assert.equal(job?.actor, `user:${olive.user.id}`);
  });

  it('show what another mapping would come to before anything is imported', async () => {
    const at = await upload('x@example.com,first@example.com,2024-05-01,why not\n,second@example.com,,\n');
    const fields = fieldsOf(await olive.get(at));
    assert.deepEqual([fields.column0, fields.column1], ['ignore', 'who']);
    const other = { ...fields, column0: 'who', column1: 'ignore', column3: 'reason', tag: 'news' };
    const preview = await olive.post(at, { ...other, do: 'preview' });
    assert.equal(preview.status, 200);
    assert.match(preview.text, /1 will be taken, 1 refused/);
    assert.match(preview.text, /x@example\.com news .* why not/);
    assert.deepEqual(fieldsOf(preview), other, 'what was chosen stays chosen');
    assert.equal((await jobs())[0]?.state, 'held');
    await olive.post(at, { ...other, do: 'start' });
    const done = await over(at);
    assert.deepEqual(tilesOf(done), ['1', '0', '1']);
    assert.deepEqual(
      [await isOut('x@example.com', 'news'), await isOut('second@example.com')],
      [true, false],
    );
  });

  it('show when opt-outs would end, where the file says so', async () => {
    const at = await upload('ann@example.com,2099-05-01\nbob@example.com,\ncid@example.com,some day\n');
    const fields = fieldsOf(await olive.get(at));
    const preview = (column1: string) =>
      olive.post(at, { ...fields, column0: 'who', column1, do: 'preview' });
    const { text, html } = await preview('expires');
    assert.match(text, /Opted out at Ends at Reason/);
    assert.match(text, /ann@example\.com .*2099.* bob@example\.com .* cid@example\.com .* End not readable/);
    assert.match(html, /data-label="Ends at"/);
    assert.doesNotMatch((await preview('ignore')).html, /data-label="Ends at"/);
  });

  it('find the columns anew where another separator is chosen, and start with none that nobody has seen', async () => {
    const at = await upload('a,b|c\tann@example.com\nd,e\tbob@example.com\n');
    const fields = { ...fieldsOf(await olive.get(at)), separator: 'comma', shownSeparator: 'tab' };
    const preview = await olive.post(at, { ...fields, do: 'start' });
    assert.equal(preview.status, 200);
    assert.equal(fieldsOf(preview).shownSeparator, 'comma');
    assert.equal((await jobs())[0]?.state, 'held');
    const lines = await olive.post(at, { ...fieldsOf(preview), separator: 'none', do: 'preview' });
    assert.match(lines.text, /Each line holds one address/);
    const back = await olive.post(at, { ...fieldsOf(lines), separator: 'tab', do: 'preview' });
    assert.deepEqual([fieldsOf(back).column0, fieldsOf(back).column1], ['ignore', 'who']);
    await olive.post(at, { ...fieldsOf(back), do: 'start' });
    assert.deepEqual(tilesOf(await over(at)), ['2', '0', '0']);
  });

  it('say at the columns what is wrong with a mapping, and keep what was chosen', async () => {
    const at = await upload('email,tag,label\nann@example.com,news,news\n');
    const fields = { ...fieldsOf(await olive.get(at)), column2: 'tag' };
    const twice = await olive.post(at, { ...fields, do: 'start' });
    assert.equal(twice.status, 422);
    assert.match(twice.text, /Two columns are said to hold the same/);
    assert.deepEqual(fieldsOf(twice), fields);
    const none = await olive.post(at, { ...fields, column0: 'ignore', column2: 'ignore', do: 'start' });
    assert.equal(none.status, 422);
    assert.match(none.text, /Choose the column that holds the addresses/);
    const strange = await olive.post(at, { ...fields, column2: 'ignore', tag: 'unheard', do: 'start' });
    assert.equal(strange.status, 422);
    assert.equal((await jobs())[0]?.state, 'held');
  });

  it('start once, however often the button is pressed', async () => {
    const at = await upload('ann@example.com\n');
    const fields = { ...fieldsOf(await olive.get(at)), do: 'start' };
    const answers = await Promise.all([1, 2, 3].map(() => olive.post(at, fields)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [303, 403, 403]);
    assert.match(answers.find(({ status }) => status === 403)?.text ?? '', /was started already/);
    assert.deepEqual(tilesOf(await over(at)), ['1', '0', '0']);
  });

  it('forget a file that is not to be imported', async () => {
    const at = await upload('ann@example.com\n');
    assert.match((await olive.get(`${at}/end`)).text, /Nothing of it was imported/);
    assert.equal((await olive.post(`${at}/end`)).location, `${path}?done=import-forgotten`);
    assert.equal((await olive.get(at)).status, 404);
    assert.match((await olive.get(`${path}?done=import-forgotten`)).text, /The file is deleted/);
  });

  it('give the refused rows as a file, in which nothing runs', async () => {
    const at = await upload('=cmd|calc!A1,x\nann@example.com,\n<script>alert(1)</script>,\n');
    const preview = await olive.get(at);
    assert.ok(!preview.html.includes('<script>alert') && preview.html.includes('&lt;script&gt;alert'));
    await olive.post(at, { ...fieldsOf(preview), hasHeader: '', do: 'start' });
    const done = await over(at);
    assert.match(done.text, /2 rows were refused|One row was refused/);
    const csv = await olive.fetch(`${at}/refused.csv`);
    assert.equal(csv.headers.get('content-type'), 'text/csv; charset=utf-8');
    assert.match(
      csv.headers.get('content-disposition') ?? '',
      /^attachment; filename="refused-[a-z0-9]{20}\.csv"$/,
    );
    assert.equal(csv.headers.get('cache-control')?.includes('no-store'), true);
    const text = Buffer.from(await csv.arrayBuffer()).toString();
    assert.match(text, /^\ufeffLine,Problem,Text\r\n/);
    assert.ok(text.includes('<script>alert(1)</script>,'));
    const head = await olive.fetch(`${at}/refused.csv`, { method: 'HEAD' });
    assert.deepEqual([head.status, (await head.text()).length], [200, 0]);
  });

  it('say in plain words what is wrong with a file, and keep nothing of it', async () => {
    const wrong: [string | Buffer, RegExp, string?][] = [
      [Buffer.from('PK\u0003\u0004 and so on'), /This is an Excel workbook or an archive.*CSV UTF-8/],
      [Buffer.from('\xd0\xcf\x11\xe0\xa1\xb1', 'latin1'), /This is an Excel workbook/],
      [Buffer.from('%PDF-1.7\u0000\u0001'), /This is no text file/],
      ['', /This file is empty/],
      [gzipSync(gzipSync('ann@example.com\n')), /archive/],
    ];
    for (const [content, expected] of wrong) {
      const answer = await olive.upload(path, file(content));
      assert.equal(answer.status, 422);
      assert.match(answer.text, expected);
      assert.match(answer.html, /type="file"/, 'the form is there again');
    }
    // As browsers send a field in which nothing was chosen.
    const parts = [`Content-Disposition: form-data; name="csrf"\r\n\r\n${olive.formToken}`, nothing];
    const none = await olive.fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'multipart/form-data; boundary=b', 'Sec-Fetch-Site': 'same-origin' },
      body: `${parts.map((part) => `--b\r\n${part}\r\n`).join('')}--b--\r\n`,
    });
    assert.deepEqual([none.status, (await none.text()).includes('Choose a file first')], [400, true]);
    assert.deepEqual(await jobs(), []);
  });

  it('say that a file is too large before all of it has come', async () => {
    const large = Buffer.alloc(mostFileOctets + 1024 * 1024, 'ann@example.com\n');
    const answer = await olive.upload(path, file(large)).catch(() => null);
    // Where the client is still sending, its connection may be closed on it.
    if (answer !== null) {
      assert.equal(answer.status, 413);
      assert.match(answer.text, /larger than an upload may be/);
    }
    assert.deepEqual(await jobs(), []);
  });

  it('take no upload without the token of the session, or with it behind the file', async () => {
    const send = (form: FormData) =>
      olive.fetch(path, { method: 'POST', headers: { 'Sec-Fetch-Site': 'same-origin' }, body: form });
    const form = new FormData();
    form.append('file', new Blob(['ann@example.com\n']), 'a.csv');
    form.append('csrf', olive.formToken);
    assert.equal((await send(form)).status, 403);
    const wrong = new FormData();
    wrong.append('csrf', 'x'.repeat(43));
    wrong.append('file', new Blob(['ann@example.com\n']), 'a.csv');
    assert.equal((await send(wrong)).status, 403);
    assert.deepEqual(await jobs(), []);
  });

  it('are pages of twenty, newest first', async () => {
    for (let i = 0; i < 23; i++)
      await uploadText(service.deps.db, list, 'ann@example.com\n', {
        fileName: `file-${i}.csv`,
        isHeld: true,
      });
    const first = await olive.get(path);
    const names = ({ html }: ConsolePage) =>
      [...html.matchAll(/<bdi>(file-\d+)\.csv/g)].map(([, name]) => name);
    assert.deepEqual(
      names(first),
      Array.from({ length: 20 }, (_, i) => `file-${22 - i}`),
    );
    const [, next = ''] = /href="([^"]*\?before=\d+)"/.exec(first.html) ?? [];
    assert.deepEqual(names(await olive.get(next)), ['file-2', 'file-1', 'file-0']);
  });

  it('are the list owner’s alone: another account’s, and a mailer, find nothing', async () => {
    const { db } = service.deps;
    const at = await upload('ann@example.com\n');
    const stranger: Account = await createAccount(db, 'Stranger', { actor: 'test' });
    const sam = await signInAs(service, { owner: stranger });
    const theirs = await createList(db, stranger.id, { name: 'Theirs' }, { actor: 'test' });
    const mailer = await createMailer(db, service.accountId, { name: 'Mail House' }, { actor: 'test' });
    await grantList(db, mailer, list, { actor: 'test' });
    const mia = await signInAs(service, { mailer });
    const id = at.split('/').at(-1) ?? '';
    const elsewhere = `/console/lists/${theirs.publicId}/imports/${id}`;
    for (const page of [path, at, `${at}/refused.csv`, `${at}/end`]) {
      assert.equal((await sam.get(page)).status, 404, page);
      assert.equal((await mia.get(page)).status, 403, page);
    }
    for (const page of [elsewhere, `${elsewhere}/refused.csv`, `${elsewhere}/end`]) {
      assert.equal((await sam.get(page)).status, 404, page);
    }
    for (const page of [elsewhere, `${elsewhere}/end`, `${elsewhere}/restart`]) {
      assert.equal((await sam.post(page, { separator: 'none', do: 'start' })).status, 404, page);
    }
    assert.equal((await sam.upload(path, file('x@example.com\n'))).status, 404);
    assert.equal((await mia.upload(path, file('x@example.com\n'))).status, 403);
    assert.deepEqual(
      (await jobs()).map(({ state }) => state),
      ['held'],
    );
  });

  it('speak Japanese to whoever does', async () => {
    const yuki = await signInAs(service, 'owner', { language: 'ja' });
    const at = await upload('email,tag\nann@example.com,unheard\nnobody,\n');
    const preview = await yuki.get(at);
    assert.match(preview.text, /ファイルの全2行: 1行は取り込めますが、1行は取り込めません。/);
    assert.match(preview.text, /アドレスに @ がありません。/);
    await yuki.post(at, { ...fieldsOf(preview), do: 'start' });
    await over(at);
    const done = await yuki.get(at);
    assert.match(done.text, /1行にリストにないタグがあります/);
    assert.match((await yuki.get(`${at}/refused.csv`)).html, /^\ufeff?行,問題,内容\r\n3,/);
  });
});

describe("The console's page of an import that goes on", () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;
  let drop: () => Promise<void>;
  before(async () => {
    const database = await freshMigratedDatabase();
    drop = database.drop;
    // Another node is the keeper, and does nothing: the import stays as it is.
    const db = connect(database.url, { timeoutMs: 10_000, poolSize: 1 });
    const held = { holder: 'another node', expires_at: Date.now() + 3_600_000 };
    assert.equal(await db('leases').where({ name: 'keeper' }).update(held), 1);
    await db.destroy();
    service = await startTestService({ DATABASE_URL: database.url });
    olive = await signInAs(service, 'owner');
  });
  after(async () => {
    await service.close();
    await drop();
  });
  beforeEach(async () => {
    list = await makeList(service);
  });

  const state = (columns: object) =>
    service.deps.db('import_jobs').where({ list_id: list.id }).update(columns);

  it('shows how far it is, after a reload as well, and without scripts', async () => {
    const path = `/console/lists/${list.publicId}/imports`;
    const text = 'ann@example.com\n'.repeat(100);
    const { location } = await olive.upload(path, { name: 'gone.csv', content: text });
    const at = location ?? '';
    await olive.post(at, { ...fieldsOf(await olive.get(at)), do: 'start' });
    assert.match((await olive.get(at)).text, /In the queue/);
    await state({
      ...{ state: 'running', begun_at: Date.now() - 60_000, attempts: 1 },
      ...{ read_octets: 400, line: 25, taken: 24, known: 3, refused: 1 },
    });
    for (let reloads = 0; reloads < 2; reloads++) {
      const page = await olive.get(at);
      assert.match(page.html, /<progress[^>]* max="100" value="25">/);
      assert.match(page.html, /<noscript><meta http-equiv="refresh" content="3"><\/noscript>/);
      assert.match(page.html, /<section class="card" data-live="3">/);
      assert.match(page.text, /25 % done About 3 minutes left/);
      assert.deepEqual(tilesOf(page), ['24', '3', '1']);
    }
    await state({ state: 'uploading' });
    assert.match((await olive.get(at)).html, /<progress aria-labelledby="how-far" max="100">/);
  });

  it('ends it, and lets one go on that was given up', async () => {
    const job = await uploadText(service.deps.db, list, 'ann@example.com\n', { fileName: 'gone.csv' });
    const path = `/console/lists/${list.publicId}/imports`;
    const at = `${path}/${job.publicId}`;
    await state({ line: 25, taken: 24, known: 3, refused: 1 });
    assert.match((await olive.get(`${at}/end`)).text, /24 rows are recorded by now, and stay/);
    const ended = await olive.post(`${at}/end`);
    assert.equal(ended.location, `${at}?done=import-ended`);
    const over = await olive.get(at);
    assert.match(over.text, /Import not complete It was ended after line 25/);
    assert.deepEqual(tilesOf(over), ['24', '3', '1']);
    for (const again of [await olive.post(`${at}/end`), await olive.get(`${at}/end`)]) {
      assert.equal(again.location, at, 'there is nothing left of it to end');
    }
    assert.match((await olive.get(path)).text, /gone\.csv .* Ended 24 3 1/);
    assert.equal((await olive.post(`${at}/restart`)).status, 403);
    await state({ failure_code: 'given-up', failure: 'x', due_at: Date.now() + 1e9 });
    assert.match((await olive.get(at)).text, /It failed again and again/);
    assert.equal((await olive.post(`${at}/restart`)).location, `${at}?done=import-restarted`);
    assert.match((await olive.get(at)).text, /In the queue/);
  });
});

/** What the form of the page would send, as it stands; `do` is the button. */
function fieldsOf({ html }: ConsolePage): Record<string, string> {
  const fields: Record<string, string> = {};
  const form = html.slice(html.indexOf('name="shownSeparator"') - 100);
  for (const [, name = '', value = ''] of form.matchAll(
    /<input type="hidden" name="(\w+)" value="([^"]*)"/g,
  )) {
    if (name !== 'csrf') fields[name] = value;
  }
  for (const [, name = '', options = ''] of form.matchAll(
    /<select[^>]* name="(\w+)"[^>]*>([^]*?)<\/select>/g,
  )) {
    fields[name] = /value="([^"]*)" selected/.exec(options)?.[1] ?? '';
  }
  for (const [, name = ''] of form.matchAll(/<input type="checkbox"[^>]* name="(\w+)"[^>]* checked/g)) {
    fields[name] = 'yes';
  }
  return fields;
}

function tilesOf({ html }: ConsolePage) {
  const tiles = /<dl class="tiles">([^]*?)<\/dl>/.exec(html)?.[1] ?? '';
  return [...tiles.matchAll(/<dd>([^<]*)<\/dd>/g)].map(([, number]) => number);
}
