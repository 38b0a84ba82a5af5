import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import { claimRequest, forgetAnswers, keptMs, mostKept } from '../../src/core/idempotency.js';
import { erasePerson } from '../../src/core/erasure.js';
import { findOptOuts } from '../../src/core/suppressed.js';
import { startService } from '../../src/service.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { clientOf, problemIn, send, type Client } from './client.js';

describe("The API's Idempotency-Key", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  let made = 0;
  let headers: { 'Idempotency-Key': string };
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    call = await clientOf(service);
    path = `/lists/${list.publicId}/opt-outs`;
    headers = { 'Idempotency-Key': `key-${++made}` };
  });
  const keys = () => service.deps.db('idempotency_keys').where({ credential_id: call.credentialId });
  const repeatsOf = async (email: string) =>
    (await findOptOuts(service.deps.db, list.id, email)).map(({ repeats }) => repeats);

  const laterThan = (at: number) => until('a later millisecond', () => Date.now() > at);

  it('gives the same answer again, and does nothing twice', async () => {
    const first = await call('put', `${path}/ann@example.com`, { headers });
    assert.deepEqual([first.status, first.headers['idempotent-replayed']], [201, undefined]);
    const second = await call('put', `${path}/ann@example.com`, { headers });
    assert.deepEqual([second.status, second.body], [201, first.body]);
    assert.equal(second.headers['idempotent-replayed'], 'true');
    assert.deepEqual(await repeatsOf('ann@example.com'), [0]);

    const gone = { 'Idempotency-Key': `"${headers['Idempotency-Key']}-delete"` };
    for (let time = 0; time < 2; time++) {
      const { status, text } = await call('delete', `${path}/ann@example.com`, { headers: gone });
      assert.deepEqual([status, text], [204, '']);
    }
    problemIn(await call('delete', `${path}/ann@example.com`), 'not-found');
  });

  it('is the same bare and in quotes', async () => {
    await call('put', `${path}/ann@example.com`, { headers });
    const quoted = { 'Idempotency-Key': `"${headers['Idempotency-Key']}"` };
    const answer = await call('put', `${path}/ann@example.com`, { headers: quoted });
    assert.equal(answer.headers['idempotent-replayed'], 'true');
  });

  it('belongs to one request, and to one credential', async () => {
    const body = { opt_outs: [{ address: 'ann@example.com' }] };
    await call('post', path, { body, headers });
    const others: [method: 'post' | 'put' | 'delete', path: string, body?: unknown][] = [
      ['post', path, { opt_outs: [{ address: 'bob@example.com' }] }],
      ['put', `${path}/ann@example.com`],
      ['delete', `${path}/ann@example.com`],
      ['delete', `${path}/ann@example.com?tag=*`],
    ];
    for (const [method, where, other] of others) {
      const options = other === undefined ? { headers } : { body: other, headers };
      problemIn(await call(method, where, options), 'key-reused');
    }
    assert.deepEqual(await repeatsOf('bob@example.com'), []);
    const another = await clientOf(service);
    assert.equal((await another('put', `${path}/bob@example.com`, { headers })).status, 201);
  });

  it('lets one of many at once through; the others wait or get its answer', async () => {
    const opt_outs = Array.from({ length: 500 }, (_, i) => ({ address: `a${i}@example.com` }));
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => call('post', path, { body: { opt_outs }, headers })),
    );
    for (const answer of answers) {
      if (answer.status === 200) continue;
      problemIn(answer, 'under-way');
      assert.match(String(answer.headers['retry-after']), /^[1-9]\d*$/);
    }
    const fresh = answers.filter(
      ({ status, headers: told }) => status === 200 && told['idempotent-replayed'] === undefined,
    );
    assert.equal(fresh.length, 1);
    assert.deepEqual(await repeatsOf('a499@example.com'), [0]);
  });

  it('is free again where the request failed, also for a mended one', async () => {
    const body = { tag: 'unknown' };
    for (let time = 0; time < 2; time++) {
      problemIn(await call('put', `${path}/ann@example.com`, { body, headers }), 'invalid-request');
    }
    problemIn(await call('delete', `${path}/bob@example.com`, { headers }), 'not-found');
    assert.deepEqual(await keys(), []);
    assert.equal((await call('put', `${path}/ann@example.com`, { headers })).status, 201);
  });

  it('outlives a process that died at work: after a minute the work is done once more', async () => {
    const { db, secret } = service.deps;
    const target = `/api/v1${path}/ann@example.com`;
    const request = {
      credentialId: call.credentialId,
      key: headers['Idempotency-Key'],
      parts: ['put', target, Buffer.alloc(0)],
    };
    const claimed = await claimRequest(db, secret, request, { retryMs: 1000 });
    assert.equal(claimed.is, 'ours');
    problemIn(await call('put', `${path}/ann@example.com`, { headers }), 'under-way');
    await db('idempotency_keys')
      .where({ credential_id: call.credentialId })
      .update({ claimed_until: Date.now() - 1 });
    const answers = await Promise.all(
      [1, 2, 3].map(() => call('put', `${path}/ann@example.com`, { headers })),
    );
    const fresh = answers.filter(
      ({ status, headers: told }) => status < 300 && told['idempotent-replayed'] === undefined,
    );
    assert.deepEqual(
      fresh.map(({ status }) => status),
      [201],
    );
    assert.deepEqual(await repeatsOf('ann@example.com'), [0]);
  });

  it('is given to one of many who see at once that a process has died', async () => {
    const { db, secret } = service.deps;
    const request = { credentialId: call.credentialId, key: headers['Idempotency-Key'], parts: ['x'] };
    const claim = () => claimRequest(db, secret, request, { retryMs: 1000 });
    assert.equal((await claim()).is, 'ours');
    await db('idempotency_keys').where({ credential_id: call.credentialId }).update({ claimed_until: 0 });
    const claimed = await Promise.all(Array.from({ length: 8 }, claim));
    assert.equal(claimed.filter((one) => one.is === 'ours').length, 1);
  });

  it('removes nobody who has left again since, where the work is done once more', async () => {
    const { db, secret } = service.deps;
    await call('put', `${path}/ann@example.com`);
    const again = async (target: string) => {
      const key = `key-${++made}`;
      const parts = ['delete', `/api/v1${target}`, Buffer.alloc(0)];
      const where = { credential_id: call.credentialId };
      await claimRequest(db, secret, { credentialId: call.credentialId, key, parts }, { retryMs: 1000 });
      // The process has died, and somebody leaves in the meantime.
      await db('idempotency_keys').where(where).whereNull('status').update({ claimed_until: 0 });
      await laterThan(Date.now());
      await call('put', `${path}/bob@example.com`);
      await laterThan(Date.now());
      return call('delete', target, { headers: { 'Idempotency-Key': key } });
    };
    assert.equal((await again(`${path}/bob@example.com`)).status, 204);
    assert.equal((await call('get', `${path}/bob@example.com`)).status, 200);
    assert.equal((await again(`${path}/ann@example.com`)).status, 204);
    problemIn(await call('get', `${path}/ann@example.com`), 'not-found');

    await call('put', `${path}/cat@example.com`);
    await laterThan(Date.now());
    await again(`${path}?confirm=${list.publicId}`);
    problemIn(await call('get', `${path}/cat@example.com`), 'not-found');
    assert.equal((await call('get', `${path}/bob@example.com`)).status, 200);
  });

  it('is kept over a restart', async () => {
    const own = await startTestService();
    try {
      const mine = await clientOf(own);
      const theirs = await makeList(own);
      const at = `/lists/${theirs.publicId}/opt-outs/ann@example.com`;
      await mine('put', at, { headers });
      await own.stop();
      const again = await startService(own.deps.config, own.deps.log);
      try {
        const url = `http://127.0.0.1:${again.port}`;
        const answer = await send({ url }, 'put', at, { headers }).set('Authorization', `Bearer ${mine.key}`);
        assert.deepEqual([answer.status, answer.headers['idempotent-replayed']], [201, 'true']);
      } finally {
        await again.stop();
      }
    } finally {
      await own.close();
    }
  });

  it('refuses what is no key, and passes over it where nothing is changed', async () => {
    for (const key of ['', 'x'.repeat(256), 'a b', '"']) {
      const wrong = { 'Idempotency-Key': key };
      const { errors } = problemIn(
        await call('put', `${path}/ann@example.com`, { headers: wrong }),
        'invalid-request',
      );
      assert.deepEqual(
        errors?.map(({ header, code }) => [header, code]),
        [['Idempotency-Key', 'malformed']],
      );
    }
    assert.deepEqual(await repeatsOf('ann@example.com'), []);
    assert.equal((await call('get', path, { headers })).status, 200);
    assert.deepEqual(await keys(), []);
  });

  it('keeps no address that anybody could read, and so none of an erased person', async () => {
    const key = { 'Idempotency-Key': 'eve@example.com' };
    const answer = await call('put', `${path}/eve@example.com`, { headers: key });
    assert.match(answer.text, /eve@example\.com/);
    const erased = erasePerson(service.deps.db, service.accountId, 'eve@example.com', {
      actor: 'test',
      retryMs: 1000,
    });
    const lists: number[] = [];
    for await (const one of erased) lists.push(one.list.id);
    assert.deepEqual(lists, [list.id]);
    const rows: Record<string, unknown>[] = await service.deps.db('idempotency_keys');
    const values = rows.flatMap((row: Record<string, unknown>) => Object.values(row));
    const octets = Buffer.concat(values.filter((one): one is Buffer => one instanceof Buffer));
    assert.ok(octets.length > 100);
    assert.equal(octets.includes('eve@example'), false);
  });

  it('is forgotten after a day, and of very many the oldest', async () => {
    const now = Date.now();
    const row = (i: number, created_at: number) => ({
      credential_id: call.credentialId,
      key_hash: Buffer.from(String(i).padStart(32)),
      ...{ fingerprint: Buffer.alloc(32), claim: Buffer.alloc(16), claimed_until: 0, created_at },
    });
    const rows = Array.from({ length: mostKept + 700 }, (_, i) => row(i, now - i));
    const old = Array.from({ length: 600 }, (_, i) => row(50_000 + i, now - keptMs - 1));
    const all = [...rows, ...old];
    for (let i = 0; i < all.length; i += 500)
      await service.deps.db('idempotency_keys').insert(all.slice(i, i + 500));
    await until('they are forgotten', async () => !(await forgetAnswers(service.deps.db, now)));
    const left = await keys().orderBy('created_at');
    assert.equal(left.length, mostKept);
    assert.equal((left[0] as { created_at: number }).created_at, now - mostKept + 1);
  });
});
