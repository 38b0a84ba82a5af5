import assert from 'node:assert/strict';
import request, { type Response } from 'supertest';
import type { List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { exchange } from '../support/raw-http.js';
import { addressesOf, problemIn, rowsOf } from '../support/records.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';

interface Taken {
  status: string;
  taken: number;
  refused: { position: number; email: string | null; problem: string; detail: string }[];
}

describe("The body of a server's notification", () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
  });

  const post = () => request(service.url).post(`/l/${list.publicId}/notify`);
  const json = (body: unknown) => post().type('json').send(JSON.stringify(body));
  const text = (body: string) => post().type('text/plain').send(body);
  const urlencoded = (body: string) => post().type('application/x-www-form-urlencoded').send(body);
  const isEmpty = async () => assert.deepEqual(await addressesOf(service, list), []);

  function refusedOf(answer: Response): [number, string | null, string][] {
    assert.equal(answer.status, 200, answer.text);
    return (answer.body as Taken).refused.map(({ position, email, problem, detail }) => {
      assert.match(detail, /^\S.+/);
      return [position, email, problem];
    });
  }

  it('is an array of addresses, of objects, or of both, in JSON', async () => {
    await addTags(service.deps.db, list.id, ['offers']);
    const { mailer } = await makeMailer(service, list);
    const answer = await json([
      'ann@example.com',
      { email: 'bob@example.com', tag: 'offers', mailer: mailer.id },
      { item: 'cat@example.com', tag: 'unknown', mailer: String(mailer.id) },
    ]);
    assert.deepEqual(answer.body, { status: 'opted-out', taken: 3, refused: [] });
    const rows = (await rowsOf(service, list)).map((row) => [
      String(row.address),
      String(row.tag),
      row.mailer_id,
    ]);
    assert.deepEqual(rows, [
      ['ann@example.com', '*', null],
      ['bob@example.com', 'offers', mailer.id],
      ['cat@example.com', '*', mailer.id],
    ]);
  });

  it('is one address or one object in JSON as well, with or without a byte order mark', async () => {
    assert.equal((await json('ann@example.com')).status, 200);
    assert.equal((await json({ email: 'bob@example.com' })).status, 200);
    assert.equal((await post().type('json').send('\uFEFF["cat@example.com"]')).status, 200);
    assert.equal((await addressesOf(service, list)).length, 3);
  });

  it('is lines of text, whichever way they end', async () => {
    const answer = await text('ann@example.com\r\n\n  bob@example.com  \rcat@example.com');
    assert.equal((answer.body as Taken).taken, 3);
    assert.deepEqual(await addressesOf(service, list), [
      'ann@example.com',
      'bob@example.com',
      'cat@example.com',
    ]);
  });

  it('is a form, with any number of addresses, a tag and a mailer', async () => {
    await addTags(service.deps.db, list.id, ['offers']);
    const { mailer } = await makeMailer(service, list);
    const answer = await urlencoded(
      `email=ann%40example.com&item=cat@example.com&tag=offers&email=bob%2Bx@example.com&mailer=${mailer.id}`,
    );
    assert.equal((answer.body as Taken).taken, 3);
    const rows = await rowsOf(service, list);
    assert.deepEqual(
      rows.map((row) => String(row.address)),
      ['ann@example.com', 'bob+x@example.com', 'cat@example.com'],
    );
    assert.ok(rows.every((row) => String(row.tag) === 'offers' && row.mailer_id === mailer.id));
  });

  it('takes its tag and its mailer from the query, where it names none', async () => {
    await addTags(service.deps.db, list.id, ['offers', 'news']);
    await json([{ email: 'ann@example.com' }, { email: 'bob@example.com', tag: 'news' }]).query({
      tag: 'offers',
    });
    assert.deepEqual(
      (await rowsOf(service, list)).map((row) => String(row.tag)),
      ['offers', 'news'],
    );
  });

  it('is taken in part where parts are bad, and each of these is named with its place and why', async () => {
    const inJson = await json([
      ...['ann@example.com', 'bob', null, 7, true, {}, { email: ['cat@example.com'] }, ['cat@example.com']],
      ...['{{email}}', '', { email: 'bob@example.com', tag: 5, mailer: {} }, 'a\u200bnn@example.com'],
    ]);
    assert.equal((inJson.body as Taken).taken, 2);
    assert.deepEqual(refusedOf(inJson), [
      [2, 'bob', 'no-at'],
      [3, null, 'missing'],
      [4, null, 'not-text'],
      [5, null, 'not-text'],
      [6, null, 'missing'],
      [7, null, 'not-text'],
      [8, null, 'not-text'],
      [9, null, 'missing'],
      [10, '', 'missing'],
      [12, 'a\u200bnn@example.com', 'invisible-character'],
    ]);
    const inText = await text('\n\nann@example.com\nbob\n\n%%email%%\ncat@example.com\n');
    assert.deepEqual(refusedOf(inText), [
      [4, 'bob', 'no-at'],
      [6, null, 'missing'],
    ]);
    const inForm = await urlencoded('email=bob&email=ann@example.com&email=x%00@example.com');
    assert.deepEqual(refusedOf(inForm), [
      [1, 'bob', 'no-at'],
      [3, 'x\0@example.com', 'control-character'],
    ]);
    assert.deepEqual(await addressesOf(service, list), [
      'ann@example.com',
      'bob@example.com',
      'cat@example.com',
    ]);
  });

  it('is refused as a whole where nothing in it is an address', async () => {
    const bad = [
      json([]),
      json([null, 'bob']),
      json({}),
      json(null),
      json(12),
      json({ Email: 'ann@example.com' }),
    ];
    for (const asked of [
      ...bad,
      text(''),
      text('\n \n'),
      text('bob\nann'),
      urlencoded(''),
      urlencoded('a=b'),
    ]) {
      const answer = await asked;
      assert.equal(answer.status, 400);
      const problem = problemIn(answer);
      assert.equal(problem.field, 'email');
      assert.ok(problem.detail);
    }
    await isEmpty();
  });

  it('holds 1,000 addresses, and is refused as a whole with one more', async () => {
    const emails = Array.from({ length: 1001 }, (_, i) => `ann${i}@example.com`);
    const bodies = {
      json: JSON.stringify(emails),
      'text/plain': emails.join('\n'),
      'application/x-www-form-urlencoded': emails.map((email) => `email=${email}`).join('&'),
    };
    for (const [type, body] of Object.entries(bodies)) {
      const answer = await post().type(type).send(body);
      assert.equal(answer.status, 400, type);
      const { code, detail } = problemIn(answer);
      assert.equal(code, 'too-many');
      assert.match(String(detail), /1001 addresses; at most 1000/);
      await isEmpty();
    }
    const whole = await json(emails.slice(1));
    assert.equal((whole.body as Taken).taken, 1000);
    assert.equal((await rowsOf(service, list)).length, 1000);
  });

  it('may name an address twice, which is one opt-out', async () => {
    const answer = await json(['ann@example.com', 'ANN@example.com', 'bob@example.com', ' ann@example.com']);
    assert.equal((answer.body as Taken).taken, 4);
    assert.deepEqual(await addressesOf(service, list), ['ann@example.com', 'bob@example.com']);
  });

  it('is refused where it is no JSON, however it breaks', async () => {
    const broken = [
      '',
      '{',
      '["ann@example.com"',
      '["ann@example.com"],',
      'ann@example.com',
      "['ann@example.com']",
    ];
    for (const body of [...broken, `${'['.repeat(50_000)}`, '\0', '{"email":"ann@example.com"']) {
      const answer = await post().type('json').send(body);
      assert.equal(answer.status, 400, body.slice(0, 20));
      assert.deepEqual([problemIn(answer).field, problemIn(answer).code], ['body', 'malformed']);
    }
    await isEmpty();
  });

  it('changes nothing but the list, whatever names its objects have', async () => {
    const answer = await post()
      .type('json')
      .send(
        '[{"__proto__":{"email":"bob@example.com"},"constructor":{"prototype":{"tag":"x"}}},"ann@example.com"]',
      );
    assert.equal((answer.body as Taken).taken, 1);
    assert.equal(({} as { tag?: string }).tag, undefined);
    assert.deepEqual(await addressesOf(service, list), ['ann@example.com']);
  });

  it('is refused with 415 for a type, an encoding or a charset that is not taken', async () => {
    const types = ['application/xml', 'multipart/form-data; boundary=x', 'application/octet-stream', 'json'];
    for (const type of types)
      assert.equal((await post().set('Content-Type', type).send('x')).status, 415, type);
    for (const type of ['text/plain; charset=iso-8859-1', 'application/json; charset="UTF-16"']) {
      const answer = await post().set('Content-Type', type).send('["ann@example.com"]');
      assert.deepEqual([answer.status, problemIn(answer).code], [415, 'charset']);
    }
    for (const encoding of ['gzip', 'br', 'deflate', 'identity, gzip']) {
      const answer = await text('ann@example.com').set('Content-Encoding', encoding);
      assert.deepEqual([answer.status, problemIn(answer).code], [415, 'content-encoding']);
    }
    await isEmpty();
    const fine = await text('ann@example.com').set('Content-Type', 'Text/Plain; Charset="utf-8"');
    assert.equal(fine.status, 200);
  });

  it('is refused where it breaks off', async () => {
    const head = `POST /l/${list.publicId}/notify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
    const cut = `${head}Content-Length: 500\r\n\r\n["ann@example.com"]`;
    const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n13\r\n["ann@example.com"]\r\n`;
    for (const octets of [cut, chunked]) {
      const answer = await exchange(service.port, octets, { end: true });
      assert.ok([0, 400].includes(answer.status), answer.text);
    }
    await isEmpty();
  });
});
