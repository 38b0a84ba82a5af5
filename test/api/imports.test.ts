import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import type { Response } from 'supertest';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { findOptOuts } from '../../src/core/suppressed.js';
import { findTags } from '../../src/core/tags.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { checked, clientOf, problemIn, send } from './client.js';
import { startImporting, type Import } from './importing.js';

interface Refused {
  refused: { line: number; reason: string; detail: string; text: string | null }[];
}

describe("The API's imports", () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('take a CSV, tell at once where it is, and record what it holds', async () => {
    const { call, isOut, list, over, upload } = await startImporting(service);
    const csv = 'email,tag,created_at\nAnn@Example.com,offers,2024-02-29T12:00:00Z\nbob@example.com,,\n';
    const answer = await upload(csv);
    const { state, octets, taken, tag, credential_id } = answer.body as Import;
    assert.deepEqual([octets, tag, credential_id], [csv.length, '*', call.credentialId]);
    assert.ok(['waiting', 'running'].includes(state) && taken === 0, state);
    const done = await over(answer);
    assert.deepEqual(
      [done.state, done.format, done.lines, done.taken, done.refused, done.failure],
      ['done', 'csv', 3, 2, 0, null],
    );
    assert.deepEqual(
      [await isOut('ann@example.com', 'offers'), await isOut('ann@example.com')],
      [true, false],
    );
    assert.equal(await isOut('bob@example.com'), true);
    const [row] = await findOptOuts(service.deps.db, list.id, 'ann@example.com');
    assert.deepEqual(
      [row?.source, row?.credential_id, row?.created_at],
      ['import', call.credentialId, Date.UTC(2024, 1, 29, 12)],
    );
  });

  it('come as text, as gzip, in UTF-16, and as the file of a form', async () => {
    const { isOut, over, post, upload } = await startImporting(service);
    const utf16 = Buffer.from('\ufeffutf16@example.com\n', 'utf16le');
    const uploads: [string, Promise<Response>][] = [
      ['text@example.com', upload('text@example.com\n', '', 'text/plain; charset=utf-8')],
      ['gzip@example.com', upload(gzipSync('gzip@example.com\n'), '', 'application/gzip')],
      ['octets@example.com', upload('octets@example.com\n', '', 'application/octet-stream')],
      ['utf16@example.com', upload(utf16, '', 'text/plain; charset=utf-16')],
      ['form@example.com', checked(post().attach('file', Buffer.from('form@example.com\n'), 'the file.txt'))],
    ];
    for (const [email, answer] of uploads) {
      const done = await over(await answer);
      assert.deepEqual([done.state, done.taken], ['done', 1], email);
      assert.equal(done.file_name, email.startsWith('form') ? 'the file.txt' : null);
      assert.equal(await isOut(email), true, email);
    }
  });

  it('are read as they are said to be: format, columns, tags', async () => {
    const { isOut, list, over, upload } = await startImporting(service);
    const { db } = service.deps;
    const email = 'ann@example.com';
    await over(await upload(`${md5Of(email).toString('hex')}\n`, '?format=md5&tag=offers', 'text/plain'));
    assert.deepEqual([await isOut(email, 'offers'), await isOut(email)], [true, false]);
    await over(
      await upload(`${sha256Of('bob@example.com').toString('hex')}\n`, '?format=sha256', 'text/plain'),
    );
    assert.equal(await isOut('bob@example.com'), true);

    const csv = '1,x@example.com,cat@example.com,"new;other",spam\n';
    const query = '?format=csv&column=3&tag_column=4&reason_column=5&several_tags=yes&add_tags=yes';
    assert.equal((await over(await upload(csv, query))).taken, 1);
    const rows = await findOptOuts(db, list.id, 'cat@example.com');
    assert.deepEqual(
      rows.map(({ tag, reason }) => [tag.toString(), reason?.toString()]),
      [
        ['new', 'spam'],
        ['other', 'spam'],
      ],
    );
    assert.ok((await findTags(db, list.id)).has('other'));
    const unknown = await over(await upload('email,tag\ndan@example.com,nothing we know\n'));
    assert.deepEqual([unknown.taken, unknown.warnings.tag], [1, 1]);
    assert.equal(await isOut('dan@example.com'), true);
  });

  it('tell the rows that they refuse, page by page, with their lines, reasons and texts', async () => {
    const { call, over, path, upload } = await startImporting(service);
    const wrong = Array.from({ length: 5 }, (_, i) => `nobody ${i} ü`);
    const lines = ['ann@example.com', ...wrong, 'f'.repeat(40), 'bob@example.com'];
    const done = await over(await upload(lines.join('\n'), '', 'text/plain'));
    assert.deepEqual([done.state, done.taken, done.refused], ['done', 2, 6]);
    const found: Refused['refused'] = [];
    let pages = 0;
    for (let next: string | undefined = `${path}/${done.id}/refused?limit=4`; next !== undefined; pages++) {
      const answer: Response = await call('get', next);
      found.push(...(answer.body as Refused).refused);
      next = /<http:\/\/signoff\.test(\/[^>]*)>; rel="next"/.exec(String(answer.headers.link))?.[1];
    }
    assert.equal(pages, 2);
    assert.deepEqual(
      found.map(({ line, reason, text }) => [line, reason, text]),
      [...wrong.map((text, i) => [i + 2, 'no-at', text]), [7, 'sha1', 'f'.repeat(40)]],
    );
    assert.ok(found.every(({ detail }) => /^[A-Z].*\.$/.test(detail)));
    await service.deps.db('import_job_refusals').where({ line: 3 }).update({ text: null });
    const { refused } = (await call('get', `${path}/${done.id}/refused?limit=2`)).body as Refused;
    assert.deepEqual(
      refused.map(({ text }) => text),
      ['nobody 0 ü', null],
    );
  });

  it('say why one has failed', async () => {
    const { isOut, over, upload } = await startImporting(service);
    const cut = await over(
      await upload(gzipSync('ann@example.com\n'.repeat(1000)).subarray(0, -12), '', 'application/gzip'),
    );
    assert.deepEqual([cut.state, cut.failure?.code], ['failed', 'cut-off']);
    const columns = await over(await upload('a,b\nx@example.com,y@example.com\n', '?format=csv'));
    assert.equal(columns.state, 'failed');
    assert.equal(columns.failure?.code, 'header');
    assert.doesNotMatch(String(columns.failure?.detail), /--/, 'the command line has no place here');
    assert.equal(await isOut('x@example.com'), false);
  });

  it('are listed newest first, in pages', async () => {
    const { call, listed, over, path, upload } = await startImporting(service);
    const ids: string[] = [];
    for (const email of ['a@example.com', 'b@example.com', 'c@example.com']) {
      ids.unshift((await over(await upload(`${email}\n`, '', 'text/plain'))).id);
    }
    assert.deepEqual(
      (await listed()).map(({ id }) => id),
      ids,
    );
    const first = await call('get', `${path}?limit=2`);
    const [, next = ''] =
      /<http:\/\/signoff\.test(\/[^>]*)>; rel="next"/.exec(String(first.headers.link)) ?? [];
    const second = await call('get', next);
    const pages = [first, second].map((one) =>
      (one.body as { imports: Import[] }).imports.map(({ id }) => id),
    );
    assert.deepEqual(pages, [ids.slice(0, 2), ids.slice(2)]);
    assert.doesNotMatch(String(second.headers.link), /rel="next"/);
  });

  it('are found by nobody else, and need the right to record or to read', async () => {
    const { call, over, path, upload } = await startImporting(service);
    const { id } = await over(await upload('ann@example.com\n', '', 'text/plain'));
    const other = await makeList(service);
    const everything = await clientOf(service);
    for (const at of [`/${id}`, `/${id}/refused`]) {
      problemIn(await everything('get', `/lists/${other.publicId}/imports${at}`), 'not-found');
      problemIn(await call('get', `/lists/${other.publicId}/imports${at}`), 'not-found');
      problemIn(await call('get', `${path}/nothing${at.slice(21)}`), 'not-found');
    }
    const reader = await clientOf(service, { rights: ['read'] });
    problemIn(
      await reader('post', path, { body: 'a@example.com', headers: { 'Content-Type': 'text/csv' } }),
      'missing-right',
    );
    const recorder = await clientOf(service, { rights: ['record'] });
    for (const at of ['', `/${id}`, `/${id}/refused`]) {
      problemIn(await recorder('get', path + at), 'missing-right');
      problemIn(await send(service, 'get', path + at), 'unauthorized');
    }
    const elsewhere = await clientOf(service, { ipWhitelist: '203.0.113.0/24' });
    problemIn(await elsewhere('get', path), 'wrong-network');
  });
});
