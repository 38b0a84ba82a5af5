import assert from 'node:assert/strict';
import { createAccount, getAccount, type Account } from '../../src/core/accounts.js';
import { getFeed } from '../../src/core/feed.js';
import { countOtherLists, getGlobalMark, listsThatCount, setGlobalList } from '../../src/core/global-list.js';
import { archiveList, createList, getListById, type List } from '../../src/core/lists.js';
import { numberChanges } from '../../src/core/numbering.js';
import { findOptOuts, findSuppressed, isSuppressed } from '../../src/core/suppressed.js';
import type { Db } from '../../src/db/connect.js';
import { Refused } from '../../src/errors.js';
import {
  migratedDatabase,
  numberAll,
  plant,
  rowKinds,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';

const actor = 'test';
const refused = (reason: string) => (error: unknown) => error instanceof Refused && error.reason === reason;

describe('The global list of an account', () => {
  let test: TestDatabase;
  let db: Db;
  let account: Account;
  let list: List;
  let global: List;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    account = await createAccount(db, 'Acme');
    list = await makeList('Acme News');
    global = await makeList('Never mail');
  });

  const makeList = (name: string, owner = account) => createList(db, owner.id, { name }, { actor });
  const set = (one: List | null) => setGlobalList(db, account, one, { actor });
  const lastNumber = async () => (await getFeed(db)).lastNumber;
  const history = () =>
    db<{ account_id: number; action: string; list_id: number }>('history')
      .where({ account_id: account.id })
      .where('action', 'like', 'global-list.%')
      .orderBy('id');

  it('is none at first', async () => {
    assert.deepEqual(await getGlobalMark(db, account.id), { listId: null, number: 0 });
    assert.equal(account.globalListId, null);
    assert.deepEqual(await listsThatCount(db, list.id), [list.id]);
  });

  it('is marked at a number of the feed that nothing else has', async () => {
    const before = await lastNumber();
    assert.equal(await set(global), true);
    assert.deepEqual(await getGlobalMark(db, account.id), { listId: global.id, number: before + 1 });
    assert.equal(await lastNumber(), before + 1);
    assert.equal((await getAccount(db, account.id)).globalListId, global.id);
    await plant(db, list.id, [rowKinds.plain('ann@example.com')]);
    await numberAll(db, [list.id], 1);
    assert.deepEqual(
      (await rowsOfList(db, list.id)).map((row) => row.feed_number),
      [before + 2],
    );

    await set(null);
    assert.deepEqual(await getGlobalMark(db, account.id), { listId: null, number: before + 3 });
    const notes = await history();
    assert.deepEqual(
      notes.map((note) => [note.action, note.list_id]),
      [
        ['global-list.marked', global.id],
        ['global-list.unmarked', global.id],
      ],
    );
  });

  it('stays where the same is marked again, and nothing is noted', async () => {
    for (const one of [null, global]) {
      await set(one);
      const [mark, number, notes] = [
        await getGlobalMark(db, account.id),
        await lastNumber(),
        (await history()).length,
      ];
      assert.equal(await set(one), false);
      assert.deepEqual(await getGlobalMark(db, account.id), mark);
      assert.deepEqual([await lastNumber(), (await history()).length], [number, notes]);
    }
  });

  it('gives way to another one', async () => {
    await set(global);
    const first = await getGlobalMark(db, account.id);
    assert.equal(await set(list), true);
    const second = await getGlobalMark(db, account.id);
    assert.equal(second.listId, list.id);
    assert.ok(second.number > first.number);
  });

  it('is no list of another account, and no archived one; nothing changes then', async () => {
    const others = await makeList('Theirs', await createAccount(db, 'Other'));
    await assert.rejects(set(others), refused('account'));
    await archiveList(db, global, true, { actor });
    const number = await lastNumber();
    // As it was before it was archived: what counts is what the database says now.
    await assert.rejects(set(global), refused('archived'));
    assert.deepEqual(await getGlobalMark(db, account.id), { listId: null, number: 0 });
    assert.equal(await lastNumber(), number);
  });

  it('cannot be archived before it is unmarked', async () => {
    await set(global);
    await assert.rejects(archiveList(db, global, true, { actor }), refused('global-list'));
    assert.equal((await getListById(db, global.id)).archivedAt, null);
    await archiveList(db, list, true, { actor });
    await set(null);
    await archiveList(db, global, true, { actor });
    assert.notEqual((await getListById(db, global.id)).archivedAt, null);
  });

  it('is never archived where it is marked and archived at once', async () => {
    for (let round = 0; round < 10; round++) {
      const both = await makeList(`Both ${round}`);
      await Promise.allSettled([set(both), archiveList(db, both, true, { actor })]);
      const { listId } = await getGlobalMark(db, account.id);
      assert.notEqual(listId === both.id, (await getListById(db, both.id)).archivedAt !== null);
    }
  });

  it('is marked while rows get their numbers, and no number is given twice', async () => {
    await plant(
      db,
      list.id,
      Array.from({ length: 300 }, (_, i) => rowKinds.plain(`p${i}@example.com`)),
    );
    const marks: number[] = [];
    const mark = async () => {
      for (let i = 0; i < 20; i++) {
        await set(i % 2 === 0 ? global : null);
        marks.push((await getGlobalMark(db, account.id)).number);
      }
    };
    const number = async () => {
      for (let i = 0; i < 30; i++) await numberChanges(db, 1, 10);
    };
    await Promise.all([mark(), number()]);
    await numberAll(db, [list.id], 1);
    const given = [...marks, ...(await rowsOfList(db, list.id)).map((row) => row.feed_number)];
    assert.equal(new Set(given).size, 320);
    assert.equal(Math.max(...given.map(Number)), await lastNumber());
  });

  it('counts for every list of its account, and for no other', async () => {
    await set(global);
    const theirs = await makeList('Theirs', await createAccount(db, 'Other'));
    assert.deepEqual(await listsThatCount(db, list.id), [list.id, global.id]);
    assert.deepEqual(await listsThatCount(db, global.id), [global.id]);
    assert.deepEqual(await listsThatCount(db, theirs.id), [theirs.id]);
    assert.deepEqual([await countOtherLists(db, global), await countOtherLists(db, theirs)], [1, 0]);
  });

  describe('in checks', () => {
    const people = {
      ann: 'ann@example.com',
      bob: 'bob@example.com',
      cat: 'cat@example.com',
      eve: 'eve@example.com',
      joe: 'joe@example.com',
    };
    beforeEach(async () => {
      await set(global);
      await plant(db, list.id, [rowKinds.plain(people.ann)]);
      await plant(db, global.id, [
        rowKinds.plain(people.ann),
        rowKinds.sha256Only(people.bob),
        rowKinds.md5Only(people.cat),
        { ...rowKinds.plain(people.eve), tag: Buffer.from('sale') },
        { ...rowKinds.plain(people.joe), removed_at: 2000 },
      ]);
    });

    it('suppresses by whatever it knows of an address, and tells which list does', async () => {
      const found = await findSuppressed(db, list.id, Object.values(people));
      assert.deepEqual(Object.fromEntries([...found].map(([who, lists]) => [who, [...lists].sort()])), {
        [people.ann]: [list.id, global.id],
        [people.bob]: [global.id],
        [people.cat]: [global.id],
      });
      for (const who of Object.values(people)) {
        assert.equal(await isSuppressed(db, list.id, who), found.has(who), who);
      }
      assert.equal(await isSuppressed(db, global.id, people.bob), true);
    });

    it('suppresses mail of one of its tags on every list, as if its rows stood there', async () => {
      assert.equal(await isSuppressed(db, list.id, people.eve, { tag: 'sale' }), true);
      assert.equal(await isSuppressed(db, list.id, people.eve, { tag: 'other' }), false);
      assert.equal(await isSuppressed(db, list.id, people.bob, { tag: 'other' }), true);
    });

    it('suppresses nobody any more once it is unmarked', async () => {
      await set(null);
      assert.deepEqual([...(await findSuppressed(db, list.id, Object.values(people))).keys()], [people.ann]);
    });

    it('does not change what a list itself holds', async () => {
      assert.deepEqual(await findOptOuts(db, list.id, people.bob), []);
      assert.equal((await findOptOuts(db, global.id, people.bob)).length, 1);
    });
  });
});
