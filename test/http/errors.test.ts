import assert from 'node:assert/strict';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { textOf } from '../support/html.js';
import { exchange } from '../support/raw-http.js';
import { problemIn } from '../support/records.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';

describe('What goes wrong', () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
  });
  after(() => service.close());

  const path = (more = '') => `/l/${list.publicId}${more}`;

  describe('inside', () => {
    before(async () => {
      await request(service.url).get(path());
      // A fault that nobody has thought of: the statement itself fails.
      await service.deps.db.schema.renameTable('opt_outs', 'opt_outs_elsewhere');
    });
    after(() => service.deps.db.schema.renameTable('opt_outs_elsewhere', 'opt_outs'));

    it('is told to a program by a number alone, under which the log has it', async () => {
      const answer = await request(service.url).get(path('/notify?email=ann@example.com'));
      assert.equal(answer.status, 500);
      const problem = problemIn(answer);
      assert.equal(problem.code, 'internal');
      assert.match(String(problem.error_id), /^[0-9a-f]{12}$/);
      assert.doesNotMatch(answer.text, /opt_outs|sql|table|at \w+/i);
      const logged = service.logged.filter((line) => line.includes(String(problem.error_id)));
      assert.equal(logged.length, 1);
      assert.match(logged[0] ?? '', /opt_outs/, 'whoever runs it can see what it was');
      assert.doesNotMatch(logged[0] ?? '', /ann@|616e6e/);
    });

    it('is told to a person in their words, with the number', async () => {
      const answer = await request(service.url)
        .post(path('/opt-out'))
        .set({ ...browser, 'Accept-Language': 'ja' })
        .type('form')
        .send({ email: 'ann@example.com' });
      assert.equal(answer.status, 500);
      assert.ok(answer.text.includes(textOf('ja', 'problem.internal.title')));
      const [, errorId = ''] = /<bdi>([0-9a-f]{12})<\/bdi>/.exec(answer.text) ?? [];
      assert.equal(service.logged.filter((line) => line.includes(errorId)).length, 1);
      assert.doesNotMatch(answer.text, /opt_outs|sql/i);
      assert.match(String(answer.get('Content-Security-Policy')), /style-src 'self'/);
    });
  });

  it('is a page for a person, at an address that is none of ours or malformed', async () => {
    for (const nowhere of [
      '/nowhere',
      '/l',
      '/l/',
      '/',
      path('/nowhere'),
      '/l/x/y/z',
      '/.env',
      '/signoff.css/x',
    ]) {
      for (const method of ['get', 'post', 'delete'] as const) {
        const answer = await request(service.url)[method](nowhere).set(browser);
        assert.equal(answer.status, 404, nowhere);
        assert.equal(answer.type, 'text/html');
        assert.ok(answer.text.includes(textOf('en', 'problem.not-found.title')));
      }
    }
    for (const malformed of ['/l/%', '/l/%E0%A4%A', `/l/%ff/opt-out`, '/l/%c0%80/notify', '/l/%/download']) {
      const answer = await exchange(
        service.port,
        `GET ${malformed} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      assert.equal(answer.status, 400, malformed);
      assert.ok(answer.body.includes(textOf('en', 'problem.bad-request.title')));
      assert.doesNotMatch(answer.text, /URIError|at \w+ \(/);
    }
  });

  it('is a page at a list that does not exist, for whoever opens its link', async () => {
    const answer = await request(service.url)
      .get('/l/abcdefghjkmnpqrstuvw?email=ann@example.com')
      .set(browser);
    assert.equal(answer.status, 404);
    assert.equal(answer.type, 'text/html');
    assert.ok(answer.text.includes(textOf('en', 'problem.not-found.help')));
    assert.doesNotMatch(answer.text, /ann@/);
  });

  it('is nothing to HEAD but its status and its length', async () => {
    const head = await request(service.url).head('/nowhere');
    const get = await request(service.url).get('/nowhere');
    assert.deepEqual([head.status, head.text], [404, undefined]);
    assert.equal(head.get('Content-Length'), get.get('Content-Length'));
  });

  it('is told before a body that is too large has come whole, and ends the connection', async () => {
    const head = `POST ${path('/notify')} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n`;
    const declared = await exchange(service.port, `${head}Content-Length: 99999999\r\n\r\nann@example.com\n`);
    assert.equal(declared.status, 413);
    assert.match(declared.text, /\r\nConnection: close\r\n/i);
    const chunk = `10000\r\n${'a'.repeat(0x10000)}\r\n`;
    const chunked = await exchange(
      service.port,
      `${head}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(17)}`,
    );
    assert.equal(chunked.status, 413);
    assert.equal(
      problemIn({ status: 413, type: 'application/problem+json', body: JSON.parse(chunked.body) }).code,
      'too-large',
    );
  });

  it('is told to an ordinary client that sends too much', async () => {
    const large = `${'ann@example.com\n'.repeat(100_000)}`;
    const answer = await request(service.url).post(path('/notify')).type('text/plain').send(large);
    assert.deepEqual([answer.status, problemIn(answer).code], [413, 'too-large']);
    const form = await request(service.url)
      .post(path('/opt-out'))
      .type('form')
      .send({ email: 'a'.repeat(100_000) });
    assert.equal(form.status, 413);
  });

  it('leaves no part of a refused body to be read as a request of its own', async () => {
    const inner = `GET ${path('/notify?email=bob@example.com')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
    for (const type of ['application/xml', 'application/json']) {
      const answer = await exchange(
        service.port,
        `POST ${path('/notify')} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${inner.length}\r\n\r\n` +
          `${inner}GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      assert.doesNotMatch(answer.text, /opted-out/);
    }
    const rows = await service.deps.db('opt_outs').where({ list_id: list.id });
    assert.deepEqual(rows, []);
  });

  it('is refused before it gets here, where it is no HTTP or more of it than anyone needs', async () => {
    const length = 'Content-Length: 5\r\n';
    const chunked = 'Transfer-Encoding: chunked\r\n';
    const broken: [string, number][] = [
      ['NONSENSE\r\n\r\n', 400],
      [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
      [`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
      [`POST ${path()} HTTP/1.1\r\nHost: x\r\n${length}${chunked}\r\n0\r\n\r\n`, 400],
      [`POST ${path()} HTTP/1.1\r\nHost: x\r\n${length}Content-Length: 6\r\n\r\nabcdef`, 400],
      [`GET ${path()} HTTP/1.1\r\n\r\n`, 400],
      [`GET ${path()} HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n`, 400],
    ];
    for (const [octets, status] of broken) {
      const answer = await exchange(service.port, octets);
      assert.equal(answer.status, status, octets.slice(0, 60));
    }
    assert.equal((await request(service.url).get('/healthz')).status, 200);
  });
});
