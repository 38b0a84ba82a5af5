import assert from 'node:assert/strict';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { removeAll, type BulkRemoval } from '../../src/core/bulk-removals.js';
import { checkItems } from '../../src/core/check.js';
import { readChanges } from '../../src/core/entries.js';
import { exportOptOuts } from '../../src/core/export.js';
import { readListPage } from '../../src/core/feed-pages.js';
import { getFeed } from '../../src/core/feed.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { getAccount } from '../../src/core/accounts.js';
import { createList, type List } from '../../src/core/lists.js';
import { datedOptOuts } from '../../src/core/opt-outs-dated.js';
import { carryOnRemovals } from '../../src/core/removal-slices.js';
import { Unavailable } from '../../src/errors.js';
import { collect, migratedDatabase, numberAll, plant, rowKinds, type TestDatabase } from '../support/core.js';

const actor = 'test';

describe('While a removal is taken back', () => {
  let test: TestDatabase;
  let list: List;
  let other: List;
  let removal: BulkRemoval;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor });
    other = await createList(test.db, 1, { name: 'Acme Offers' }, { actor });
    const rows = [rowKinds.plain('ann@example.com'), rowKinds.sha256Only('bob@example.com')];
    await plant(test.db, list.id, rows);
    await numberAll(test.db, [list.id], 0);
  });

  /** Removes all, and stands where restoreRemoval stands before the first slice. */
  async function beginRestoring(): Promise<void> {
    removal = await removeAll(test.db, list, { actor });
    assert.deepEqual([removal.state, removal.optOuts], ['removed', 2]);
    await numberAll(test.db, [list.id], 0);
    await test
      .db('bulk_removals')
      .where({ id: removal.id })
      .update({ state: 'restoring', position: null, finished_at: null, restored_at: Date.now() });
  }
  async function finishRestoring(): Promise<void> {
    while (await carryOnRemovals(test.db, Date.now()));
  }
  const items = [
    { normalised: 'ann@example.com' },
    { md5: md5Of('ann@example.com') },
    { sha256: sha256Of('bob@example.com') },
  ];
  const check = () => checkItems(test.db, list.id, items);
  const page = () =>
    readListPage(test.db, [list.id], { behind: Buffer.alloc(0), limit: 10 }, { at: Date.now() });
  const exported = async () => {
    let text = '';
    for await (const { octets } of exportOptOuts(test.db, list.id, 'plain')) text += octets.toString();
    return text;
  };
  const dated = async (from: number | null) => {
    const addresses: string[] = [];
    const options = { from, to: null, tag: null, accepts: () => true, at: Date.now() };
    for await (const some of datedOptOuts(test.db, [list.id], options)) {
      addresses.push(...some.map(({ address }) => address));
    }
    return addresses;
  };

  it('nobody is told who may be mailed, and everybody rightly once it is over', async () => {
    await beginRestoring();
    await assert.rejects(check, Unavailable);
    await assert.rejects(page, Unavailable);
    await assert.rejects(() => dated(null), Unavailable);
    await assert.rejects(exported, Unavailable);
    assert.deepEqual(await dated(0), ['ann@example.com'], 'what is asked by time counts who is to come back');
    assert.deepEqual(
      await checkItems(test.db, other.id, items),
      [[], [], []],
      'other lists are none the worse',
    );
    await finishRestoring();
    assert.deepEqual(await check(), [[list.id], [list.id], [list.id]]);
    assert.equal((await page()).entries.length, 2);
    assert.deepEqual(await dated(null), ['ann@example.com']);
    assert.equal(await exported(), 'ann@example.com\n');
  });

  it('nobody is told of any list where it is the global one', async () => {
    const account = await getAccount(test.db, 1);
    await setGlobalList(test.db, account, list, { actor });
    try {
      await beginRestoring();
      await assert.rejects(() => checkItems(test.db, other.id, items), Unavailable);
      await finishRestoring();
      assert.deepEqual(await checkItems(test.db, other.id, items), [[list.id], [list.id], [list.id]]);
    } finally {
      await setGlobalList(test.db, account, null, { actor });
    }
  });

  it('while it is still being carried out, those who are to go have not to be brought back', async () => {
    const row = { account_id: 1, list_id: list.id, kind: 'all', at: 2000, actor, state: 'removing' };
    await test.db('bulk_removals').insert({ ...row, carried_at: 2000 });
    assert.deepEqual(await check(), [[list.id], [list.id], [list.id]]);
    await finishRestoring();
    assert.deepEqual(await check(), [[], [], []]);
  });

  it('changes go on, and take nobody away who comes back', async () => {
    const before = (await getFeed(test.db)).lastNumber;
    await beginRestoring();
    const removed = (await getFeed(test.db)).lastNumber;
    const changes = async (from: number) => {
      const { lastNumber: to } = await getFeed(test.db);
      return collect(readChanges(test.db, [list.id], { from, to }, { at: Date.now() }));
    };
    const all = ['+ann@example.com', `+${sha256Of('bob@example.com').toString('hex')}`].sort();
    assert.deepEqual((await changes(before)).sort(), all);
    assert.deepEqual(await changes(removed), []);
    await finishRestoring();
    await numberAll(test.db, [list.id], 0);
    assert.deepEqual((await changes(removed)).sort(), all);
  });
});
