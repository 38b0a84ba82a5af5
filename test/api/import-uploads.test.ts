import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { startTestService, until, type TestService } from '../support/service.js';
import { checked, problemIn } from './client.js';
import { startImporting, type Import } from './importing.js';

describe("An upload to the API's imports", () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('make one import of the same file under the same key, and none of another file', async () => {
    const { isOut, listed, over, upload } = await startImporting(service);
    const key = { 'Idempotency-Key': '"of-today"' };
    const first = await upload('ann@example.com\n', '', 'text/plain', key);
    const again = await upload('ann@example.com\n', '', 'text/plain', key);
    assert.deepEqual(
      [again.status, again.body, again.headers.location],
      [202, first.body, first.headers.location],
    );
    assert.equal(again.headers['idempotent-replayed'], 'true');
    const bare = await upload('ann@example.com\n', '', 'text/plain', { 'Idempotency-Key': 'of-today' });
    assert.notEqual(bare.headers['idempotent-replayed'], undefined, 'quotes are not part of the key');
    problemIn(await upload('bob@example.com\n', '', 'text/plain', key), 'key-reused');
    problemIn(await upload('ann@example.com\n', '?tag=offers', 'text/plain', key), 'key-reused');
    await over(first);
    assert.equal((await listed()).length, 1);
    assert.equal(await isOut('bob@example.com'), false);
    const other = await upload('bob@example.com\n', '', 'text/plain', { 'Idempotency-Key': 'of-tomorrow' });
    await over(other);
    assert.equal((await listed()).length, 2);
    problemIn(
      await upload('a@example.com\n', '', 'text/plain', { 'Idempotency-Key': 'no"key' }),
      'invalid-request',
    );
  });

  it('make one import of the same upload that comes several times at once', async () => {
    const { listed, upload } = await startImporting(service);
    const headers = { 'Idempotency-Key': 'at-once' };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => upload('ann@example.com\n', '', 'text/plain', headers)),
    );
    const taken = answers.filter(({ status }) => status === 202);
    assert.ok(taken.length > 0);
    for (const answer of answers.filter(({ status }) => status !== 202)) problemIn(answer, 'under-way');
    assert.equal(new Set(taken.map(({ body }) => (body as Import).id)).size, 1);
    assert.equal((await listed()).length, 1);
  });

  it('leave nothing of an upload that broke off', async () => {
    const { call, isOut, listed, path } = await startImporting(service);
    const { port } = new URL(service.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(
      `POST /api/v1${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${call.key}\r\n` +
        'Content-Type: text/plain\r\nContent-Length: 100000\r\n\r\nann@example.com\n',
    );
    await until('it has begun', async () => (await listed()).length === 1);
    socket.destroy();
    await until('it is gone', async () => (await listed()).length === 0);
    assert.equal(await isOut('ann@example.com'), false);
  });

  it('refuse what cannot be a file, and parameters that do not pass', async () => {
    const { listed, post, upload } = await startImporting(service);
    const csv = 'ann@example.com\n';
    problemIn(await upload('{}', '', 'application/json'), 'unsupported-media-type');
    problemIn(await upload(csv, '', 'text/csv; charset=latin1'), 'unsupported-media-type');
    problemIn(await upload(csv, '', 'text/csv', { 'Content-Encoding': 'gzip' }), 'unsupported-media-type');
    problemIn(await upload('', '', 'text/csv'), 'malformed');
    problemIn(await checked(post().field('tag', 'offers')), 'malformed');
    problemIn(await upload('--x\r\nbroken', '', 'multipart/form-data; boundary=x'), 'malformed');
    problemIn(await upload('broken', '', 'multipart/form-data'), 'malformed');
    const misplaced = await checked(post().field('tag', 'offers').attach('file', Buffer.from(csv), 'a.csv'));
    assert.deepEqual(
      problemIn(misplaced, 'invalid-request').errors?.map(({ parameter, code }) => [parameter, code]),
      [['tag', 'misplaced']],
    );
    const large = await checked(
      post()
        .set('Content-Type', 'text/csv')
        .set('Content-Length', String(101 * 1024 * 1024))
        .send(csv),
    );
    assert.match(problemIn(large, 'too-large').detail, /104857600 octets/);
    for (const [query, parameter, code] of [
      ['tag=nothing', 'tag', 'unknown-tag'],
      ['format=xlsx', 'format', 'not-one-of'],
      ['add_tags=true', 'add_tags', 'not-one-of'],
      ['kind=md5', 'kind', 'unknown'],
      ['column=', 'column', 'too-short'],
    ]) {
      const { errors } = problemIn(await upload(csv, `?${query}`), 'invalid-request');
      assert.deepEqual(
        errors?.map((one) => [one.parameter, one.code]),
        [[parameter, code]],
      );
    }
    assert.deepEqual(await listed(), []);
  });
});
