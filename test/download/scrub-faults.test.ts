import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readlink, rm, rmdir, symlink, unlink } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { accessLogOf, listOf, type Downloadable } from '../support/downloads.js';
import { engine } from '../support/engine.js';
import { holdDownloadLog, startFragileService, type FragileService } from '../support/faults.js';
import { answerOn, exchange } from '../support/raw-http.js';
import { problemIn } from '../support/records.js';
import { scrub, toldOf } from '../support/scrubs.js';
import { until } from '../support/service.js';

describe('A scrub that cannot be carried out', () => {
  let service: FragileService;
  let held: Downloadable;
  let home: string;
  let folder: string;
  before(async () => {
    home = await mkdtemp(path.join(os.tmpdir(), 'signoff-scrub-'));
    folder = path.join(home, 'spool');
    await mkdir(folder);
    service = await startFragileService({
      ...{ SPOOL_DIR: folder, SCRUBS_AT_ONCE: '1', DATABASE_TIMEOUT_MS: '1000', STOP_SECONDS: '1' },
    });
    held = await listOf(service, ['ann@example.com']);
  });
  after(async () => {
    await service.close();
    await rm(home, { recursive: true });
  });
  afterEach(async () => {
    await until('no scrub is under way', () => service.deps.state.scrubs.size === 0);
    await until('nothing is left', async () => (await leftOver()).length === 0);
  });

  /** What stands in the folder, and what has no name there any more, but is open. */
  async function leftOver(): Promise<string[]> {
    const names = await readdir(folder);
    const descriptors = await readdir('/proc/self/fd').catch(() => []);
    const open = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    return [...names, ...open.filter((target) => target.includes(folder))];
  }

  const headOf = (length: number | null, query = 'return=white', more = '') =>
    `POST /l/${held.list.publicId}/scrub?key=${held.key}&${query} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n${
      length === null ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`
    }\r\n${more}\r\n`;

  async function begun(octets: string): Promise<Socket> {
    const socket = connect(service.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(octets);
    await until('it is under way', () => service.deps.state.scrubs.size === 1);
    return socket;
  }

  const isFine = async () => {
    const answer = await scrub(service, held, 'ann@example.com\nbob@example.com\n', { return: 'white' });
    return answer.status === 200 && answer.text === 'bob@example.com\n';
  };

  it('is told so when its upload breaks off, and gets no half list', async () => {
    for (const head of [headOf(1000), headOf(null)]) {
      const body = head.includes('chunked') ? '10\r\nbob@example.com\n\r\n' : 'bob@example.com\n';
      const answer = await exchange(service.port, head + body, { end: true });
      assert.equal(answer.status, 400);
      assert.doesNotMatch(answer.body, /\bbob\b/);
      await until('its place is free', () => service.deps.state.scrubs.size === 0);
    }
    const socket = await begun(`${headOf(1000)}bob@example.com\n`);
    socket.resetAndDestroy();
    await until('its place is free', isFine);
    assert.equal((await accessLogOf(service, held)).length, 1, 'what was given out, alone');
  });

  it('is told to come again while others are under way', async () => {
    const file = 'ann@example.com\nbob@example.com\n';
    const socket = await begun(headOf(file.length, 'return=white', 'Connection: close\r\n'));
    const turnedAway = await scrub(service, held, file);
    assert.deepEqual([turnedAway.status, turnedAway.get('Retry-After')], [503, '10']);
    assert.equal(problemIn(turnedAway).code, 'busy');
    socket.write(file);
    const answer = await answerOn(socket);
    assert.deepEqual([answer.status, answer.body], [200, 'bob@example.com\n']);
    assert.ok(await isFine());
  });

  it('is told that there is no room where the folder is gone or full, and nothing else suffers', async () => {
    const isRefused = async () => {
      const answer = await scrub(service, held, 'ann@example.com\n');
      assert.deepEqual([answer.status, answer.get('Retry-After')], [503, '60']);
      assert.equal(problemIn(answer).code, 'no-room');
      assert.equal((await fetch(`${service.url}/l/${held.list.publicId}`)).status, 200);
    };
    await rmdir(folder);
    await isRefused();
    // A file system on which nothing is free.
    await symlink('/proc', folder);
    await isRefused();
    await unlink(folder);
    await mkdir(folder);
    const logged = service.logged.filter((line) => line.includes('no room'));
    assert.equal(logged.length, 2);
    assert.match(logged.join(''), /ENOENT.*too little is free/s);
    assert.ok(await isFine());
  });

  it('is told so when the database goes away in the middle', async () => {
    const file = 'ann@example.com\nbob@example.com\n';
    const socket = await begun(
      `${headOf(file.length, 'return=white', 'Connection: close\r\n')}${file.slice(0, 20)}`,
    );
    const mend = await service.loseDatabase();
    socket.write(file.slice(20));
    const answer = await answerOn(socket);
    await mend();
    // A database without its tables is a fault of another kind.
    assert.equal(answer.status, engine === 'mysql' ? 503 : 500);
    assert.doesNotMatch(answer.body, /\bbob\b/);
    await until('it is back', isFine);
  });

  it('gives nothing out while the access log cannot be written', async () => {
    const mend = await holdDownloadLog(service);
    const answer = await scrub(service, held, 'bob@example.com\n', { return: 'white' });
    await mend();
    assert.equal(answer.status, 503);
    assert.doesNotMatch(answer.text, /\bbob\b/);
    assert.ok(await isFine());
  });

  it('does not choke on a line without end, and unpacks no bomb', async function () {
    this.timeout(60_000);
    const letters = gzipSync(Buffer.alloc(16 * 1024 * 1024, 'a'));
    const packed = (members: number) =>
      Buffer.concat([...Array.from({ length: members }, () => letters), gzipSync('\nann@example.com\n')]);
    const answer = await scrub(service, held, packed(3), {}, 'application/gzip');
    assert.equal(answer.text, 'ann@example.com\n');
    assert.deepEqual(toldOf(answer), { items: '1', suppressed: '1', refused: '1', lines: '1' });
    const bomb = await scrub(service, held, packed(8), {}, 'application/gzip');
    assert.deepEqual([bomb.status, problemIn(bomb).code], [415, 'archive']);
  });

  it('sends its answer to a client that has sent everything before it reads anything', async function () {
    this.timeout(60_000);
    const lines = Array.from({ length: 40_000 }, (_, n) => `${'a'.repeat(230)}${n}@example.com\n`);
    const file = `${lines.join('')}ann@example.com\n`;
    const socket = connect(service.port, '127.0.0.1');
    socket.pause();
    await new Promise<void>((resolve) => {
      socket.write(headOf(file.length, 'return=white', 'Connection: close\r\n') + file, () => resolve());
    });
    const answer = await answerOn(socket.resume());
    assert.equal(answer.status, 200);
    assert.ok(answer.body === lines.join(''), 'the white list, whole');
  });

  it('leaves room for other mailers, whatever one of them does', async () => {
    const other = await startFragileService({ SPOOL_DIR: folder, SCRUBS_AT_ONCE: '2', STOP_SECONDS: '1' });
    try {
      const [theirs, others, third] = [await listOf(other), await listOf(other), await listOf(other)];
      const file = 'bob@example.com\n';
      const held = async ({ list, key }: Downloadable, count: number) => {
        const socket = connect(other.port, '127.0.0.1');
        socket.write(
          `POST /l/${list.publicId}/scrub?key=${key}&return=white HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${file.length}\r\n\r\n`,
        );
        await until('it is under way', () => other.deps.state.scrubs.size === count);
        return socket;
      };
      const socket = await held(theirs, 1);
      const second = await scrub(other, theirs, file, { return: 'white' });
      assert.deepEqual([second.status, second.get('Retry-After')], [503, '10']);
      assert.deepEqual([problemIn(second).code, /of yours/.test(second.text)], ['busy', true]);
      const another = await scrub(other, others, file, { return: 'white' });
      assert.deepEqual([another.status, another.text], [200, file]);
      const full = await held(others, 2);
      const turnedAway = await scrub(other, third, file, { return: 'white' });
      assert.deepEqual([turnedAway.status, /Other scrubs/.test(turnedAway.text)], [503, true]);
      for (const one of [socket, full]) {
        one.write(file);
        assert.equal((await answerOn(one)).body, file);
      }
      assert.equal((await scrub(other, theirs, file, { return: 'white' })).status, 200);
    } finally {
      await other.close();
    }
  });

  it('is cut off when the service stops and its client does not go on', async () => {
    const other = await startFragileService({ SPOOL_DIR: folder, STOP_SECONDS: '1' });
    let isOpen = true;
    try {
      const theirs = await listOf(other, ['ann@example.com']);
      const socket = connect(other.port, '127.0.0.1');
      const answered = answerOn(socket);
      await once(socket, 'connect');
      socket.write(
        `POST /l/${theirs.list.publicId}/scrub?key=${theirs.key}&return=black HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nann@example.com\n`,
      );
      await until('it is under way', () => other.deps.state.scrubs.size === 1);
      isOpen = false;
      await other.close();
      const answer = await answered;
      assert.deepEqual([answer.text, answer.error], ['', 'ECONNRESET']);
    } finally {
      if (isOpen) await other.close();
    }
  });
});
