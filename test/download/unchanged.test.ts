import assert from 'node:assert/strict';
import request from 'supertest';
import type { Db } from '../../src/db/connect.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { accessLogOf, download, listOf, octetsOf, type Downloadable } from '../support/downloads.js';
import { makeList, startTestService, until, untilNumbered, type TestService } from '../support/service.js';

describe('A download of what the client has already', () => {
  let service: TestService;
  let ours: Downloadable;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    ours = await listOf(service, ['ann@example.com']);
  });

  const get = (etag?: string, query: Record<string, string> = {}) => {
    const asked = download(service, ours, query);
    return etag === undefined ? asked : asked.set('If-None-Match', etag);
  };
  const etagOf = async (query: Record<string, string> = {}) =>
    String((await get(undefined, query)).get('ETag'));

  it('is 304 without a body, and with what it needs to go on', async () => {
    const etag = await etagOf();
    assert.match(etag, /^W\/"[\w-]{22}"$/);
    for (const header of [etag, etag.slice(2), `"x", ${etag}`, `W/"a",${etag} , "b"`, '*']) {
      const answer = await get(header);
      assert.equal(answer.status, 304, header);
      assert.equal(answer.text, '');
      assert.equal(answer.get('ETag'), etag);
      assert.match(String(answer.get('Signoff-Cursor')), /^[\w-]+\.\d+$/);
      assert.equal(answer.get('Content-Type'), undefined);
    }
    for (const header of ['"x"', etag.slice(0, -2), `${etag}x`, '']) {
      assert.equal((await get(header)).status, 200, header);
    }
  });

  it('is sent anew after any change, and only then', async () => {
    const etag = await etagOf();
    await service.deps.recorder.record([optOutOf(ours.list.id, 'ann@example.com', { recordedAt: 5000 })]);
    await untilNumbered(service, ours.list);
    assert.equal((await get(etag)).status, 304, 'the same opt-out again changes nothing');

    await service.deps.recorder.record([optOutOf(ours.list.id, 'bob@example.com')]);
    await untilNumbered(service, ours.list);
    const added = await get(etag);
    assert.equal(added.status, 200);
    await removeOptOuts(service.deps.db, ours.list.id, 'bob@example.com');
    await untilNumbered(service, ours.list);
    assert.equal(
      (await get(String(added.get('ETag')))).status,
      200,
      'back to the same addresses is a change too',
    );

    const other = await listOf(service, ['cat@example.com']);
    assert.notEqual(String((await download(service, other)).get('ETag')), etag);
    const latest = await etagOf();
    await service.deps.recorder.record([optOutOf(other.list.id, 'ann@example.com')]);
    await untilNumbered(service, other.list);
    assert.equal((await get(latest)).status, 304, 'another list is nothing to this one');
  });

  it('is known by what was asked for as well', async () => {
    const queries: Record<string, string>[] = [
      {},
      { format: 'sha256' },
      { format: 'plain' },
      { as: 'csv' },
      { gzip: 'yes' },
      { since: '2020-01-01' },
    ];
    const etags = await Promise.all(queries.map(etagOf));
    assert.equal(new Set(etags).size, queries.length);
    const zipped = await octetsOf(service, ours, {}, { 'Accept-Encoding': 'gzip' });
    const whole = await octetsOf(service, ours);
    assert.notEqual(zipped.headers.etag, whole.headers.etag);
  });

  for (const [what, change] of Object.entries({
    'anything is committed that has no number yet': (db: Db, listId: number) =>
      plant(db, listId, [rowKinds.plain('bob@example.com')]),
    'an opt-out has run out that is not taken off the count yet': (db: Db, listId: number) =>
      db('expiries').where({ list_id: listId }).update({ expires_at: 2000 }),
  })) {
    it(`is sent anew while ${what}, whatever the ETag`, async () => {
      const idle = await startTestService();
      try {
        const mine = await listOf(idle, ['ann@example.com']);
        const expires_at = Date.now() + 3_600_000;
        await plant(idle.deps.db, mine.list.id, [{ ...rowKinds.plain('cat@example.com'), expires_at }]);
        await untilNumbered(idle, mine.list);
        // From here on nobody numbers.
        await idle.keeper.stop();
        const etag = String((await download(idle, mine)).get('ETag'));
        assert.equal((await download(idle, mine).set('If-None-Match', etag)).status, 304);
        await change(idle.deps.db, mine.list.id);
        for (const header of [etag, '*']) {
          assert.equal((await download(idle, mine).set('If-None-Match', header)).status, 200);
        }
      } finally {
        await idle.close();
      }
    });
  }

  it('is the same question to HEAD, which brings all but the body', async () => {
    const head = (etag?: string) => {
      const asked = request(service.url)
        .head(`/l/${ours.list.publicId}/download`)
        .query({ key: ours.key })
        .set('Accept-Encoding', 'gzip');
      return etag === undefined ? asked : asked.set('If-None-Match', etag);
    };
    const [whole, alone] = [await get(), await head()];
    assert.equal(alone.status, 200);
    assert.equal(alone.text, undefined);
    for (const name of ['ETag', 'Signoff-Cursor', 'Signoff-Entries-Not-Expressed', 'Content-Type']) {
      assert.equal(alone.get(name), whole.get(name), name);
    }
    assert.equal((await head(alone.get('ETag'))).status, 304);
  });

  it('stands in the access log all the same', async () => {
    const etag = await etagOf();
    await get(etag);
    await request(service.url).head(`/l/${ours.list.publicId}/download`).query({ key: ours.key });
    await until('all have ended', async () =>
      (await accessLogOf(service, ours)).every((row) => row.finished_at !== null),
    );
    const log = await accessLogOf(service, ours);
    assert.deepEqual(
      log.map(({ status, entries, extent, format, ip }) => [status, entries, extent, format, ip]),
      [
        [200, 1, 'all', 'md5', '127.0.0.1'],
        [304, 0, 'all', 'md5', '127.0.0.1'],
        [200, 0, 'all', 'md5', '127.0.0.1'],
      ],
    );
    assert.deepEqual(await accessLogOf(service, { ...ours, list: await makeList(service) }), []);
  });
});
