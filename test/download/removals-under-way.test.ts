import assert from 'node:assert/strict';
import request, { type Response } from 'supertest';
import { removeAll } from '../../src/core/bulk-removals.js';
import { takeLease } from '../../src/core/leases.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf } from '../../src/core/opt-outs.js';
import { carryOnRemovals } from '../../src/core/removal-slices.js';
import { clientOf, problemIn as apiProblemIn, type Client } from '../api/client.js';
import type { FeedPage } from '../api/follower.js';
import { migratedDatabase, numberAll, optOutOf, type TestDatabase } from '../support/core.js';
import { accessLogOf, download, type Downloadable } from '../support/downloads.js';
import { problemIn } from '../support/records.js';
import { scrub } from '../support/scrubs.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';

const file = 'ann@example.com\ncat@example.com\n';
const since = '1970-01-01';

describe('While a removal is taken back,', () => {
  let test: TestDatabase;
  let service: TestService;
  let fencing: number;
  let ours: Downloadable;
  let call: Client;
  let path: string;
  let complete: Response;
  let removed: Response;
  let followed: FeedPage;
  before(async () => {
    test = await migratedDatabase();
    // The service has to be without its keeper, who would be done with it at once.
    fencing = (await takeLease(test.db, 'keeper', 'the test', 600_000))?.fencing ?? 0;
    service = await startTestService({ DATABASE_URL: test.url });
  });
  after(async () => {
    await service.close();
    await test.close();
  });
  beforeEach(async () => {
    const list = await makeList(service);
    ours = { list, key: (await makeMailer(service, list)).key };
    call = await clientOf(service, { rights: ['read'], lists: [list] });
    path = `/lists/${list.publicId}`;
    for (const email of ['ann@example.com', 'bob@example.com']) await record(email);
    complete = await get();
    followed = (await call('get', `${path}/feed`)).body as FeedPage;
    const { id } = await removeAll(test.db, list, { actor: 'test' });
    await number();
    removed = await get();
    assert.deepEqual([linesOf(complete).length, linesOf(removed).length], [2, 0]);
    // As restoreRemoval leaves it to the keeper.
    await test
      .db('bulk_removals')
      .where({ id })
      .update({ state: 'restoring', position: null, restored_at: Date.now() });
  });

  const number = () => numberAll(test.db, [ours.list.id], fencing);
  const get = (query: Record<string, string> = {}) => download(service, ours, { format: 'plain', ...query });
  const linesOf = (answer: Response) => {
    assert.equal(answer.status, 200, answer.text);
    return answer.text.split('\n').filter(Boolean).sort();
  };
  const changesSince = async (answer: Response) =>
    linesOf(await get({ cursor: String(answer.get('Signoff-Cursor')) }));
  function refused(answer: Response): void {
    assert.equal(answer.status, 503, answer.text);
    assert.equal(problemIn(answer).code, 'unavailable');
    assert.match(String(answer.get('Retry-After')), /^\d+$/);
  }
  async function record(email: string): Promise<void> {
    await writeOptOuts(test.db, [rowOf(optOutOf(ours.list.id, email, { recordedAt: Date.now() }))]);
    await number();
  }
  async function finish(): Promise<void> {
    while (await carryOnRemovals(test.db, Date.now()));
    await number();
  }

  it('no download is whole, and none is unchanged', async () => {
    const logged = (await accessLogOf(service, ours)).length;
    const again = get().set('If-None-Match', String(removed.get('ETag')));
    for (const answer of [await get(), await get({ since }), await again]) {
      refused(answer);
    }
    const head = request(service.url).head(`/l/${ours.list.publicId}/download`).query({ key: ours.key });
    assert.equal((await head).status, 503);
    assert.equal((await accessLogOf(service, ours)).length, logged);
    await finish();
    assert.deepEqual(linesOf(await get()), ['ann@example.com', 'bob@example.com']);
    assert.deepEqual(linesOf(await get({ since })), ['ann@example.com', 'bob@example.com']);
  });

  it('deltas go on, take nobody away who comes back, and lose nobody', async () => {
    await record('new@example.com');
    assert.deepEqual(await changesSince(removed), ['+new@example.com']);
    const all = ['+ann@example.com', '+bob@example.com', '+new@example.com'];
    assert.deepEqual(await changesSince(complete), all);
    await removeOptOuts(test.db, ours.list.id, 'new@example.com');
    await number();
    assert.deepEqual(await changesSince(complete), [...all.slice(0, 2), '-new@example.com']);
    await finish();
    assert.deepEqual(await changesSince(removed), [...all.slice(0, 2), '-new@example.com']);
  });

  it('no file is scrubbed, since nobody knows yet whom it may keep', async () => {
    for (const list of ['white', 'black']) {
      const answer = await scrub(service, ours, file, { return: list });
      refused(answer);
    }
    await finish();
    assert.equal((await scrub(service, ours, file, { return: 'white' })).text, 'cat@example.com\n');
  });

  it('the API checks nobody, and its feed gives changes alone', async () => {
    const body = { items: ['ann@example.com', 'cat@example.com'] };
    for (const answer of [await call('post', `${path}/check`, { body }), await call('get', `${path}/feed`)]) {
      apiProblemIn(answer, 'unavailable');
      assert.match(String(answer.headers['retry-after']), /^\d+$/);
    }
    const changes = await call('get', `${path}/feed?cursor=${followed.next_cursor}`);
    assert.deepEqual(
      (changes.body as FeedPage).changes.map(({ change, item }) => `${change} ${item}`).sort(),
      ['add ann@example.com', 'add bob@example.com'],
    );
    await finish();
    const { results } = (await call('post', `${path}/check`, { body })).body as {
      results: { may_mail: boolean }[];
    };
    assert.deepEqual(
      results.map((one) => one.may_mail),
      [false, true],
    );
    const page = (await call('get', `${path}/feed`)).body as FeedPage;
    assert.deepEqual(page.changes.map(({ item }) => item).sort(), ['ann@example.com', 'bob@example.com']);
  });
});
