import assert from 'node:assert/strict';
import request from 'supertest';
import { accessLogOf, download, listOf, octetsOf, type Downloadable } from '../support/downloads.js';
import { holdDownloadLog } from '../support/faults.js';
import { startTestService, until, type TestService } from '../support/service.js';

describe('The access log of downloads', () => {
  let service: TestService;
  let ours: Downloadable;
  before(async () => {
    service = await startTestService({ DATABASE_TIMEOUT_MS: '1000' });
  });
  after(() => service.close());
  beforeEach(async () => {
    ours = await listOf(service, ['ann@example.com', 'bob@example.com']);
  });

  const ended = () =>
    until('all downloads have ended', async () =>
      (await accessLogOf(service, ours)).every((row) => row.finished_at !== null),
    );

  it('has a line for each download: who, from where, what, and how many entries', async () => {
    const startedAt = Date.now();
    const whole = await download(service, ours, { format: 'plain', as: 'csv' });
    await download(service, ours, { since: '2020-01-01', format: 'sha256' });
    await download(service, ours, { cursor: String(whole.get('Signoff-Cursor')).replace(/\d+$/, '0') });
    await octetsOf(service, ours, { gzip: 'yes' });
    await ended();
    const log = await accessLogOf(service, ours);
    assert.deepEqual(
      log.map(({ extent, format, status, entries, ip }) => [extent, format, status, entries, ip]),
      [
        ['all', 'plain', 200, 2, '127.0.0.1'],
        ['since', 'sha256', 200, 0, '127.0.0.1'],
        ['delta', 'md5', 200, 2, '127.0.0.1'],
        ['all', 'md5', 200, 2, '127.0.0.1'],
      ],
    );
    for (const { at, finished_at: finishedAt } of log) {
      assert.ok(startedAt <= at && at <= Number(finishedAt) && Number(finishedAt) <= Date.now());
    }
  });

  it('has no line for what was refused', async () => {
    await download(service, { ...ours, key: 'x' });
    await download(service, ours, { format: 'x' });
    await download(service, ours, { cursor: 'x.1' });
    assert.deepEqual(await accessLogOf(service, ours), []);
  });

  it('is written before the first octet: where it cannot be, nothing leaves', async () => {
    const etag = String((await download(service, ours)).get('ETag'));
    await ended();
    const finished = async () =>
      (await accessLogOf(service, ours)).filter((row) => row.finished_at !== null).length;
    const before = await finished();
    const mend = await holdDownloadLog(service);
    try {
      const answers = await Promise.all([
        octetsOf(service, ours, { format: 'plain' }),
        octetsOf(service, ours, {}, { 'If-None-Match': etag }),
      ]);
      for (const { status, headers, body } of answers) {
        assert.equal(status, 503);
        assert.equal(headers['retry-after'], '5');
        assert.doesNotMatch(body.toString(), /ann@|[0-9a-f]{32}/);
        assert.equal(headers['signoff-cursor'], undefined);
      }
      const head = await request(service.url).head(`/l/${ours.list.publicId}/download?key=${ours.key}`);
      assert.equal(head.status, 503);
    } finally {
      await mend();
    }
    await until('downloads go on', async () => (await download(service, ours)).status === 200);
    await until('they are in the log', async () => (await finished()) > before);
  });
});

describe('The log of the service', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService({ DATABASE_TIMEOUT_MS: '1000' });
  });
  after(() => service.close());

  it('names no key and no address of any download, whatever comes of it', async () => {
    const ours = await listOf(service, ['ann@example.com']);
    const bearer = request(service.url).get(`/l/${ours.list.publicId}/download?format=plain`);
    await bearer.set('Authorization', `Bearer ${ours.key}`);
    for (const query of [
      { format: 'plain' },
      { email: 'ann@example.com' },
      { since: ours.key },
      { cursor: `${ours.key}.1` },
      { tag: 'ann@example.com' },
    ] as Record<string, string>[]) {
      await download(service, ours, query);
    }
    await download(service, { ...ours, key: `${ours.key}x` });
    const mend = await holdDownloadLog(service);
    assert.equal((await download(service, ours, { format: 'plain' })).status, 503);
    await mend();
    await request(service.url).get(`/l/${ours.key}/download?key=${ours.key}`);
    await request(service.url).get(`/${ours.key}/ann@example.com`);

    const log = service.logged.join('');
    assert.match(log, /"path":"\/l\/[a-z0-9]{20}\/download","status":200/);
    assert.match(log, /answered 503/);
    assert.doesNotMatch(log, /so_[\w-]{8}|ann@|616e6e40|ann%40/i);
  });
});
