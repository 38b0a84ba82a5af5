import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { HttpError } from '../../src/http/http-error.js';
import { mediaTypeOf, queryOf, readBody, readForm } from '../../src/http/request.js';
import { keyOf } from '../../src/http/key.js';
import { answerOn, exchange } from '../support/raw-http.js';

interface Read {
  form?: [string, string][];
  error?: string;
}

/** Text as forms carry it: no half surrogate pairs, which UTF-8 does not have. */
const text = fc.string({ unit: 'grapheme', maxLength: 40 });

describe('A form in a request', () => {
  let server: Server;
  let port: number;
  before(async () => {
    server = createServer((req, res) => {
      readForm(req).then(
        (form) => res.end(JSON.stringify({ form: [...form] })),
        (error: unknown) => {
          const told = error instanceof HttpError ? `${error.status} ${error.code}` : String(error);
          res.setHeader('Connection', 'close');
          res.end(JSON.stringify({ error: told }));
        },
      );
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  const headOf = (type: string, length: number) =>
    `POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;

  async function read(type: string, body: string | Buffer): Promise<Read> {
    const octets = Buffer.from(body);
    const answer = await exchange(port, Buffer.concat([Buffer.from(headOf(type, octets.length)), octets]));
    return JSON.parse(Buffer.from(answer.body, 'latin1').toString()) as Read;
  }

  const boundary = '----WebKitFormBoundaryAbCdEf0123456789';
  const multipartOf = (fields: readonly (readonly [string, string])[]) =>
    fields
      .map(
        ([name, value]) =>
          `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
      )
      .join('') + `--${boundary}--\r\n`;

  const file = `--${boundary}\r\nContent-Disposition: form-data; name="email"; filename="x"\r\nContent-Type: text/plain\r\n\r\nbob@example.com\r\n`;

  it('is read as it was written, urlencoded', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(text, text), { maxLength: 20 }), async (fields) => {
        const body = new URLSearchParams(fields).toString();
        assert.deepEqual(await read('application/x-www-form-urlencoded', body), { form: fields });
      }),
      { numRuns: 50 },
    );
  });

  it('is read as it was written, multipart', async () => {
    const name = fc.stringMatching(/^[a-zA-Z-]{1,20}$/);
    const value = text.filter((one) => !/[\r\n]/.test(one));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 20 }), async (fields) => {
        const type = `multipart/form-data; boundary=${boundary}`;
        assert.deepEqual(await read(type, multipartOf(fields)), { form: fields });
      }),
      { numRuns: 50 },
    );
  });

  it('is an error or a form, whatever octets it is made of', async () => {
    const types = fc.constantFrom(
      'application/x-www-form-urlencoded',
      `multipart/form-data; boundary=${boundary}`,
      'multipart/form-data',
    );
    const octets = fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes));
    const nearly = fc.tuple(fc.nat(350), fc.uint8Array({ maxLength: 5 })).map(([at, bytes]) => {
      const whole = Buffer.from(file + multipartOf([['a', 'b']]));
      return Buffer.concat([whole.subarray(0, at), Buffer.from(bytes), whole.subarray(at + bytes.length)]);
    });
    await fc.assert(
      fc.asyncProperty(types, fc.oneof(octets, nearly), async (type, body) => {
        const { form, error } = await read(type, body);
        assert.ok(form !== undefined || /^4\d\d [a-z-]+$/.test(String(error)), String(error));
      }),
      { numRuns: 150 },
    );
  });

  it('that breaks off in a file, or in the middle of a part’s headers, is answered', async () => {
    const part = `--${boundary}\r\nContent-Disposition: form-data; name="a"`;
    for (const body of [
      `${part}; filename="x"\r\n\r\nx`,
      `${part}; filename="x"\r\nContent-Type: text/plain\r\n\r\n`,
      `${part}\r\n\r\nx`,
      `${part}`,
    ]) {
      assert.deepEqual(await read(`multipart/form-data; boundary=${boundary}`, body), {
        error: '400 incomplete',
      });
      const ended = `${body}\r\n--${boundary}--\r\n`;
      const { form, error } = await read(`multipart/form-data; boundary=${boundary}`, ended);
      assert.ok(form !== undefined || error === '400 incomplete', body);
    }
  });

  it('comes in pieces, split anywhere', async () => {
    const body = multipartOf([
      ['List-Unsubscribe', 'One-Click'],
      ['name', 'Zoë'],
    ]);
    const octets = Buffer.from(
      headOf(`multipart/form-data; boundary="${boundary}"`, Buffer.byteLength(body)) + body,
    );
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    const answer = answerOn(socket);
    for (let i = 0; i < octets.length; i += 7) {
      await new Promise((resolve) => socket.write(octets.subarray(i, i + 7), resolve));
    }
    const { form } = JSON.parse(Buffer.from((await answer).body, 'latin1').toString()) as Read;
    assert.deepEqual(form, [
      ['List-Unsubscribe', 'One-Click'],
      ['name', 'Zoë'],
    ]);
  });

  it('is held against its limits: 16 KB and 50 fields', async () => {
    const type = 'application/x-www-form-urlencoded';
    assert.equal((await read(type, `a=${'x'.repeat(16 * 1024 - 2)}`)).form?.length, 1);
    assert.equal((await read(type, `a=${'x'.repeat(16 * 1024 - 1)}`)).error, '413 too-large');
    assert.equal((await read(type, 'a=b&'.repeat(50))).form?.length, 50);
    assert.equal((await read(type, 'a=b&'.repeat(51))).error, '400 too-many-fields');
    assert.equal((await read(type, `a=b${'&'.repeat(500)}c=d`)).form?.length, 2, 'nothing is no field');
    const multipart = `multipart/form-data; boundary=${boundary}`;
    const fields = (count: number) => Array.from({ length: count }, () => ['a', 'b'] as const);
    assert.equal((await read(multipart, multipartOf(fields(50)))).form?.length, 50);
    assert.equal((await read(multipart, multipartOf(fields(51)))).error, '400 too-many-fields');
    assert.equal((await read(multipart, multipartOf(fields(100)))).error, '400 too-many-fields');
  });

  it('that is not UTF-8 shows it', async () => {
    const { form } = await read(
      'application/x-www-form-urlencoded',
      Buffer.from('a=%ff%fe&b=\xff', 'latin1'),
    );
    assert.deepEqual(form, [
      ['a', '\uFFFD\uFFFD'],
      ['b', '\uFFFD'],
    ]);
  });

  it('passes over files, and takes their neighbours', async () => {
    const { form } = await read(
      `multipart/form-data; boundary=${boundary}`,
      file + multipartOf([['a', 'b']]),
    );
    assert.deepEqual(form, [['a', 'b']]);
  });
});

