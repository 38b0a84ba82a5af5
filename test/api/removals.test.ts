import assert from 'node:assert/strict';
import type { Response } from 'supertest';
import type { List } from '../../src/core/lists.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { optOutOf } from '../support/core.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

interface Removal {
  id: number;
  kind: string;
  state: string;
  removed: number;
  restored: number;
  credential_id: number;
}

describe("The API's removals of all of a list", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    call = await clientOf(service, { rights: ['read', 'record', 'remove'] });
    path = `/lists/${list.publicId}`;
    await service.deps.recorder.record(
      ['ann@example.com', 'bob@example.com'].map((email) => optOutOf(list.id, email)),
    );
  });
  const isOut = (email: string) => isSuppressed(service.deps.db, list.id, email);
  const removalIn = ({ body, status, text }: Response): Removal => {
    assert.ok([200, 202].includes(status), text);
    return body as Removal;
  };
  const over = (id: number, state: string) =>
    until(`it is ${state}`, async () => {
      const { body } = await call('get', `${path}/removals/${id}`);
      return (body as Removal).state === state;
    });

  it('want the id of the list once more', async () => {
    const other = await makeList(service);
    for (const query of ['', '?confirm=yes', `?confirm=${other.publicId}`]) {
      problemIn(await call('delete', `${path}/opt-outs${query}`), 'invalid-request');
    }
    problemIn(await call('delete', `${path}/opt-outs/`), 'not-found');
    assert.equal(await isOut('ann@example.com'), true);
  });

  it('count at once, and can be looked at and taken back', async () => {
    const { id, kind } = removalIn(await call('delete', `${path}/opt-outs?confirm=${list.publicId}`));
    assert.equal(kind, 'all');
    assert.deepEqual([await isOut('ann@example.com'), await isOut('bob@example.com')], [false, false]);
    await call('put', `${path}/opt-outs/cat@example.com`);
    await over(id, 'removed');
    const { body } = await call('get', `${path}/removals`);
    const [told] = (body as { removals: Removal[] }).removals;
    assert.deepEqual([told?.id, told?.removed, told?.credential_id], [id, 2, call.credentialId]);
    assert.equal(await isOut('cat@example.com'), true);

    const headers = { 'Idempotency-Key': 'back' };
    const restore = () => call('post', `${path}/removals/${id}/restore`, { headers });
    const back = removalIn(await restore());
    assert.deepEqual(removalIn(await restore()), back);
    assert.equal(await isOut('ann@example.com'), true);
    await over(id, 'restored');
    problemIn(await call('post', `${path}/removals/${id}/restore`), 'conflict');
  });

  it('are those of their own list', async () => {
    const { id } = removalIn(await call('delete', `${path}/opt-outs?confirm=${list.publicId}`));
    const other = await makeList(service);
    const elsewhere = `/lists/${other.publicId}/removals`;
    problemIn(await call('get', `${elsewhere}/${id}`), 'not-found');
    problemIn(await call('post', `${elsewhere}/${id}/restore`), 'not-found');
    assert.deepEqual((await call('get', elsewhere)).body, { removals: [] });
    assert.equal(await isOut('ann@example.com'), false);
  });
});
