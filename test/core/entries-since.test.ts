import assert from 'node:assert/strict';
import { readEntriesSince } from '../../src/core/entries-since.js';
import { numberChanges } from '../../src/core/numbering.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import {
  collect,
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  type TestDatabase,
} from '../support/core.js';

describe('The entries of a list since a date, while the list changes', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  let global: number;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    await test.clear();
    list = await newList(db);
    global = await newList(db);
  });

  const at = 3000;
  const ann = 'ann@example.com';
  const put = (tag: string, on = list) => writeOptOuts(db, [rowOf(optOutOf(on, ann, { tag }))]);
  const fill = async (from: number) => {
    await plant(
      db,
      list,
      Array.from({ length: 1100 }, (_, i) => rowKinds.plain(`p${from + i}@example.com`)),
    );
    await numberAll(db, [list]);
  };
  /** Reads one slice, lets `meanwhile` happen, reads the rest: whether Ann was given. */
  const annIsGiven = async (meanwhile: () => Promise<unknown>) => {
    const slices = readEntriesSince(db, [list, global], 0, { at });
    const first = await slices.next();
    assert.ok(!first.done && first.value.length > 0);
    await meanwhile();
    const rest = await collect(slices);
    return rest.includes(`+${ann}`) || first.value.some((entry) => String(entry.address) === ann);
  };

  it('gives an address whose second row is gone when it is reached', async () => {
    await put('b');
    await fill(0);
    await put('a');
    await numberAll(db, [list]);
    assert.ok(await annIsGiven(() => removeOptOuts(db, list, ann, { tag: 'a', at: 2000 })));
  });

  it('gives an address whose row is given up and recorded again before it is reached', async () => {
    await fill(0);
    await put('a');
    await numberAll(db, [list]);
    const again = async () => {
      await removeOptOuts(db, list, ann, { at: 2000 });
      await put('a');
    };
    assert.ok(await annIsGiven(again));
  });

  it('gives an address that another tag is added to in the middle', async () => {
    await fill(0);
    await put('b');
    await numberAll(db, [list]);
    assert.ok(await annIsGiven(() => put('a')));
  });

  it('gives an address that moves to the global list, or from it, before it is reached', async () => {
    for (const [from, to] of [
      [list, global],
      [global, list],
    ] as const) {
      await test.clear();
      await fill(0);
      await put('*', from);
      await numberAll(db, [list, global]);
      const move = async () => {
        await put('*', to);
        await removeOptOuts(db, from, ann, { at: 2000 });
      };
      assert.ok(await annIsGiven(move));
    }
  });

  it('gives an address once that stands on both lists, numbered or not', async () => {
    await put('a', global);
    await fill(0);
    await put('b');
    await numberAll(db, [list, global]);
    await put('c', global);
    const given = await collect(readEntriesSince(db, [list, global], 0, { at }));
    assert.equal(given.filter((text) => text === `+${ann}`).length, 1);
    assert.equal(given.length, 1101);
  });

  it('gives what is numbered between its last look at the feed and its look at what waits', async () => {
    await fill(0);
    await put('a');
    const slices = readEntriesSince(db, [list], 0, { at });
    await slices.next();
    await slices.next();
    await numberChanges(db, 1);
    assert.deepEqual(await collect(slices), [`+${ann}`]);
  });
});
