import assert from 'node:assert/strict';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { removeAll, type BulkRemoval } from '../../src/core/bulk-removals.js';
import { createList, type List } from '../../src/core/lists.js';
import { takeBackMs } from '../../src/core/restore-removal.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { optOutOf } from '../support/core.js';
import { signInAs, type Visitor } from '../support/console.js';
import { startTestService, until, untilNumbered, type TestService } from '../support/service.js';

describe("The console's page of removals", () => {
  let service: TestService;
  let account: Account;
  let list: List;
  let olive: Visitor;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close('states of removals are planted'));
  beforeEach(async () => {
    const { db } = service.deps;
    account = await createAccount(db, 'Acme', { actor: 'test' });
    list = await createList(db, account.id, { name: 'Acme News' }, { actor: 'test' });
    olive = await signInAs(service, { owner: account });
    path = `/console/accounts/${account.id}/removals`;
  });

  const isOut = (email: string) => isSuppressed(service.deps.db, list.id, email);
  async function removed(): Promise<BulkRemoval> {
    const { db, recorder } = service.deps;
    await recorder.record([optOutOf(list.id, 'ann@example.com'), optOutOf(list.id, 'bob@example.com')]);
    await untilNumbered(service, list);
    return removeAll(db, list, { actor: `user:${olive.user.id}` });
  }

  it('says that nothing was removed where nothing was', async () => {
    assert.match((await olive.get(path)).text, /Nothing was removed in the last 30 days/);
  });

  it('tells what was removed, by whom and when, and takes it back once', async () => {
    const removal = await removed();
    assert.equal(await isOut('ann@example.com'), false);
    const listed = await olive.get(path);
    assert.match(listed.text, /Acme News All of the list Olive Owner 2 Removed/);
    const at = `${path}/${removal.id}`;
    assert.ok(listed.html.includes(`href="${at}"`));
    assert.match((await olive.get(at)).text, /Take it back .* Possible until/);
    const done = await olive.post(at);
    assert.equal(done.location, `${at}?done=removal-taken-back`);
    assert.equal(await isOut('ann@example.com'), true);
    const after = await olive.get(at);
    assert.match(after.text, /Taken back .* Suppressed again 2/);
    assert.doesNotMatch(after.text, /Take it back/);
    const again = await olive.post(at);
    assert.equal(again.status, 403);
    assert.match(again.text, /This was taken back already/);
    assert.match((await olive.get(path)).text, /Taken back/);
  });

  it('shows what is older than 30 days no more, and takes nothing of it back', async () => {
    const removal = await removed();
    await service.deps
      .db('bulk_removals')
      .where({ id: removal.id })
      .update({ at: Date.now() - takeBackMs - 60_000 });
    assert.match((await olive.get(path)).text, /Nothing was removed in the last 30 days/);
    const at = `${path}/${removal.id}`;
    assert.match((await olive.get(at)).text, /It can no longer be taken back/);
    const late = await olive.post(at);
    assert.equal(late.status, 403);
    assert.match(late.text, /more than 30 days ago/);
    assert.equal(await isOut('ann@example.com'), false);
  });

  it('is for the account’s owners alone', async () => {
    const removal = await removed();
    const other = await createAccount(service.deps.db, 'Stranger', { actor: 'test' });
    const sam = await signInAs(service, { owner: other });
    const theirs = `/console/accounts/${other.id}/removals`;
    for (const at of [path, `${path}/${removal.id}`, `${theirs}/${removal.id}`]) {
      assert.equal((await sam.get(at)).status, 404, at);
    }
    for (const at of [`${path}/${removal.id}`, `${theirs}/${removal.id}`]) {
      assert.equal((await sam.post(at)).status, 404, at);
    }
    assert.match((await sam.get(theirs)).text, /Nothing was removed/);
    assert.equal((await sam.get(`${theirs}/nonsense`)).status, 404);
    assert.equal(await isOut('ann@example.com'), false);
  });

  it('goes on telling while the keeper is at work', async () => {
    const removal = await removed();
    // As of a list so large that the keeper, which is another node, has the most of it left to do.
    const lease = { holder: 'another node', expires_at: Date.now() + 3_600_000 };
    const { db } = service.deps;
    await db('leases').where({ name: 'keeper' }).update(lease);
    await until('ours has lost its lease', async () => {
      await db('bulk_removals').where({ id: removal.id }).update({ state: 'removing', position: null });
      const { text, html } = await olive.get(path);
      return text.includes('Being removed') && html.includes('data-live="3"');
    });
  });
});
