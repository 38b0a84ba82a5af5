import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { List } from '../../src/core/lists.js';
import { findOptOuts } from '../../src/core/suppressed.js';
import { cpuTimeOf } from '../support/cpu-time.js';
import { exchange } from '../support/raw-http.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { checked, clientOf, problemIn, send, type Client } from './client.js';
import { operations } from '../../src/api/operations.js';

describe('A request to the API', () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  let one: string;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
    call = await clientOf(service);
    path = `/lists/${list.publicId}/opt-outs`;
    one = `${path}/ann@example.com`;
  });
  after(() => service.close());
  const nothingRecorded = async () =>
    assert.deepEqual(await service.deps.db('opt_outs').where({ list_id: list.id }).select('tag'), []);
  afterEach(nothingRecorded);

  describe('shows its key', () => {
    it('as a bearer, whatever the case of that word', async () => {
      for (const scheme of ['bearer', 'BEARER', 'Bearer ']) {
        const answer = await checked(
          send(service, 'get', '/lists').set('Authorization', `${scheme} ${call.key}`),
        );
        assert.equal(answer.status, 200);
      }
    });

    it('or is answered 401, with the challenge that RFC 6750 wants', async () => {
      const basic = `Basic ${Buffer.from(`api:${call.key}`).toString('base64')}`;
      const shown: [string | null, RegExp][] = [
        [null, /^Bearer realm="[^"]+"$/],
        [basic, /^Bearer realm="[^"]+"$/],
        ['Bearer', /^Bearer realm="[^"]+"$/],
        [`Bearer ${call.key}x`, /error="invalid_token"/],
        [`Bearer ${'x'.repeat(5000)}`, /error="invalid_token"/],
      ];
      for (const [header, challenge] of shown) {
        const test = send(service, 'put', one);
        const answer = await checked(header === null ? test : test.set('Authorization', header));
        problemIn(answer, 'unauthorized');
        assert.match(String(answer.headers['www-authenticate']), challenge);
      }
    });

    it('and never in the URL', async () => {
      for (const name of ['key', 'api_key', 'access_token', 'Token']) {
        const { detail } = problemIn(await call('put', `${one}?${name}=${call.key}`), 'key-in-query');
        assert.match(detail, /Authorization: Bearer/);
      }
    });

    it('which no log has, nor any answer', async () => {
      await call('get', `/lists?key=${call.key}`);
      await send(service, 'get', '/lists').set('Authorization', `Bearer ${call.key}`);
      await send(service, 'get', `/nowhere/${call.key}`);
      assert.ok(service.logged.length > 0);
      assert.equal(service.logged.join('').includes(call.key), false);
    });
  });

  const paths: [what: string, path: () => string, name: string, code?: string][] = [
    ['a path that is none', () => '/nowhere', 'not-found'],
    ['a slash in place of an address', () => `${path}/`, 'not-found'],
    ['another case', () => '/Lists', 'not-found'],
    ['a list that there is not', () => '/lists/aaaaaaaaaaaaaaaaaaaa', 'not-found'],
    ['a list id that is none', () => '/lists/%00', 'not-found'],
    ['a path that is not UTF-8', () => `${path}/%FFann@example.com`, 'malformed'],
    ['a broken escape', () => `${path}/%E0%A4%A`, 'malformed'],
    ['an address that is none', () => `${path}/ann.example.com`, 'invalid-request', 'no-at'],
    ['an address with a NUL', () => `${path}/a%00b@example.com`, 'invalid-request', 'control-character'],
    ['a merge tag', () => `${path}/%7B%7Bemail%7D%7D`, 'invalid-request', 'merge-tag'],
    [
      'an address of 10,000 letters',
      () => `${path}/${'a'.repeat(10_000)}@example.com`,
      'invalid-request',
      'too-long',
    ],
    ['a parameter that there is not', () => `${path}?limits=5`, 'invalid-request', 'unknown'],
    ['a parameter called __proto__', () => `${path}?__proto__=5`, 'invalid-request', 'unknown'],
    ['a parameter twice', () => `${path}?limit=5&limit=6`, 'invalid-request', 'repeated'],
    ['a limit of none', () => `${path}?limit=0`, 'invalid-request', 'out-of-range'],
    ['a limit beyond the most', () => `${path}?limit=1001`, 'invalid-request', 'out-of-range'],
    ['a limit in words', () => `${path}?limit=ten`, 'invalid-request', 'out-of-range'],
    ['a limit that is empty', () => `${path}?limit=`, 'invalid-request', 'out-of-range'],
    ['a cursor that is none', () => `${path}?cursor=x`, 'invalid-request', 'malformed'],
    ['a prefix too long', () => `${path}?prefix=${'a'.repeat(255)}`, 'invalid-request', 'too-long'],
    ['a tag with a line break', () => `${path}?tag=a%0Ab`, 'invalid-request', 'control-character'],
  ];
  for (const [what, where, name, code] of paths) {
    it(`is refused for ${what}`, async () => {
      const { errors } = problemIn(await call('get', where()), name);
      assert.deepEqual(
        errors?.map((fault) => fault.code),
        code === undefined ? undefined : [code],
      );
    });
  }

  it('is told of all that does not pass at once, and nothing of it is repeated', async () => {
    const body = { tag: 5, created_at: 'yesterday', whatever: 'secret' };
    const { errors } = problemIn(
      await call('put', `${path}/nobody?x=1&x=2`, { body, headers: { 'Idempotency-Key': 'a' } }),
      'invalid-request',
    );
    assert.deepEqual(
      errors?.map(({ parameter, pointer, code }) => [parameter ?? pointer, code]),
      [
        ['address', 'no-at'],
        ['x', 'repeated'],
        ['x', 'unknown'],
        ['#/tag', 'wrong-type'],
        ['#/created_at', 'no-time'],
        ['#/whatever', 'unknown'],
      ],
    );
    assert.doesNotMatch(JSON.stringify(errors), /secret|yesterday|nobody/);
  });

  const bodies: [what: string, body: string | Buffer, name: string, code?: string][] = [
    ['broken JSON', '{"tag":', 'malformed'],
    ['no JSON at all', 'tag=offers', 'malformed'],
    ['two values', '{} {}', 'malformed'],
    ['a byte order mark in UTF-16', Buffer.from('\uFEFF{}', 'utf16le'), 'malformed'],
    ['what is not UTF-8', Buffer.from('{"reason":"\xFC"}', 'latin1'), 'malformed'],
    ['brackets inside brackets', '['.repeat(4000), 'malformed'],
    ['a text', '"ann"', 'invalid-request', 'wrong-type'],
    ['null', 'null', 'invalid-request', 'wrong-type'],
    ['an array', '[]', 'invalid-request', 'wrong-type'],
    ['a prototype', '{"__proto__":{"tag":"x"}}', 'invalid-request', 'unknown'],
    ['a constructor', '{"constructor":{}}', 'invalid-request', 'unknown'],
    ['a number for a text', '{"tag":1e400}', 'invalid-request', 'wrong-type'],
    ['an array for a text', '{"tag":["a"]}', 'invalid-request', 'wrong-type'],
    ['null for a text', '{"reason":null}', 'invalid-request', 'wrong-type'],
    ['half a surrogate pair', '{"reason":"\\ud800"}', 'invalid-request', 'control-character'],
    ['an empty tag', '{"tag":" "}', 'invalid-request', 'missing'],
    ['a tag of 200 octets', `{"tag":"${'ü'.repeat(100)}"}`, 'invalid-request', 'too-long'],
    ['a day that there is not', '{"created_at":"2026-02-30T00:00:00Z"}', 'invalid-request', 'no-time'],
    ['a time without offset', '{"created_at":"2026-02-20T00:00:00"}', 'invalid-request', 'no-time'],
    ['an end in the past', '{"expires_at":"2020-02-20T00:00:00Z"}', 'invalid-request', 'past'],
  ];
  for (const [what, body, name, code] of bodies) {
    it(`is refused for a body of ${what}`, async () => {
      const answer = await checked(
        send(service, 'put', one, { headers: { 'Content-Type': 'application/json' } })
          .set('Authorization', `Bearer ${call.key}`)
          .serialize((raw: unknown) => raw as string)
          .send(body),
      );
      const { errors } = problemIn(answer, name);
      assert.deepEqual(
        errors?.map((fault) => fault.code),
        code === undefined ? undefined : [code],
      );
    });
  }

  it('takes the last of members that come twice, which is the one that is checked', async () => {
    const body = '{"tag":"x","tag":5}';
    const { errors } = problemIn(await call('put', one, { body }), 'invalid-request');
    assert.deepEqual(
      errors?.map((fault) => fault.code),
      ['wrong-type'],
    );
  });

  it('is refused for another type, charset or encoding of its body', async () => {
    for (const headers of [
      { 'Content-Type': 'text/plain' },
      { 'Content-Type': 'application/x-www-form-urlencoded' },
      { 'Content-Type': 'application/json; charset=iso-8859-1' },
      { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' },
    ]) {
      problemIn(await call('put', one, { body: '{}', headers }), 'unsupported-media-type');
    }
    const head = `PUT /api/v1${one} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${call.key}\r\n`;
    const untyped = await exchange(service.port, `${head}Content-Length: 2\r\n\r\n{}`);
    assert.equal(untyped.status, 415);
  });

  it('is refused for a body that is too large, told or not, that breaks off, or where none belongs', async () => {
    const body = `{"reason":"${'x'.repeat(5000)}"}`;
    problemIn(await call('put', one, { body }), 'too-large');
    const head = (method: string, where: string) =>
      `${method} /api/v1${where} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${call.key}\r\nContent-Type: application/json\r\n`;
    const chunk = `${(5000).toString(16)}\r\n${'x'.repeat(5000)}\r\n`;
    const chunked = await exchange(
      service.port,
      `${head('PUT', one)}Transfer-Encoding: chunked\r\n\r\n${chunk}`,
    );
    assert.equal(chunked.status, 413);
    const broken = await exchange(service.port, `${head('PUT', one)}Content-Length: 20\r\n\r\n{}`, {
      end: true,
    });
    assert.ok([0, 400].includes(broken.status), broken.text);
    for (const [method, where] of [
      ['DELETE', one],
      ['GET', path],
    ] as const) {
      const answer = await exchange(service.port, `${head(method, where)}Content-Length: 2\r\n\r\n{}`);
      assert.equal(answer.status, 400);
      assert.match(answer.body, /"code":"malformed"/);
    }
  });

  it('is refused where it does not take JSON, before anything is done', async () => {
    problemIn(await call('put', one, { headers: { Accept: 'text/html' } }), 'not-acceptable');
    for (const Accept of [
      '*/*',
      'application/*',
      'text/html, application/json;q=0.1',
      'application/problem+json',
    ]) {
      assert.equal((await call('get', path, { headers: { Accept } })).status, 200);
    }
  });

  it('learns from OPTIONS and 405 what a path takes', async () => {
    const options = await checked(send(service, 'options', one));
    assert.deepEqual([options.status, options.headers.allow], [204, 'GET, HEAD, PUT, DELETE, OPTIONS']);
    const wrong = await call('post', one);
    problemIn(wrong, 'method-not-allowed');
    assert.equal(wrong.headers.allow, 'GET, HEAD, PUT, DELETE, OPTIONS');
    problemIn(await call('options', '/nowhere'), 'not-found');
  });

  it('gets the same headers from HEAD as from GET, and no body', async () => {
    const [head, get] = [await call('head', path), await call('get', path)];
    assert.deepEqual([head.status, head.text], [200, undefined]);
    for (const name of ['content-type', 'content-length', 'link', 'cache-control']) {
      assert.equal(head.headers[name], get.headers[name], name);
    }
  });

  it('is told its limit, and 429 beyond it, by the key', async () => {
    const own = await startTestService({ API_REQUESTS_PER_MINUTE: '10' });
    try {
      const mine = await clientOf(own);
      const answers = [];
      for (let i = 0; i < 12; i++) answers.push(await mine('get', '/lists'));
      const [first, last] = [answers[0], answers[11]];
      assert.equal(first?.headers['ratelimit-policy'], '"default";q=10;w=60');
      assert.match(String(first?.headers.ratelimit), /^"default";r=9;t=\d+$/);
      assert.ok(last);
      problemIn(last, 'too-many-requests');
      assert.match(String(last.headers.ratelimit), /^"default";r=0;t=\d+$/);
      assert.match(String(last.headers['retry-after']), /^\d+$/);
      assert.equal((await (await clientOf(own))('get', '/lists')).status, 200);
    } finally {
      await own.close();
    }
  });

  it('is never answered 500, whatever its body, query and path', async () => {
    const routes = operations.map(({ method, path: template }) => ({
      method,
      template: template.replace('{list}', list.publicId),
    }));
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 50 }),
      fc.constantFrom('*', '', '__proto__'),
    );
    const json = fc.oneof(
      fc.json(),
      fc.jsonValue().map((value) => JSON.stringify({ opt_outs: value })),
      fc
        .record(
          { tag: fc.jsonValue(), created_at: fc.jsonValue(), expires_at: fc.jsonValue() },
          { requiredKeys: [] },
        )
        .map((value) => JSON.stringify({ opt_outs: [{ address: 'x', ...value }] })),
      text,
    );
    const property = fc.asyncProperty(
      fc.constantFrom(...routes),
      text,
      fc.dictionary(fc.oneof(text, fc.constantFrom('limit', 'cursor', 'prefix', 'tag')), text, {
        maxKeys: 3,
      }),
      json,
      async ({ method, template }, name, query, body) => {
        // Never an address that could be taken.
        const part = encodeURIComponent(Buffer.from(name.replaceAll('@', '')).toString());
        const search = new URLSearchParams(query).toString();
        const where = `${template.replace(/\{\w+\}/g, part || 'x')}?${search}`;
        const options = method === 'get' || method === 'delete' ? {} : { body: body || 'x' };
        const { status, text: answered } = await call(method, where, options);
        assert.ok(status < 500, `${method} ${where} ${body}: ${answered}`);
      },
    );
    await fc.assert(property, { numRuns: 400 });
  });

  it('is refused for 900,000 brackets at once', async () => {
    const cpuMs = await cpuTimeOf(async () => {
      const { detail } = problemIn(await call('post', path, { body: '['.repeat(900_000) }), 'malformed');
      assert.match(detail, /nested/);
    });
    assert.ok(cpuMs < 5000, `${cpuMs} ms`);
  });

  it('is told by a number alone what nobody has thought of, and nothing is done', async () => {
    const { db } = service.deps;
    await db.schema.renameTable('idempotency_keys', 'elsewhere');
    try {
      const headers = { 'Idempotency-Key': 'x' };
      const { error_id, detail } = problemIn(await call('put', one, { headers }), 'internal');
      assert.match(String(error_id), /^[0-9a-f]{12}$/);
      assert.doesNotMatch(detail, /table|sql/i);
      assert.deepEqual(await findOptOuts(db, list.id, 'ann@example.com'), []);
    } finally {
      await db.schema.renameTable('elsewhere', 'idempotency_keys');
    }
  });

  it('is told by 503 what cannot be done now, and its key is free for the next time', async () => {
    const own = await startTestService();
    try {
      const mine = await clientOf(own);
      const theirs = await makeList(own);
      await own.deps.recorder.drain();
      const at = `/lists/${theirs.publicId}/opt-outs/ann@example.com`;
      for (let time = 0; time < 2; time++) {
        const answer = await mine('put', at, { headers: { 'Idempotency-Key': 'x' } });
        problemIn(answer, 'unavailable');
        assert.match(String(answer.headers['retry-after']), /^\d+$/);
      }
    } finally {
      await own.close();
    }
  });
});