describe('A request', () => {
  const request = (url: string, headers: Record<string, string> = {}) =>
    ({ url, headers }) as unknown as IncomingMessage;

  it('has the query that stands behind its first question mark', () => {
    const queries: [string, [string, string][]][] = [
      ['/', []],
      ['/?', []],
      [
        '/?a=1&a=2&b',
        [
          ['a', '1'],
          ['a', '2'],
          ['b', ''],
        ],
      ],
      ['/?a=b?c=d', [['a', 'b?c=d']]],
      ['/?a=%E0%A4%A', [['a', '\uFFFD%A']]],
      ['/?a+b=c+d%2B', [['a b', 'c d+']]],
    ];
    for (const [url, expected] of queries) assert.deepEqual([...queryOf(request(url))], expected, url);
  });

  it('has the media type that it names, without parameters', () => {
    assert.equal(mediaTypeOf(request('/', { 'content-type': ' Text/Plain ; charset=x' })), 'text/plain');
    assert.equal(mediaTypeOf(request('/')), '');
    assert.equal(mediaTypeOf(request('/', { 'content-type': ';' })), '');
  });

  it('has the key of its Authorization header, else of its query', () => {
    const withKey = (url: string, authorization?: string) =>
      keyOf(request(url, authorization === undefined ? {} : { authorization }));
    assert.equal(withKey('/?key=a'), 'a');
    assert.equal(withKey('/?key=a', 'Bearer b'), 'b');
    assert.equal(withKey('/', 'bEARER   b  '), 'b');
    assert.equal(withKey('/?key=a', 'Basic b'), 'a');
    assert.equal(withKey('/', 'Bearer'), null);
    assert.equal(withKey('/', 'Bearer a b'), null);
    assert.equal(withKey('/'), null);
  });

  it('is not waited for once it has broken off', async () => {
    const told: Promise<unknown>[] = [];
    const server = createServer((req) => told.push(readBody(req, 100).catch((error: unknown) => error)));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
    await once(server, 'request');
    socket.resetAndDestroy();
    const error = await told[0];
    assert.ok(error instanceof HttpError);
    assert.deepEqual([error.status, error.code], [400, 'incomplete']);
    server.close();
  });
});
