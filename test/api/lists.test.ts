import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import { optOutOf } from '../support/core.js';
import { makeList, startTestService, untilNumbered, type TestService } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

describe("The API's lists", () => {
  let service: TestService;
  let list: List;
  let call: Client;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    call = await clientOf(service, { lists: [list] });
  });

  it('tell a list with its URLs and what it holds', async () => {
    await service.deps.recorder.record([optOutOf(list.id, 'ann@example.com')]);
    await untilNumbered(service, list);
    const { status, body } = await call('get', `/lists/${list.publicId}`);
    assert.equal(status, 200);
    const told = body as { id: string; counts: { addresses: number }; urls: { page: string } };
    assert.deepEqual(
      [told.id, told.counts.addresses, told.urls.page],
      [list.publicId, 1, `http://signoff.test/l/${list.publicId}`],
    );
  });

  it('are those alone that the key is granted', async () => {
    const other = await makeList(service);
    const { body } = await call('get', '/lists');
    assert.deepEqual(
      (body as { lists: { id: string }[] }).lists.map(({ id }) => id),
      [list.publicId],
    );
    problemIn(await call('get', `/lists/${other.publicId}`), 'not-found');
  });
});
