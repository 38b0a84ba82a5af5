import assert from 'node:assert/strict';
import fc from 'fast-check';
import request from 'supertest';
import { isSuppressed } from '../src/core/suppressed.js';
import { download, listOf } from './support/downloads.js';
import { exchange } from './support/raw-http.js';
import { makeList, startTestService, untilNumbered, type TestService } from './support/service.js';

describe('Signoff, end to end', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('takes an opt-out from a server and hands it out: whole, unchanged, as a delta and since a day', async () => {
    const ours = await listOf(service);
    const notify = request(service.url).post(`/l/${ours.list.publicId}/notify`);
    assert.equal((await notify.type('form').send({ email: 'Ann@Example.com' })).status, 200);
    await untilNumbered(service, ours.list);
    const get = (query = {}) => download(service, ours, { format: 'plain', ...query });
    const whole = await get();
    assert.equal(whole.text, 'ann@example.com\n');
    assert.equal((await get().set('If-None-Match', String(whole.get('ETag')))).status, 304);
    const start = String(whole.get('Signoff-Cursor')).replace(/\d+$/, '0');
    assert.equal((await get({ cursor: start })).text, '+ann@example.com\n');
    assert.equal((await get({ since: '2020-01-01' })).text, 'ann@example.com\n');
  });

  it('finds a list by its id in any case, with or without a slash behind it', async () => {
    const list = await makeList(service);
    const id = list.publicId;
    for (const path of [
      `/l/${id}`,
      `/l/${id.toUpperCase()}`,
      `/L/${id}/`,
      `/l/${id}/notify/`,
      `/l/${id}/Notify`,
    ]) {
      const answer = await request(service.url).get(path).query({ email: 'ann@example.com' });
      assert.equal(answer.status, 200, path);
    }
    assert.equal(await isSuppressed(service.deps.db, list.id, 'ann@example.com'), true);
    for (const path of [
      `/l/${id}x`,
      `/l/${id.slice(1)}`,
      `/l/%20${id}`,
      `/l/${id}%00`,
      `//l/${id}`,
      `/l//${id}`,
    ]) {
      assert.equal((await request(service.url).get(path)).status, 404, path);
    }
  });

  it('answers every door by HTTP/1.0 as well', async () => {
    const { list, key } = await listOf(service, ['ann@example.com']);
    const at = `/l/${list.publicId}`;
    const form = 'email=bob@example.com';
    const head = `POST ${at}/opt-out HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n`;
    const asked = {
      [`GET ${at} HTTP/1.0\r\n\r\n`]: /<form/,
      [`${head}Content-Length: ${form.length}\r\n\r\n${form}`]: /bob@example\.com/,
      [`GET ${at}/pixel.gif?email=ann@example.com HTTP/1.0\r\n\r\n`]: /^GIF89a/,
      [`GET ${at}/notify?email=ann@example.com HTTP/1.0\r\n\r\n`]: /"taken":1/,
      [`GET ${at}/download?key=${key}&format=plain HTTP/1.0\r\n\r\n`]: /^(?:(?:ann|bob)@example\.com\n){2}$/,
    };
    for (const [octets, body] of Object.entries(asked)) {
      const answer = await exchange(service.port, octets);
      assert.equal(answer.status, 200, octets);
      assert.equal(answer.error, null);
      assert.match(answer.body, body);
      assert.doesNotMatch(answer.text, /transfer-encoding/i);
    }
  });

  it('survives whatever anyone sends, and fails at nothing', async () => {
    const { list, key } = await listOf(service, ['ann@example.com']);
    const at = `/l/${list.publicId}`;
    const paths = fc.constantFrom(
      at,
      `${at}/opt-out`,
      `${at}/undo`,
      `${at}/reason`,
      `${at}/pixel.gif`,
      `${at}/notify`,
      `${at}/download`,
      '/l/x',
      '/o/x',
      '/',
    );
    const methods = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'OPTIONS', 'DELETE');
    const names = fc.constantFrom(
      'email',
      'item',
      'tag',
      'mailer',
      'lang',
      'key',
      'format',
      'since',
      'cursor',
      'as',
      'email[]',
    );
    const odd = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.constantFrom('ann@example.com', key, '{{email}}', '2026-01-31', 'plain', '*', '%', '__proto__'),
    );
    const query = fc
      .array(fc.tuple(names, odd), { maxLength: 5 })
      .map((pairs) => new URLSearchParams(pairs).toString());
    const types = fc.constantFrom(
      ...[
        'application/x-www-form-urlencoded',
        'multipart/form-data; boundary=b',
        'application/json',
        'text/plain',
        'x',
      ],
    );
    const json = fc.json({ maxDepth: 3 });
    const part = fc
      .string({ unit: 'binary-ascii', maxLength: 60 })
      .map(
        (text) => `--b\r\nContent-Disposition: form-data; name="email"${text}\r\n\r\n${text}\r\n--b--\r\n`,
      );
    const bodies = fc.oneof(query, json, part, fc.string({ unit: 'binary', maxLength: 200 }));
    const headers = fc.constantFrom(
      ...[
        '',
        'Accept: text/html\r\nAccept-Language: ja\r\n',
        'Accept: image/*\r\n',
        'Sec-Purpose: prefetch\r\n',
      ],
      ...[
        'Authorization: Bearer x\r\n',
        'If-None-Match: *\r\n',
        'Accept-Encoding: gzip\r\n',
        'Cookie: a=b\r\n',
      ],
    );
    await fc.assert(
      fc.asyncProperty(
        methods,
        paths,
        query,
        headers,
        types,
        bodies,
        async (method, path, search, header, type, body) => {
          const octets = Buffer.from(body);
          const head = `${method} ${path}?${search} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${header}`;
          const sent = `${head}Content-Type: ${type}\r\nContent-Length: ${octets.length}\r\n\r\n`;
          const answer = await exchange(service.port, Buffer.concat([Buffer.from(sent), octets]));
          assert.ok(answer.status >= 200 && answer.status < 500, `${answer.status} ${sent}`);
          assert.doesNotMatch(answer.text, /set-cookie/i);
        },
      ),
      { numRuns: 200 },
    );
    assert.equal((await request(service.url).get('/healthz')).status, 200);
    assert.doesNotMatch(service.logged.join(''), /unexpected error/);
  });
});
