import assert from 'node:assert/strict';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { exchange } from '../support/raw-http.js';
import { addressesOf, onlyRowOf, problemIn, rowsOf } from '../support/records.js';
import { makeList, startTestService, type TestService } from '../support/service.js';

/** RFC 8058 to the letter. */
describe('One-click', () => {
  let service: TestService;
  let list: List;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service, { redirectTemplate: 'https://acme.example/', directLink: 'instant' });
    path = `/l/${list.publicId}?email=ann@example.com`;
  });

  const post = () => request(service.url).post(path);
  const urlencoded = (body: string) => post().type('application/x-www-form-urlencoded').send(body);
  const isEmpty = async () => assert.deepEqual(await addressesOf(service, list), []);

  it('is answered 200, without a redirect, a cookie or a page', async () => {
    const answer = await urlencoded('List-Unsubscribe=One-Click');
    assert.equal(answer.status, 200);
    assert.equal(answer.get('Location'), undefined);
    assert.equal(answer.get('Set-Cookie'), undefined);
    assert.equal(answer.type, 'text/plain');
    assert.equal(answer.get('Cache-Control'), 'no-store, no-transform');
    assert.equal((await onlyRowOf(service, list)).source, 'one-click');
  });

  it('may carry further fields, urlencoded and multipart, in any order', async () => {
    await urlencoded('a=b&List-Unsubscribe=One-Click&email=bob@example.com&tag=x');
    await post()
      .field('email', 'bob@example.com')
      .field('List-Unsubscribe', 'One-Click')
      .attach('file', Buffer.from('x'.repeat(1000)), 'x.txt');
    assert.equal(
      (await onlyRowOf(service, list)).address?.toString(),
      'ann@example.com',
      'the URL alone says who',
    );
    assert.equal((await onlyRowOf(service, list)).repeats, 1);
  });

  it('comes by HTTP/1.0, without a Host, and in chunks', async () => {
    const body = 'List-Unsubscribe=One-Click';
    const type = 'Content-Type: application/x-www-form-urlencoded\r\n';
    const old = await exchange(
      service.port,
      `POST ${path} HTTP/1.0\r\n${type}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    assert.match(old.text, /^HTTP\/1\.1 200 OK\r\n/);
    assert.doesNotMatch(old.text, /transfer-encoding|set-cookie|location/i);
    const chunked = await exchange(
      service.port,
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${type}Transfer-Encoding: chunked\r\n\r\n` +
        `10\r\n${body.slice(0, 16)}\r\n${(body.length - 16).toString(16)}\r\n${body.slice(16)}\r\n0\r\n\r\n`,
    );
    assert.equal(chunked.status, 200);
    assert.equal((await onlyRowOf(service, list)).repeats, 1);
  });

  it('comes many at a time on one connection, each answered', async () => {
    const body = 'List-Unsubscribe=One-Click';
    const head = (name: string, more = '') =>
      `POST /l/${list.publicId}?email=${name}@example.com HTTP/1.1\r\nHost: x\r\n${more}` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const answer = await exchange(
      service.port,
      head('ann') + head('bob') + head('cat', 'Connection: close\r\n'),
    );
    assert.equal(answer.text.match(/HTTP\/1\.1 200 OK/g)?.length, 3);
    assert.deepEqual(await addressesOf(service, list), [
      'ann@example.com',
      'bob@example.com',
      'cat@example.com',
    ]);
  });

  it('is once, however often and however much at a time it comes', async () => {
    await Promise.all(Array.from({ length: 20 }, () => urlencoded('List-Unsubscribe=One-Click')));
    assert.equal((await onlyRowOf(service, list)).repeats, 19);
  });

  it('is nothing without the words of the standard', async () => {
    const others = [
      '',
      'List-Unsubscribe=',
      'List-Unsubscribe=Two-Click',
      'list-unsubscribe=One-Click',
      'One-Click',
    ];
    for (const body of others) {
      const answer = await urlencoded(body);
      assert.equal(answer.status, 400, body);
      assert.equal(problemIn(answer).code, 'not-one-click');
    }
    assert.equal((await post().field('List-Unsubscribe', 'No')).status, 400);
    await isEmpty();
  });

  it('is nothing as JSON, as text, compressed, or in another charset', async () => {
    const body = 'List-Unsubscribe=One-Click';
    for (const type of ['application/json', 'text/plain', 'multipart/mixed; boundary=x', '']) {
      const asked = type === '' ? post().unset('Content-Type') : post().set('Content-Type', type);
      const answer = await asked.send(Buffer.from(body));
      assert.equal(answer.status, 415, type);
    }
    assert.equal((await urlencoded(body).set('Content-Encoding', 'gzip')).status, 415);
    assert.equal(
      (await post().set('Content-Type', 'application/x-www-form-urlencoded; charset=utf-16').send(body))
        .status,
      415,
    );
    await isEmpty();
  });

  it('is nothing as a multipart form that is broken or breaks off', async () => {
    const part = 'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click';
    const bodies = {
      'multipart/form-data; boundary=b': `--b\r\n${part}\r\n`,
      'multipart/form-data; boundary=c': `--b\r\n${part}\r\n--b--\r\n`,
      'multipart/form-data': `--b\r\n${part}\r\n--b--\r\n`,
      'multipart/form-data;boundary=b': `--b\r\n${part}`,
      'multipart/form-data; boundary="b"': `--b\r\n${part.replace('\r\n\r\n', '; filename="x"\r\n\r\n')}`,
      'Multipart/Form-Data; boundary=b': `--b\r\n${part.replace('\r\n\r\n', '\r\n')}\r\n--b--\r\n`,
    };
    for (const [type, body] of Object.entries(bodies)) {
      const answer = await post().set('Content-Type', type).send(Buffer.from(body));
      assert.equal(answer.status, 400, type);
    }
    await isEmpty();
  });

  it('is nothing beyond 16 KB, or with more fields than any form has', async () => {
    const large = await urlencoded(`List-Unsubscribe=One-Click&x=${'x'.repeat(17 * 1024)}`);
    assert.deepEqual([large.status, problemIn(large).code], [413, 'too-large']);
    const many = await urlencoded(`List-Unsubscribe=One-Click${'&a=b'.repeat(60)}`);
    assert.deepEqual([many.status, problemIn(many).code], [400, 'too-many-fields']);
    const parts = post().field('List-Unsubscribe', 'One-Click');
    for (let i = 0; i < 60; i++) void parts.field(`a${i}`, 'b');
    assert.equal((await parts).status, 400);
    await isEmpty();
  });

  it('of many people at once is recorded for each of them', async () => {
    const emails = Array.from({ length: 100 }, (_, i) => `ann${i}@example.com`);
    const answers = await Promise.all(
      emails.map((email) =>
        request(service.url)
          .post(`/l/${list.publicId}`)
          .query({ email })
          .type('form')
          .send('List-Unsubscribe=One-Click'),
      ),
    );
    assert.ok(answers.every((answer) => answer.status === 200));
    assert.equal((await rowsOf(service, list)).length, emails.length);
  });
});
