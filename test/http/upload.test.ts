import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import process from 'node:process';
import { limitBodyTime } from '../../src/http/body-time.js';
import { HttpError } from '../../src/http/http-error.js';
import { readBody } from '../../src/http/request.js';
import type { UploadAbout } from '../../src/http/upload-form.js';
import { readUpload } from '../../src/http/upload.js';
import { answerOn, exchange } from '../support/raw-http.js';
import { until } from '../support/service.js';

interface Told {
  /** What the file came to. */
  file?: { octets: number; sha256: string };
  fileName?: string | null;
  fields?: [string, string][];
  error?: string;
}

const limit = 100_000;

describe('An uploaded file', () => {
  let server: Server;
  let port: number;
  /** What `take` does with the next uploads. */
  let take: (octets: AsyncIterable<Buffer>, about: UploadAbout) => Promise<Told>;
  const outcomes: Told[] = [];
  const unheard: unknown[] = [];
  const hear = (error: unknown) => void unheard.push(error);
  before(async () => {
    process.on('unhandledRejection', hear).on('uncaughtException', hear);
    server = createServer((req, res) => {
      readUpload(req, { limit: req.url === '/any' ? null : limit }, (octets, about) => take(octets, about))
        .catch((error: unknown) => ({
          error: error instanceof HttpError ? `${error.status} ${error.code}` : String(error),
        }))
        .then((told: Told) => {
          outcomes.push(told);
          res.end(JSON.stringify(told));
        }, hear);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    process.off('unhandledRejection', hear).off('uncaughtException', hear);
    server.close();
    server.closeAllConnections();
  });
  beforeEach(() => {
    outcomes.length = 0;
    take = async (octets, { fileName, fields }) => {
      const hash = createHash('sha256');
      let length = 0;
      for await (const chunk of octets) {
        hash.update(chunk);
        length += chunk.length;
      }
      return { file: { octets: length, sha256: hash.digest('hex') }, fileName, fields: [...fields] };
    };
  });
  afterEach(() => assert.deepEqual(unheard, []));

  const boundary = '----WebKitFormBoundaryAbCdEf0123456789';
  const formType = `multipart/form-data; boundary=${boundary}`;
  const field = (name: string, value: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const file = (content: string | Buffer, { name = 'file', fileName = 'a.csv' } = {}) =>
    Buffer.concat([
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${fileName}"\r\nContent-Type: text/csv\r\n\r\n`,
      ),
      Buffer.from(content),
      Buffer.from('\r\n'),
    ]);
  const form = (...parts: (string | Buffer)[]) =>
    Buffer.concat([...parts.map((part) => Buffer.from(part)), Buffer.from(`--${boundary}--\r\n`)]);

  const head = (type: string, more: string, path = '/') =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\n${more}\r\n`;
  const lengthOf = (octets: number) => `Content-Length: ${octets}\r\n`;
  async function send(type: string, body: string | Buffer, { more = '', path = '/' } = {}): Promise<Told> {
    const octets = Buffer.from(body);
    const request = Buffer.concat([Buffer.from(head(type, lengthOf(octets.length) + more, path)), octets]);
    return JSON.parse(Buffer.from((await exchange(port, request)).body, 'latin1').toString()) as Told;
  }
  const is = (content: string | Buffer) => ({
    octets: Buffer.byteLength(content),
    sha256: createHash('sha256').update(content).digest('hex'),
  });

  it('is the body itself, of any of the types that files have', async () => {
    for (const type of [
      'text/csv',
      'text/plain; charset=utf-8',
      'application/octet-stream',
      'application/gzip',
    ]) {
      const content = randomBytes(70_000);
      assert.deepEqual(await send(type, content), { file: is(content), fileName: null, fields: [] });
    }
    assert.deepEqual((await send('text/csv; charset="UTF-16"', 'ab')).file, is('ab'));
  });

  it('is the first file of a form, whatever its field is called, with the fields before it', async () => {
    const content = randomBytes(90_000);
    const body = form(field('tag', 'sale'), file(content, { name: 'whatever' }), field('late', 'x'));
    assert.deepEqual(await send(formType, body), {
      ...{ file: is(content), fileName: 'a.csv' },
      fields: [['tag', 'sale']],
    });
    const two = form(file('one', { fileName: 'C:\\lists\\ünsub.csv' }), file('two'));
    assert.deepEqual(await send(formType, two), { file: is('one'), fileName: 'ünsub.csv', fields: [] });
    const unnamed = form(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: text/csv\r\n\r\nab\r\n`,
    );
    assert.deepEqual(await send(formType, unnamed), { file: is('ab'), fileName: null, fields: [] });
    assert.deepEqual((await send(formType, form(file('')))).file, is(''));
  });

  it('may hold what looks like a boundary, and comes the same in pieces of any size', async function () {
    this.timeout(120_000);
    const content = `\r\n--${boundary.slice(0, -1)}\r\n-- \r\n--\r\n${'x'.repeat(500)}`;
    const body = form(field('a', 'b'), file(content));
    for (const size of [1, 2, 3, 7, 64, 511]) {
      const socket = connect(port, '127.0.0.1').setNoDelay();
      const answer = answerOn(socket);
      socket.write(head(formType, lengthOf(body.length)));
      for (let at = 0; at < body.length; at += size) {
        await new Promise((resolve) => socket.write(body.subarray(at, at + size), resolve));
      }
      assert.deepEqual((JSON.parse((await answer).body) as Told).file, is(content), `${size}`);
    }
  });

  it('is refused with a reason: too large, of another type or charset, encoded, or not there', async () => {
    const large = Buffer.alloc(limit + 1);
    assert.deepEqual(await send('text/csv', large), { error: '413 too-large' });
    assert.deepEqual(await send(formType, form(file(large))), { error: '413 too-large' });
    assert.deepEqual((await send(formType, form(file(large.subarray(1))))).file, is(large.subarray(1)));
    assert.deepEqual(await send(formType, form(file('x'), field('b', 'y'.repeat(300_000)))), {
      error: '413 too-large',
    });
    assert.deepEqual((await send('text/csv', large, { path: '/any' })).file, is(large));
    assert.deepEqual(await send('application/json', '[]'), { error: '415 content-type' });
    assert.deepEqual(await send('text/csv; charset=latin1', 'a'), { error: '415 charset' });
    assert.deepEqual(await send('text/csv', 'a', { more: 'Content-Encoding: gzip\r\n' }), {
      error: '415 content-encoding',
    });
    assert.deepEqual(await send('text/csv', ''), { error: '400 no-file' });
    assert.deepEqual(await send(formType, form(field('a', 'b'))), { error: '400 no-file' });
    assert.deepEqual(await send(formType, form(file('', { fileName: '' }))), { error: '400 no-file' });
    assert.deepEqual(await send('multipart/form-data', form(file('a'))), { error: '400 malformed' });
  });

  it('is known as too large before it comes, where its length is told, and is answered all the same', async () => {
    take = () => assert.fail('it has begun');
    const answer = await exchange(port, head('text/csv', lengthOf(limit + 1)), { end: true });
    assert.deepEqual(JSON.parse(answer.body), { error: '413 too-large' });
    // Somebody who goes on sending hears of it as well.
    const late = await exchange(
      port,
      Buffer.concat([Buffer.from(head('text/csv', lengthOf(3_000_000))), Buffer.alloc(3_000_000)]),
    );
    assert.deepEqual([late.status, late.error], [200, null]);
  });

  it('is refused where it breaks off, at whichever octet, and never taken for whole', async () => {
    const body = form(field('a', 'b'), file('ann@example.com\r\nbob@example.com'), field('c', 'd'));
    const cut = async (type: string, octets: Buffer, told: string) =>
      (
        JSON.parse(
          (await exchange(port, Buffer.concat([Buffer.from(head(type, told)), octets]))).body,
        ) as Told
      ).error ?? 'whole';
    for (let length = 0; length < body.length - 4; length++) {
      const part = body.subarray(0, length);
      // The body is as long as it said, and the form is cut.
      assert.match(await cut(formType, part, lengthOf(length)), /^400 (malformed|no-file)$/, `${length}`);
    }
    assert.deepEqual(await cut(formType, body.subarray(0, -4), lengthOf(body.length - 4)), '400 malformed');
    assert.deepEqual(await cut(formType, body, lengthOf(body.length)), 'whole');
  });

  it('is refused where its client goes away, at whichever octet', async () => {
    const body = form(field('a', 'b'), file('ann@example.com'), field('c', 'd'));
    const told = `${lengthOf(body.length)}`;
    for (const [type, octets] of [
      [formType, body],
      ['text/csv', body],
    ] as const) {
      for (let length = 0; length < octets.length; length += 9) {
        for (const leave of [
          (socket: Socket) => socket.destroy(),
          (socket: Socket) => socket.resetAndDestroy(),
        ]) {
          outcomes.length = 0;
          const socket = connect(port, '127.0.0.1');
          socket.on('error', () => undefined);
          socket.write(head(type, told));
          await new Promise((resolve) => socket.write(octets.subarray(0, length), resolve));
          leave(socket);
          await until('it has noticed', () => outcomes.length === 1);
          assert.match(outcomes[0]?.error ?? 'whole', /^400 (incomplete|malformed)$/, `${type} ${length}`);
        }
      }
    }
  });

  it('holds its client back while nobody reads it', async () => {
    const size = 64 * 1024 * 1024;
    const chunk = Buffer.alloc(1024 * 1024, 'x\n');
    for (const type of ['text/csv', formType]) {
      let read: () => void = () => undefined;
      const released = new Promise<void>((resolve) => (read = resolve));
      take = async (octets) => {
        let length = 0;
        for await (const piece of octets) {
          await released;
          length += piece.length;
        }
        return { file: { octets: length, sha256: '' } };
      };
      const [before, after] =
        type === formType ? [file('').subarray(0, -2), `\r\n${form().toString()}`] : ['', ''];
      const socket = connect(port, '127.0.0.1');
      const answer = answerOn(socket);
      socket.write(head(type, lengthOf(before.length + size + after.length), '/any'));
      socket.write(before);
      let sent = 0;
      const sending = (async () => {
        for (; sent < size; sent += chunk.length) if (!socket.write(chunk)) await once(socket, 'drain');
        socket.write(after);
      })();
      // It comes to a stand where the kernel's buffers are full.
      for (let standing = -1; standing !== sent;) {
        standing = sent;
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      assert.ok(sent < 24 * 1024 * 1024, `${sent} octets were taken`);
      read();
      await sending;
      assert.deepEqual((JSON.parse((await answer).body) as Told).file?.octets, size);
    }
  });

  it('is answered where it is not wanted to its end', async () => {
    take = async (octets) => {
      for await (const chunk of octets) return { error: `enough after ${chunk.length > 0}` };
      return {};
    };
    const content = Buffer.alloc(3_000_000);
    for (const [type, body] of [
      ['text/csv', content],
      [formType, form(file(content))],
    ] as const) {
      assert.deepEqual(await send(type, body, { path: '/any' }), { error: 'enough after true' });
    }
    take = () => Promise.reject(new Error('the disk is full'));
    assert.deepEqual(await send(formType, form(file(content)), { path: '/any' }), {
      error: 'Error: the disk is full',
    });
  });

  it('leaves the connection to the next request, where it was not wanted to its end', async () => {
    take = async (octets) => {
      for await (const _ of octets) throw new HttpError(400, 'enough', 'Enough.');
      return {};
    };
    const content = Buffer.alloc(20_000);
    for (const [type, body] of [
      ['text/csv', content],
      [formType, form(file(content))],
      ['image/png', content],
    ] as const) {
      const begun = once(server, 'request') as Promise<[IncomingMessage]>;
      const socket = connect(port, '127.0.0.1');
      socket.resume();
      socket.write(
        `POST /any HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      socket.write(body.subarray(0, 10_000));
      const [req] = await begun;
      await once(socket, 'data');
      socket.write(body.subarray(10_000));
      // Whoever reads the rest has come to its end, and nothing waits any more that would end the connection.
      await until('all is read', () => req.readableEnded);
      socket.destroy();
    }
  });
});

describe('A body that takes long', () => {
  it('is cut off, and an upload is not', async () => {
    const server = createServer((req, res) => {
      const read =
        req.url === '/upload'
          ? readUpload(req, { limit: null }, async (octets) => {
              let length = 0;
              for await (const chunk of octets) length += chunk.length;
              return length;
            })
          : readBody(req, 1000).then((body) => body.length);
      read.then(
        (length) => res.end(String(length)),
        () => undefined,
      );
    });
    limitBodyTime(server, 200);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const slow = (path: string) => {
        const socket = connect(port, '127.0.0.1');
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/csv\r\nContent-Length: 4\r\n\r\nab`,
        );
        return { socket, answer: answerOn(socket) };
      };
      const upload = slow('/upload');
      const cut = await slow('/').answer;
      assert.deepEqual([cut.status, cut.error], [408, null]);
      upload.socket.write('cd');
      const whole = await upload.answer;
      assert.deepEqual([whole.status, whole.body], [200, '4']);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

describe('An upload that trickles', () => {
  // Ten times what lies between two pieces, and more: other tests run beside this.
  const pace = { idleMs: 1000, leastOctets: 100, periodMs: 1200 };
  const outcomes: string[] = [];
  let server: Server;
  let port: number;
  before(async () => {
    server = createServer((req, res) => {
      readUpload(req, { limit: null, pace }, async (octets) => {
        let length = 0;
        for await (const chunk of octets) length += chunk.length;
        return `${length}`;
      })
        .catch((error: unknown) =>
          error instanceof HttpError ? `${error.status} ${error.message}` : 'fault',
        )
        .then(
          (told) => {
            outcomes.push(told);
            res.end(told);
          },
          () => undefined,
        );
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  beforeEach(() => void (outcomes.length = 0));

  const heads = {
    'as the body itself': 'Content-Type: text/csv',
    'in a form': 'Content-Type: multipart/form-data; boundary=x',
  };
  const begun = {
    'as the body itself': '',
    'in a form': '--x\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\n',
  };
  const ended = { 'as the body itself': '', 'in a form': '\r\n--x--\r\n' };

  /** Sends so many octets every 20 ms, until it is answered or all is sent. */
  async function trickle(how: keyof typeof heads, octets: number, pieces: number): Promise<string> {
    const length = begun[how].length + octets * pieces + ended[how].length;
    const socket = connect(port, '127.0.0.1').setNoDelay();
    const answer = answerOn(socket);
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${heads[how]}\r\nContent-Length: ${length}\r\n\r\n${begun[how]}`,
    );
    for (let sent = 0; sent < pieces && outcomes.length === 0; sent++) {
      socket.write('x'.repeat(octets));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // What was refused may be told only once its client has gone.
    if (outcomes.length === 0) socket.write(ended[how]);
    await until('it is over', () => outcomes.length === 1);
    socket.end();
    await answer.catch(() => undefined);
    return outcomes[0] ?? '';
  }

  for (const how of ['as the body itself', 'in a form'] as const) {
    it(`is cut off once it has had its first while, ${how}`, async () => {
      const startedAt = performance.now();
      assert.equal(await trickle(how, 1, 400), '408 Too little came for too long.');
      const tookMs = performance.now() - startedAt;
      assert.ok(tookMs >= pace.periodMs - 5 && tookMs < 4000, `${tookMs} ms`);
    });

    it(`is taken where it comes fast enough on average, ${how}`, async () => {
      assert.equal(await trickle(how, 20, 60), '1200');
    });
  }

  it('is cut off sooner where nothing comes', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 9\r\n\r\nab');
    await until('it is over', () => outcomes.length === 1);
    assert.equal(outcomes[0], '408 Nothing came for too long.');
    socket.destroy();
  });

  it('is not blamed for the time in which nobody reads it', async () => {
    const slow = createServer((req, res) => {
      readUpload(req, { limit: null, pace }, async (octets) => {
        let length = 0;
        for await (const chunk of octets) {
          await new Promise((resolve) => setTimeout(resolve, pace.periodMs + 200));
          length += chunk.length;
        }
        return length;
      }).then(
        (length) => res.end(`${length}`),
        (error: unknown) => res.end(String(error)),
      );
    });
    await once(slow.listen(0, '127.0.0.1'), 'listening');
    try {
      const head = 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/csv\r\n';
      const answer = await exchange(
        (slow.address() as AddressInfo).port,
        Buffer.from(`${head}Content-Length: 3\r\n\r\nabc`),
      );
      assert.equal(answer.body, '3');
    } finally {
      slow.close();
      slow.closeAllConnections();
    }
  });
});
