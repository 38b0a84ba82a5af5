import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { List } from '../../src/core/lists.js';
import { accessLogOf, download, listOf, type Downloadable } from '../support/downloads.js';
import { startFragileService, type FragileService } from '../support/faults.js';
import { insertManyRows } from '../support/many-rows.js';
import { answerOn } from '../support/raw-http.js';
import { problemIn } from '../support/records.js';
import { makeList, makeMailer, until } from '../support/service.js';

/** With these, far more than all the buffers between two ends of a connection can hold. */
const rows = 100_000;
const padding = 'a'.repeat(220);

describe('A download that is cut off', () => {
  let service: FragileService;
  let list: List;
  let ours: Downloadable;
  let small: Downloadable;
  let path: string;

  before(async function () {
    this.timeout(120_000);
    service = await startFragileService({ DOWNLOADS_AT_ONCE: '2', DATABASE_TIMEOUT_MS: '5000' });
    list = await makeList(service);
    const { key } = await makeMailer(service, list);
    ours = { list, key };
    path = `/l/${list.publicId}/download?key=${key}&format=plain`;
    small = await listOf(service, ['ann@example.com']);
    await insertManyRows(service.databaseUrl, list.id, rows, padding);
  });
  after(() => service.close());

  /** A client that has read the first octets, and reads no more. */
  async function stalled(more = ''): Promise<IncomingMessage> {
    const asked = http.get(`${service.url}${path}${more}`, { agent: false });
    asked.on('error', () => undefined);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(answer.statusCode, 200);
    await once(answer, 'readable');
    return answer;
  }

  async function stalledSocket(version: string): Promise<Socket> {
    const socket = connect(service.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`GET ${path} HTTP/${version}\r\nHost: x\r\n\r\n`);
    await once(socket, 'readable');
    return socket;
  }

  const isFree = async () => (await download(service, small)).status === 200;
  const isRefused = async (query: Record<string, string>, status: number) =>
    (await download(service, small, query)).status === status;

  it('keeps others out while it takes a place, and frees it when its client vanishes', async () => {
    const [first, second] = [await stalled(), await stalled('&gzip=yes&as=csv')];
    const turnedAway = await download(service, ours);
    assert.equal(turnedAway.status, 503);
    assert.equal(turnedAway.get('Retry-After'), '5');
    assert.equal(problemIn(turnedAway).code, 'unavailable');
    const head = await fetch(`${service.url}${path}`, { method: 'HEAD' });
    assert.equal(head.status, 503);
    assert.equal((await fetch(`${service.url}/l/${list.publicId}`)).status, 200, 'pages are no downloads');

    first.destroy();
    await until('a place is free', isFree);
    second.destroy();
    const places = async () => (await Promise.all([isFree(), isFree()])).every(Boolean);
    await until('both places are free', places);
    const log = await accessLogOf(service, ours);
    assert.equal(log.length, 2);
    assert.ok(
      log.every((row) => row.finished_at === null && row.entries === null),
      'neither has an end',
    );
  });

  it('holds no place when it was refused', async () => {
    for (let i = 0; i < 5; i++) {
      // The one before gives its place back once its connection is done with, which may be a moment later.
      await until('a cursor is refused', () => isRefused({ cursor: 'x.999' }, 410));
      await until('a format is refused', () => isRefused({ format: 'x' }, 400));
    }
    await until('there is a place', isFree);
  });

  it('goes on for a client that paused', async () => {
    const answer = await stalled();
    let octets = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) octets += chunk.length;
    assert.ok(octets > rows * (padding.length + 14));
    assert.equal(answer.complete, true);
  });

  for (const version of ['1.1', '1.0']) {
    it(`is seen to be cut off by an HTTP/${version} client when the database dies`, async () => {
      await until('a place is free', isFree);
      const socket = await stalledSocket(version);
      const mend = await service.loseDatabase();
      const answer = await answerOn(socket);
      await mend();
      assert.equal(answer.status, 200, 'it had begun');
      assert.equal(answer.error, 'ECONNRESET', 'it does not end as if it were whole');
      assert.doesNotMatch(answer.text, /\r\n0\r\n\r\n$/);
      assert.ok(answer.text.length < rows * padding.length);
    });
  }

  it('is seen to be cut off by an ordinary client, zipped or not, when the database dies', async () => {
    for (const more of ['', '&gzip=yes']) {
      await until('a place is free', isFree);
      const answer = await stalled(more);
      const mend = await service.loseDatabase();
      await assert.rejects(async () => {
        for await (const _ of answer);
      }, /aborted|ECONNRESET/);
      await mend();
      assert.equal(answer.complete, false);
    }
  });

  it('leaves nothing behind: the next one is whole', async () => {
    await until('a place is free', isFree);
    const { text } = await download(service, ours, { format: 'plain' });
    assert.equal(text.split('\n').length, rows + 1);
    assert.match(service.logged.join(''), /a download was cut off/);
  });
});
