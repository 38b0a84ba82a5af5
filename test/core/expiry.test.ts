import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { readChanges, readEntries } from '../../src/core/entries.js';
import type { EntriesOptions } from '../../src/core/entry-rows.js';
import { getCounts, getFeed, hasPendingChanges } from '../../src/core/feed.js';
import { expireOptOuts } from '../../src/core/numbering.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import type { Db } from '../../src/db/connect.js';
import {
  collect,
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  rowsOfList,
  untilLockWait,
  type TestDatabase,
} from '../support/core.js';
import { engine } from '../support/engine.js';

const ann = 'ann@example.com';

describe('What ceases to suppress', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    await test.clear();
    list = await newList(db);
  });

  const record = async (...more: Partial<OptOut>[]) => {
    await writeOptOuts(
      db,
      more.map((one) => rowOf(optOutOf(list, ann, one))),
    );
    await numberAll(db, [list]);
  };
  const all = (options: EntriesOptions) => collect(readEntries(db, [list], options));
  const delta = async (from: number, options: EntriesOptions) =>
    collect(readChanges(db, [list], { from, to: (await getFeed(db)).lastNumber }, options));
  const expiries = async () =>
    (await db<{ expires_at: number }>('expiries').orderBy('expires_at')).map((row) => row.expires_at);

  describe('by its time', () => {
    it('suppresses nobody from that millisecond on, without the keeper', async () => {
      await record({ expiresAt: 5000 });
      assert.equal(await isSuppressed(db, list, ann, { at: 4999 }), true);
      assert.equal(await isSuppressed(db, list, ann, { at: 5000 }), false);
      assert.deepEqual(await all({ at: 4999 }), [`+${ann}`]);
      assert.deepEqual(await all({ at: 5000 }), []);
      assert.deepEqual(await delta(0, { at: 5000 }), [`-${ann}`]);
    });

    it('leaves the feed as a removal, and the counts with it', async () => {
      await record({ expiresAt: 5000 });
      const { lastNumber } = await getFeed(db);
      assert.equal(await expireOptOuts(db, 4999), 0);
      assert.equal(await hasPendingChanges(db, list, 5000), true, 'a 304 would hide the removal that is due');
      assert.equal(await expireOptOuts(db, 9000), 1);
      const [row] = await rowsOfList(db, list);
      assert.deepEqual([row?.removed_at, row?.feed_number], [5000, null]);
      await numberAll(db, [list]);
      assert.deepEqual(await delta(lastNumber, { at: 9000 }), [`-${ann}`]);
      assert.equal((await getCounts(db, list)).addresses, 0);
      assert.deepEqual([await expireOptOuts(db, 9000), await expiries()], [0, []]);
    });

    it('is worked off a limited number at a time, the oldest first', async () => {
      const times = [5000, 3000, 4000, 1000, 2000];
      await plant(
        db,
        list,
        times.map((time) => ({ ...rowKinds.plain(`p${time}@example.com`), expires_at: time })),
      );
      await numberAll(db, [list]);
      assert.equal(await expireOptOuts(db, 9000, 2), 2);
      assert.deepEqual(await expiries(), [3000, 4000, 5000]);
      assert.deepEqual([await expireOptOuts(db, 9000, 2), await expireOptOuts(db, 9000, 2)], [2, 1]);
      assert.equal((await rowsOfList(db, list)).filter((row) => row.removed_at === null).length, 0);
    });

    for (const [how, expiresAt, later] of [
      ['to a later time', 9000, [9000]],
      ['for ever', null, []],
    ] as const) {
      it(`goes on where it was prolonged ${how}`, async () => {
        await record({ expiresAt: 5000 });
        await writeOptOuts(db, [rowOf(optOutOf(list, ann, { recordedAt: 2000, expiresAt }))]);
        // Before and after the prolonged one is numbered.
        assert.equal(await expireOptOuts(db, 6000), 1);
        assert.deepEqual(await expiries(), later);
        await numberAll(db, [list]);
        assert.equal(await expireOptOuts(db, 6000), 0);
        assert.equal(await isSuppressed(db, list, ann, { at: 6000 }), true);
        assert.equal(await expireOptOuts(db, 9000), later.length);
        assert.equal(await isSuppressed(db, list, ann, { at: 9000 }), expiresAt === null);
      });
    }

    it('is told again to a reader who saw it pass before it was prolonged', async () => {
      await record({ expiresAt: 5000 });
      const { lastNumber } = await getFeed(db);
      assert.deepEqual(await delta(0, { at: 5000 }), [`-${ann}`]);
      // Taken in before its time was up, committed after the reader has looked.
      await record({ recordedAt: 4999, expiresAt: 9000 });
      assert.deepEqual(await delta(lastNumber, { at: 5001 }), [`+${ann}`]);
    });

    if (engine === 'mysql') {
      it('is not forgotten where a keeper that was held up meets what another has noted meanwhile', async () => {
        await record({ expiresAt: 5000 });
        await removeOptOuts(db, list, ann, { at: 2000 });
        await numberAll(db, [list]);
        const other = await test.begin();
        await other('expiries')
          .where({ address_key: md5Of(ann) })
          .forUpdate()
          .first();
        const heldUp = expireOptOuts(db, 6000);
        await untilLockWait(db);
        const noted = { list_id: list, address_key: md5Of(ann), tag: Buffer.from('*') };
        await other('expiries').where(noted).update({ expires_at: 9000 });
        await other.commit();
        await heldUp;
        assert.deepEqual(await expiries(), [9000]);
      });
    }
  });

  describe('by one of its tags', () => {
    it('is given as added while another tag suppresses, and as removed after the last', async () => {
      await record({ tag: '*', expiresAt: 5000 }, { tag: 'news' });
      const start = (await getFeed(db)).lastNumber;
      assert.equal(await expireOptOuts(db, 6000), 1);
      await numberAll(db, [list]);
      assert.deepEqual(await delta(start, { at: 6000 }), [`+${ann}`]);
      const middle = (await getFeed(db)).lastNumber;
      assert.equal(await removeOptOuts(db, list, ann, { tag: 'news', at: 7000 }), 1);
      await numberAll(db, [list]);
      assert.deepEqual(await delta(middle, { at: 7000 }), [`-${ann}`]);
      assert.deepEqual(await delta(start, { at: 7000 }), [`-${ann}`, `-${ann}`]);
      assert.deepEqual(await delta(0, { at: 7000 }), [`-${ann}`, `-${ann}`]);
    });

    it('is no news to who asks for another tag, and still suppressed for who asks for this one under *', async () => {
      await record({ tag: '*' }, { tag: 'news' }, { tag: 'shop' });
      const start = (await getFeed(db)).lastNumber;
      await removeOptOuts(db, list, ann, { tag: 'news', at: 2000 });
      await numberAll(db, [list]);
      assert.deepEqual(await delta(start, { at: 2000, tag: 'shop' }), []);
      assert.deepEqual(await delta(start, { at: 2000, tag: 'news' }), [`+${ann}`]);
      const middle = (await getFeed(db)).lastNumber;
      await removeOptOuts(db, list, ann, { tag: '*', at: 3000 });
      await numberAll(db, [list]);
      assert.deepEqual(await delta(middle, { at: 3000, tag: 'news' }), [`-${ann}`]);
      assert.deepEqual(await delta(middle, { at: 3000, tag: 'shop' }), [`+${ann}`]);
    });

    for (const kind of ['plain', 'erased'] as const) {
      it(`is given as added while an entry of its SHA-256 alone suppresses (the row: ${kind})`, async () => {
        await plant(db, list, [
          { ...rowKinds[kind](ann), tag: Buffer.from('news') },
          rowKinds.sha256Only(ann),
        ]);
        await numberAll(db, [list]);
        const start = (await getFeed(db)).lastNumber;
        assert.equal(await removeOptOuts(db, list, ann, { tag: 'news', at: 2000 }), 1);
        await numberAll(db, [list]);
        const [change, ...more] = await delta(start, { at: 2000 });
        assert.deepEqual([change?.[0], more], ['+', []]);
        assert.equal(await isSuppressed(db, list, ann, { at: 2000 }), true);
      });
    }
  });
});
