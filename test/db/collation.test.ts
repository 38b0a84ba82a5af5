import assert from 'node:assert/strict';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { rowOf } from '../../src/core/opt-outs.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import { addTags, findTags } from '../../src/core/tags.js';
import { migratedDatabase, newList, optOutOf, rowsOfList, type TestDatabase } from '../support/core.js';

describe('No collation, padding or affinity', () => {
  let test: TestDatabase;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await newList(test.db);
  });

  it('makes one address of two', async () => {
    const emails = ['cure', 'cüre', 'čure', 'straße', 'strasse', '007', '7', '7.0', 'ﬁ', 'fi'].map(
      (local) => `${local}@example.com`,
    );
    await writeOptOuts(
      test.db,
      emails.map((email) => rowOf(optOutOf(list, email))),
    );
    const rows = await rowsOfList(test.db, list);
    assert.deepEqual(rows.map((row) => String(row.address)).sort(), emails.toSorted());
    for (const email of emails) {
      const found = await test.db('opt_outs').where({ list_id: list, address: Buffer.from(email) });
      assert.equal(found.length, 1, email);
    }
    assert.equal(await isSuppressed(test.db, list, 'curé@example.com', { at: 2000 }), false);
  });

  // A trailing space counts for nothing to MySQL's padding collations, nor a NUL to those that ignore it.
  const tags = ['news', 'News', 'NEWS', 'néws', 'news ', 'news\0', 'news  ', '1', '01', '1.0', '1e0'];

  it('makes one tag of two', async () => {
    const at = 2000;
    await writeOptOuts(
      test.db,
      tags.map((tag) => rowOf(optOutOf(list, 'ann@example.com', { tag }))),
    );
    const found = await findOptOuts(test.db, list, 'ann@example.com');
    assert.deepEqual(found.map((row) => row.tag.toString()).sort(), tags.toSorted());
    assert.ok(found.every((row) => row.repeats === 0));
    for (const tag of tags) assert.ok(await isSuppressed(test.db, list, 'ann@example.com', { tag, at }), tag);
    for (const tag of ['news   ', 'nEws', '1.00', '']) {
      assert.equal(await isSuppressed(test.db, list, 'ann@example.com', { tag, at }), false, tag);
    }
  });

  it("makes one of two of a list's own tags", async () => {
    const known = ['news', 'News', 'néws', '1', '01', '1.0'];
    await addTags(test.db, list, known);
    await addTags(test.db, list, known);
    assert.deepEqual([...(await findTags(test.db, list))].sort(), known.toSorted());
  });
});
