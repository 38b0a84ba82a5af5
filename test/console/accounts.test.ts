import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { createList } from '../../src/core/lists.js';
import { signInAs } from '../support/console.js';
import { startTestService, type TestService } from '../support/service.js';

describe('Accounts in the console', function () {
  this.timeout(60_000);
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('are created by an admin, and shown with their lists and people', async () => {
    const { db } = service.deps;
    const ada = await signInAs(service, 'admin');
    const nameless = await ada.post('/console/accounts', { name: '' });
    assert.equal(nameless.status, 422);
    assert.match(nameless.text, /Please fill this in/);
    const made = await ada.post('/console/accounts', { name: '<b>Bold & Sons</b>' });
    const [, id = ''] =
      /^\/console\/accounts\/(\d+)\/lists\?done=account-created$/.exec(made.location ?? '') ?? [];
    for (const name of ['one', 'two']) await createList(db, Number(id), { name }, { actor: 'test' });
    const account = { ...(await createAccount(db, 'unused')), id: Number(id) };
    await signInAs(service, { owner: account });
    const ended = await signInAs(service, { owner: account });
    await db('users').where({ id: ended.user.id }).update({ ended_at: Date.now() });

    const page = await ada.get('/console/accounts');
    assert.ok(!page.html.includes('<b>Bold'));
    assert.match(page.text, /<b>Bold & Sons<\/b> 2 1 /);
    const row = await db<{ account_id: number; action: string; actor: string }>('history')
      .where({ account_id: Number(id), action: 'account.created' })
      .first();
    assert.equal(row?.actor, `user:${ada.user.id}`);
  });

  it('are listed fifty a page', async () => {
    for (let n = 0; n < 50; n++) await createAccount(service.deps.db, `Many ${n}`);
    const ada = await signInAs(service, 'admin');
    const first = await ada.get('/console/accounts');
    const [, next = ''] = /href="([^"]*beyond=\d+)"/.exec(first.html) ?? [];
    const second = await ada.get(next);
    assert.match(second.text, /Many 49/);
    assert.doesNotMatch(first.text, /Many 49/);
    assert.doesNotMatch(second.text, /Next page/);
  });

  it('are for admins alone', async () => {
    const olive = await signInAs(service, 'owner');
    assert.equal((await olive.get('/console/accounts')).status, 403);
    assert.equal((await olive.post('/console/accounts', { name: 'Mine' })).status, 403);
    assert.equal((await olive.get('/console/history')).status, 403);
  });
});
