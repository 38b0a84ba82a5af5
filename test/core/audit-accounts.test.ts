import assert from 'node:assert/strict';
import { createAccount, getAccount } from '../../src/core/accounts.js';
import { auditAccounts } from '../../src/core/audit-accounts.js';
import { audit, type Breach } from '../../src/core/audit.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { archiveList, createList, type List } from '../../src/core/lists.js';
import type { Db } from '../../src/db/connect.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

const actor = 'test';

describe('The audit of global lists', () => {
  let test: TestDatabase;
  let db: Db;
  let global: List;
  let theirs: List;
  beforeEach(async () => {
    test = await migratedDatabase();
    db = test.db;
    await db('leases').update({ fencing: 1 });
    await createAccount(db, 'Other');
    global = await createList(db, 1, { name: 'Never mail' }, { actor });
    theirs = await createList(db, 2, { name: 'Theirs' }, { actor });
    await setGlobalList(db, await getAccount(db, 1), global, { actor });
  });
  afterEach(() => test.close());

  async function breachesOf(run: AsyncIterable<Breach>): Promise<Breach[]> {
    const found: Breach[] = [];
    for await (const breach of run) found.push(breach);
    return found;
  }

  it('finds nothing where lists were only marked and unmarked', async () => {
    assert.deepEqual(await breachesOf(audit(db)), []);
    await setGlobalList(db, await getAccount(db, 1), null, { actor });
    assert.deepEqual(await breachesOf(audit(db)), []);
  });

  const wrong: [what: string, plant: () => PromiseLike<unknown>, why: RegExp][] = [
    [
      'one that is of another account',
      () => db('accounts').where({ id: 1 }).update({ global_list_id: theirs.id }),
      /of another account$/,
    ],
    [
      'one that there is none of',
      () => db('accounts').where({ id: 1 }).update({ global_list_id: 99 }),
      /99 is in no row of lists$/,
    ],
    [
      'one that is archived',
      () => db('lists').where({ id: global.id }).update({ archived_at: 1 }),
      /is archived$/,
    ],
    [
      'one that was marked at no number',
      () => db('accounts').where({ id: 1 }).update({ global_number: 0 }),
      /at no number of the feed$/,
    ],
    [
      'a mark beyond the feed',
      () => db('accounts').where({ id: 1 }).update({ global_number: 2 }),
      /^account 1: global_number 2 is not between 0 and the feed's last, 1$/,
    ],
  ];
  for (const [what, plantIt, why] of wrong) {
    it(`finds ${what}`, async () => {
      await plantIt();
      const breaches = await breachesOf(auditAccounts(db));
      assert.deepEqual(
        breaches.map(({ code, table }) => [code, table]),
        [['global-list', 'accounts']],
      );
      assert.match(breaches[0]?.description ?? '', why);
      assert.ok((await breachesOf(audit(db))).some(({ code }) => code === 'global-list'));
    });
  }

  it('sees no breach in the moment of a change', async () => {
    await archiveList(db, theirs, true, { actor });
    let isOver = false;
    const change = async () => {
      for (let i = 0; i < 40; i++) {
        await setGlobalList(db, await getAccount(db, 1), i % 2 === 0 ? null : global, { actor });
      }
      isOver = true;
    };
    const changing = change();
    do assert.deepEqual(await breachesOf(auditAccounts(db)), []);
    while (!isOver);
    await changing;
  });
});
