import assert from 'node:assert/strict';
import { getBulkRemoval } from '../../src/core/bulk-removals.js';
import { claimRequest, endClaim, releaseClaim } from '../../src/core/idempotency.js';
import type { List } from '../../src/core/lists.js';
import { restoreRemoval } from '../../src/core/restore-removal.js';
import { engine } from '../support/engine.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

describe("The API's Idempotency-Key, where a request has failed,", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  const headers = { 'Idempotency-Key': 'a-key' };
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    call = await clientOf(service);
    path = `/lists/${list.publicId}/opt-outs`;
  });
  const laterThan = (at: number) => until('a later millisecond', () => Date.now() > at);

  /** Removals are begun, and fail after that; what was begun stands. */
  async function failing(work: () => Promise<unknown>): Promise<void> {
    const { db } = service.deps;
    const fails =
      engine === 'sqlite'
        ? "BEGIN SELECT RAISE(ABORT, 'a fault'); END"
        : "FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a fault'";
    await db.raw(`CREATE TRIGGER fault BEFORE UPDATE ON opt_outs ${fails}`);
    await work().finally(() => db.raw('DROP TRIGGER fault'));
  }

  it('leaves alone whoever has left again, where the removal failed after it was committed', async () => {
    await call('put', `${path}/ann@example.com`);
    await laterThan(Date.now());
    const removal = `${path}?confirm=${list.publicId}`;
    await failing(async () => problemIn(await call('delete', removal, { headers }), 'internal'));
    await laterThan(Date.now());
    assert.equal((await call('put', `${path}/bob@example.com`)).status, 201);
    await laterThan(Date.now());
    problemIn(await call('delete', `${path}/bob@example.com`, { headers }), 'key-reused');
    const { status, headers: told } = await call('delete', removal, { headers });
    assert.ok([200, 202].includes(status));
    assert.equal(told['idempotent-replayed'], undefined);
    problemIn(await call('get', `${path}/ann@example.com`), 'not-found');
    assert.equal((await call('get', `${path}/bob@example.com`)).status, 200);
  });

  it('stays with its request where that is refused after one that may have done something', async () => {
    const { db, secret } = service.deps;
    const request = { credentialId: call.credentialId, key: headers['Idempotency-Key'], parts: ['x'] };
    const claim = async (now: number) => {
      const claimed = await claimRequest(db, secret, request, { now, retryMs: 1000 });
      assert.ok(claimed.is === 'ours', claimed.is);
      return claimed;
    };
    await endClaim(db, (await claim(1000)).claim);
    const second = await claim(2000);
    await releaseClaim(db, second.claim);
    assert.deepEqual([second.firstAt, (await claim(3000)).firstAt], [1000, 1000]);
  });

  it('answers as done where its own earlier try took a removal back, and no other', async () => {
    await call('put', `${path}/ann@example.com`);
    const { body } = await call('delete', `${path}?confirm=${list.publicId}`);
    const { id } = body as { id: number };
    await until('it is removed', async () => {
      const removal = (await call('get', `/lists/${list.publicId}/removals/${id}`)).body;
      return (removal as { state: string }).state === 'removed';
    });
    const at = `/lists/${list.publicId}/removals/${id}/restore`;
    const restore = (more = {}) => call('post', at, { headers: more });
    const { db, secret } = service.deps;
    const { credentialId } = call;
    const parts = ['post', `/api/v1${at}`, Buffer.alloc(0)];
    const request = { credentialId, key: headers['Idempotency-Key'], parts };
    const claimed = await claimRequest(db, secret, request, { retryMs: 1000 });
    assert.ok(claimed.is === 'ours');
    const actor = `credential ${credentialId}`;
    await restoreRemoval(db, await getBulkRemoval(db, id), { actor, now: claimed.firstAt });
    await endClaim(db, claimed.claim);
    await laterThan(Date.now());
    assert.ok([200, 202].includes((await restore(headers)).status));
    problemIn(await restore({ 'Idempotency-Key': `${headers['Idempotency-Key']}-other` }), 'conflict');
  });
});
