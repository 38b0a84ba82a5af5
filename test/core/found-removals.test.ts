import assert from 'node:assert/strict';
import fc from 'fast-check';
import { md5Of } from '../../src/core/address.js';
import { audit } from '../../src/core/audit.js';
import { bulkRemovalsOfList, getBulkRemoval } from '../../src/core/bulk-removals.js';
import { carryOnFound, foundRemovalUnderWay } from '../../src/core/found-removal-jobs.js';
import { mostAtOnce, removeFound, removeNamed } from '../../src/core/found-removals.js';
import { createList, type List } from '../../src/core/lists.js';
import { everyOptOut, readAddressPart, type OptOutFilter } from '../../src/core/opt-out-filter.js';
import { findAll } from '../../src/core/opt-out-find.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { restoreRemoval } from '../../src/core/restore-removal.js';
import {
  migratedDatabase,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';

const actor = 'user:7';
const retryMs = 5000;

describe('Removals of what a search finds', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
  });

  const people = (count: number) => Array.from({ length: count }, (_, i) => `p${i}@example.com`);
  const filter = (more: Partial<OptOutFilter>): OptOutFilter => ({ ...everyOptOut, ...more });
  const key = (email: string, tag = '*') => ({ address_key: md5Of(email), tag: Buffer.from(tag) });

  async function record(emails: readonly string[], more: Partial<OptOut> = {}): Promise<void> {
    const rows = emails.map((email) => rowOf(optOutOf(list.id, email, more))).sort(compareRows);
    for (let i = 0; i < rows.length; i += 500) await writeOptOuts(test.db, rows.slice(i, i + 500));
    await numberAll(test.db, [list.id], 0);
  }
  async function standing(): Promise<string[]> {
    const rows = await rowsOfList(test.db, list.id);
    return rows
      .filter((row) => row.removed_at === null)
      .map((row) => `${String(row.address)} ${row.tag.toString()}`)
      .sort();
  }
  async function carryOn(): Promise<number> {
    for (let calls = 0; calls < 10_000; calls++) if (!(await carryOnFound(test.db))) return calls;
    throw new Error('it comes to no end');
  }
  async function breaches(): Promise<string[]> {
    await numberAll(test.db, [list.id], 0);
    const found: string[] = [];
    for await (const { description } of audit(test.db)) found.push(description);
    return found;
  }
  const asked = (more = {}) => ({ actor, recordedBefore: Date.now(), retryMs, ...more });

  it('take exactly those that were named, hashes too, and bring them back', async () => {
    await record(['ann@example.com', 'bob@example.com']);
    await record(['ann@example.com'], { tag: 'news' });
    await plant(test.db, list.id, [rowKinds.md5Only('cat@example.com')]);
    const keys = [key('ann@example.com', 'news'), key('cat@example.com'), key('nobody@example.com')];
    const removal = await removeNamed(test.db, list, keys, asked());
    assert.deepEqual([removal?.optOuts, removal?.state, removal?.kind], [2, 'removed', 'some']);
    assert.deepEqual(await standing(), ['ann@example.com *', 'bob@example.com *']);
    const noted = (await test.db('history').where({ list_id: list.id, actor })) as {
      action: string;
      subject: Buffer;
      details: string;
    }[];
    assert.deepEqual(
      noted.map(({ action }) => action),
      ['opt-out.removed', 'opt-out.removed'],
    );
    assert.ok(noted.some(({ subject }) => subject.equals(md5Of('cat@example.com'))));
    assert.deepEqual(await breaches(), []);
    assert.equal(await removeNamed(test.db, list, keys, asked()), null);
    assert.equal((await bulkRemovalsOfList(test.db, list.id)).length, 1);
    assert.ok(removal !== null);
    await restoreRemoval(test.db, removal, { actor });
    assert.equal((await standing()).length, 4);
    assert.deepEqual(await breaches(), []);
  });

  it('leave what was recorded, or recorded again, after the question', async () => {
    await record(['ann@example.com', 'bob@example.com'], { recordedAt: 1000 });
    await record(['ann@example.com'], { recordedAt: 3000 });
    const before = { recordedBefore: 2000 };
    await removeNamed(
      test.db,
      list,
      [key('ann@example.com'), key('bob@example.com')],
      asked({ ...before, most: 9 }),
    );
    assert.deepEqual(await standing(), ['ann@example.com *']);
    await record(people(3), { recordedAt: 1000 });
    await record(['p1@example.com'], { recordedAt: 3000 });
    for (const most of [10, mostAtOnce + 1]) {
      await removeFound(test.db, list, everyOptOut, asked({ ...before, most }) as never);
      await carryOn();
      assert.deepEqual(await standing(), ['ann@example.com *', 'p1@example.com *']);
    }
  });

  it('take all that somebody has agreed to, where more has come since', async () => {
    await record(people(10), { recordedAt: 1000 });
    await record(['late1@example.com', 'late2@example.com'], { recordedAt: 3000 });
    const removal = await removeFound(test.db, list, everyOptOut, {
      ...{ actor, recordedBefore: 2000, retryMs, most: 10 },
    });
    assert.equal(removal.optOuts, 10);
    assert.deepEqual(await standing(), ['late1@example.com *', 'late2@example.com *']);

    await restoreRemoval(test.db, removal, { actor });
    const id = await begun(10, 2000);
    await carryOn();
    assert.equal((await getBulkRemoval(test.db, id)).optOuts, 10, 'by the keeper as well');
    assert.deepEqual(await standing(), ['late1@example.com *', 'late2@example.com *']);
  });

  it('never take more than somebody has agreed to', async () => {
    await record(people(30), { recordedAt: 1000 });
    const removal = await removeFound(test.db, list, everyOptOut, { ...asked(), most: 12 });
    assert.equal(removal.optOuts, 12);
    assert.equal((await standing()).length, 18);
  });

  for (const most of [300, mostAtOnce + 1]) {
    const who = most > mostAtOnce ? 'the keeper' : 'the caller';
    it(`take what the search finds and nothing else, carried out by ${who}`, async () => {
      await record(people(250), { recordedAt: 1000 });
      await record(people(20), { tag: 'news', recordedAt: 1000 });
      await record(['q1@example.org'], { tag: 'news', recordedAt: 1000 });
      const before = await standing();
      const searched = filter({ tag: 'news', address: readAddressPart('@example.com') });
      const begun = await removeFound(test.db, list, searched, { ...asked(), most });
      await carryOn();
      const removal = await getBulkRemoval(test.db, begun.id);
      assert.equal(removal.optOuts, 20);
      assert.equal(await foundRemovalUnderWay(test.db, removal.id), null);
      assert.deepEqual(
        await standing(),
        before.filter((one) => !one.endsWith('@example.com news')),
      );
      const { details } = (await test
        .db('history')
        .where({ list_id: list.id, action: 'opt-outs.removed' })
        .first()) as { details: string };
      assert.deepEqual(JSON.parse(details), {
        ...{ removal: removal.id, kind: 'some' },
        found_by: { address: 'domain', tag: 'news', state: 'standing' },
      });
      assert.deepEqual(await breaches(), []);
      assert.equal((await restoreRemoval(test.db, removal, { actor })).restored, 20);
      assert.deepEqual(await standing(), before);
    });
  }

  it('stop where somebody takes them back before they are over', async () => {
    await record(people(2500), { recordedAt: 1000 });
    const before = await standing();
    const removal = await begun(mostAtOnce + 1);
    await carryOnFound(test.db);
    const some = (await getBulkRemoval(test.db, removal)).optOuts;
    assert.ok(some > 0 && some < 2500, String(some));
    const under = await foundRemovalUnderWay(test.db, removal);
    assert.ok(under !== null && under.looked >= some);
    await restoreRemoval(test.db, await getBulkRemoval(test.db, removal), { actor });
    await carryOn();
    assert.deepEqual(await standing(), before);
    assert.equal(await foundRemovalUnderWay(test.db, removal), null);
    assert.deepEqual(await breaches(), []);
  }).timeout(60_000);

  it('are carried out once, whoever does it at the same time', async () => {
    await record(people(900), { recordedAt: 1000 });
    const removal = await begun(mostAtOnce + 1);
    const other = test.another();
    for (let calls = 0; calls < 1000; calls++) {
      const [more] = await Promise.all([carryOnFound(test.db), carryOnFound(other).catch(() => true)]);
      if (!more) break;
    }
    assert.equal((await getBulkRemoval(test.db, removal)).optOuts, 900);
    assert.deepEqual(await standing(), []);
    assert.deepEqual(await breaches(), []);
  }).timeout(60_000);

  it('come to what the search told, whichever way they are carried out', async function () {
    this.timeout(120_000);
    const row = fc.record({
      email: fc.constantFrom(...people(12), 'ann@example.org', 'bob@example.org'),
      tag: fc.constantFrom('*', 'a'),
      source: fc.constantFrom<OptOut['source'][]>('page', 'api'),
      recordedAt: fc.constantFrom(1000, 2000, 3000),
    });
    const search = fc.record({
      address: fc
        .constantFrom(null, 'p1', '*1*', '@example.org', 'ann@example.org')
        .map((text) => (text === null ? null : readAddressPart(text))),
      tag: fc.constantFrom(null, '*', 'a'),
      source: fc.constantFrom(null, 'page' as const),
      from: fc.constantFrom(null, 1500),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 3, maxLength: 30 }),
        search,
        fc.boolean(),
        async (rows, of, isLarge) => {
          list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
          for (const { email, ...more } of rows) {
            await writeOptOuts(test.db, [rowOf(optOutOf(list.id, email, more))]);
          }
          await numberAll(test.db, [list.id], 0);
          const searched = filter(of);
          let told = 0;
          for await (const found of findAll(test.db, list.id, searched)) told += found.length;
          const most = isLarge ? mostAtOnce + 1 : told;
          const before = await standing();
          const { id } = await removeFound(test.db, list, searched, { ...asked(), most });
          await carryOn();
          assert.equal((await getBulkRemoval(test.db, id)).optOuts, told);
          assert.equal((await standing()).length, before.length - told);
          await numberAll(test.db, [list.id], 0);
          for await (const found of findAll(test.db, list.id, searched)) assert.deepEqual(found, []);
          await restoreRemoval(test.db, await getBulkRemoval(test.db, id), { actor });
          assert.deepEqual(await standing(), before);
        },
      ),
      { numRuns: 25 },
    );
  });

  /** A removal that is left to the keeper from its first row on. */
  async function begun(most: number, recordedBefore = Date.now()): Promise<number> {
    const at = Date.now();
    const [id = 0]: number[] = await test.db('bulk_removals').insert({
      ...{ account_id: 1, list_id: list.id, kind: 'some', at, actor, state: 'removed' },
      ...{ carried_at: at, finished_at: at },
    });
    await test.db('found_removals').insert({
      ...{ removal_id: id, list_id: list.id, filter: JSON.stringify(everyOptOut) },
      ...{ recorded_before: recordedBefore, most },
    });
    return id;
  }
});
