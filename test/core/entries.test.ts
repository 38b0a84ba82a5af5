import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sha256Of } from '../../src/core/address.js';
import { readEntriesSince } from '../../src/core/entries-since.js';
import { readChanges, readEntries, type Entry } from '../../src/core/entries.js';
import { numberChanges } from '../../src/core/numbering.js';
import { removeOptOuts, rowOf, writeOptOuts, type OptOutRecord } from '../../src/core/opt-outs.js';
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
  type PlantedRow,
  type TestDatabase,
} from '../support/core.js';

/** The rules of DESIGN.md over whole rows in memory. */
interface Asked {
  at: number;
  tag: string | undefined;
}
const concerns = (row: OptOutRecord, { tag }: Asked) =>
  tag === undefined || ['*', tag].includes(String(row.tag));
const isLive = (row: OptOutRecord, asked: Asked) =>
  concerns(row, asked) && row.removed_at === null && (row.expires_at === null || row.expires_at > asked.at);
const keyOf = (row: OptOutRecord) => row.address_key.toString('hex');

function byKey(rows: readonly OptOutRecord[]): Map<string, OptOutRecord[]> {
  const groups = new Map<string, OptOutRecord[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

/** The entries that may stand for these rows of one address: where one says more, those that say less may not. */
function textsOf(rows: readonly OptOutRecord[]): Set<string> {
  const withAddress = rows.filter((row) => row.address !== null);
  const withHash = rows.filter((row) => row.sha256 !== null);
  const telling = withAddress.length > 0 ? withAddress : withHash.length > 0 ? withHash : rows;
  return new Set(telling.map((row) => textOf(row.address, keyOf(row), row.sha256)));
}
function textOf(address: Buffer | null, key: string, sha256: Buffer | null): string {
  const isSha256Only = address === null && sha256?.toString('hex').startsWith(key) === true;
  return [address, isSha256Only ? '-' : key, sha256?.toString('hex')]
    .map((part) => String(part ?? '-'))
    .join(' ');
}
const textOfEntry = ({ address, md5, sha256 }: Entry) => textOf(address, md5?.toString('hex') ?? '-', sha256);

async function entriesOf(slices: AsyncIterable<Entry[]>): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const slice of slices) entries.push(...slice);
  return entries;
}

/** Reproducible rows from a seed: some three a person, in bunches of tags that the slices have to cut. */
function randomRows(seed: number, people: number): PlantedRow[] {
  let state = seed;
  const random = (below: number) => (state = (state * 48271) % 2147483647) % below;
  return Array.from({ length: people }, (_, i) => {
    const email = `p${i}@example.com`;
    const tags = ['*', 'a', 'b', 'c', ...Array.from({ length: random(6) }, (_, n) => `t${n}`)];
    const kinds = [rowKinds.plain, rowKinds.plain, rowKinds.md5Only, rowKinds.erased, rowKinds.sha256Only];
    return tags
      .filter(() => random(2) === 0)
      .map((tag) => ({
        ...kinds[random(kinds.length)]?.(email),
        tag: Buffer.from(tag),
        recorded_at: random(10),
        removed_at: random(4) === 0 ? random(10) : null,
        expires_at: random(4) === 0 ? random(10) : null,
      }));
  }).flat();
}

describe('The entries of a list', () => {
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

  const asked = fc.record({ at: fc.nat(10), tag: fc.constantFrom(undefined, '*', 'a', 'no such tag') });

  async function checkAll(rows: readonly OptOutRecord[], options: Asked, from: number, since: number) {
    const groups = byKey(rows.filter((row) => isLive(row, options)));
    const whole = await entriesOf(readEntries(db, list, options));
    assert.equal(whole.length, groups.size, 'each address once');
    [...groups.values()].forEach((group, i) => {
      const [entry] = whole.slice(i, i + 1);
      assert.ok(entry?.isSuppressed && textsOf(group).has(textOfEntry(entry)), JSON.stringify(entry));
    });

    const to = from + 1500;
    const changed = rows
      .filter((row) => row.feed_number !== null && row.feed_number > from && row.feed_number <= to)
      .filter((row) => concerns(row, options))
      .toSorted((a, b) => (a.feed_number ?? 0) - (b.feed_number ?? 0));
    const stands = (row: OptOutRecord) => {
      const sha256 = row.address === null ? row.sha256 : sha256Of(String(row.address));
      return groups.has(keyOf(row)) || (sha256 !== null && groups.has(sha256.toString('hex').slice(0, 32)));
    };
    assert.deepEqual(
      (await entriesOf(readChanges(db, list, { from, to }, options))).map((entry) => [
        entry.isSuppressed,
        textOfEntry(entry),
      ]),
      changed.map((row) => [stands(row), textOf(row.address, keyOf(row), row.sha256)]),
    );

    const recent = byKey(rows.filter((row) => isLive(row, options) && row.recorded_at >= since));
    const found = await entriesOf(readEntriesSince(db, list, since, options));
    assert.equal(found.length, recent.size, 'each address once');
    const given = new Set(found.map(textOfEntry));
    for (const key of recent.keys()) {
      assert.ok([...textsOf(groups.get(key) ?? [])].some((text) => given.has(text)));
    }
  }

  it('are what its rows come to: whole, as changes, and since a date', async function () {
    this.timeout(60_000);
    const rows = fc.record({
      seed: fc.integer({ min: 1, max: 2 ** 30 }),
      people: fc.constantFrom(3, 30, 600),
    });
    await fc.assert(
      fc.asyncProperty(
        rows,
        asked,
        fc.nat(1500),
        fc.nat(10),
        async ({ seed, people }, options, from, since) => {
          await test.clear();
          const planted = randomRows(seed, people);
          // A third of them still waits for its numbers.
          const numbered = Math.floor((planted.length * 2) / 3);
          await plant(db, list, planted.slice(0, numbered));
          await numberAll(db, [list]);
          await plant(db, list, planted.slice(numbered));
          await checkAll(await rowsOfList(db, list), options, from, since);
        },
      ),
      { numRuns: 10, examples: [[{ seed: 7, people: 600 }, { at: 5, tag: undefined }, 0, 5]] },
    );
  });

  it('are all met where one address has more tags than a slice has rows, and only the last one suppresses', async () => {
    const tags = Array.from({ length: 2500 }, (_, i) => `t${String(i).padStart(4, '0')}`);
    const many = (email: string) =>
      tags.map((tag, i) => ({
        ...rowKinds.plain(email),
        tag: Buffer.from(tag),
        removed_at: i === tags.length - 1 ? null : 2000,
      }));
    const others = ['bob', 'eve', 'joe', 'sue'].map((name) => rowKinds.plain(`${name}@example.com`));
    await plant(db, list, [...many('ann@example.com'), ...many('zoe@example.com'), ...others]);
    await numberAll(db, [list]);
    const everyone = ['ann', 'bob', 'eve', 'joe', 'sue', 'zoe'].map((name) => `+${name}@example.com`);
    const at = 3000;
    assert.deepEqual((await collect(readEntries(db, list, { at }))).sort(), everyone);
    assert.deepEqual((await collect(readEntriesSince(db, list, 0, { at }))).sort(), everyone);
    const changes = await collect(readChanges(db, list, { from: 0, to: 9999 }, { at }));
    assert.deepEqual([changes.length, [...new Set(changes)].sort()], [5004, everyone]);
  });

  describe('since a date, while the list changes', () => {
    const at = 3000;
    const ann = 'ann@example.com';
    const put = (tag: string) => writeOptOuts(db, [rowOf(optOutOf(list, ann, { tag }))]);
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
      const slices = readEntriesSince(db, list, 0, { at });
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

    it('gives what is numbered between its last look at the feed and its look at what waits', async () => {
      await fill(0);
      await put('a');
      const slices = readEntriesSince(db, list, 0, { at });
      await slices.next();
      await slices.next();
      await numberChanges(db, 1);
      assert.deepEqual(await collect(slices), [`+${ann}`]);
    });
  });
});
