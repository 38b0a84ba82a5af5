import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sha256Of } from '../../src/core/address.js';
import { readEntriesSince } from '../../src/core/entries-since.js';
import { readChanges, readEntries, type Entry } from '../../src/core/entries.js';
import { formats, textsOf as textsOfEntry, type Format } from '../../src/core/entry-texts.js';
import { readJoined } from '../../src/core/joined-entries.js';
import { linesOfJoined } from '../../src/core/joined-lines.js';
import type { OptOutRecord } from '../../src/core/opt-outs.js';
import { engineOf, type Db } from '../../src/db/connect.js';
import {
  collect,
  migratedDatabase,
  newList,
  numberAll,
  plant,
  rowKinds,
  rowsOfList,
  type PlantedRow,
  type TestDatabase,
} from '../support/core.js';

/** The rules of what suppresses over whole rows in memory, of one list or of several that count. */
interface Asked {
  at: number;
  tag: string | undefined;
}
const concerns = (row: OptOutRecord, { tag }: Asked) =>
  tag === undefined || ['*', tag].includes(String(row.tag));
const isLive = (row: OptOutRecord, asked: Asked) =>
  concerns(row, asked) && row.removed_at === null && (row.expires_at === null || row.expires_at > asked.at);
const keyOf = (row: OptOutRecord) => row.address_key.toString('hex');
const sha256Text = ({ address, sha256 }: OptOutRecord) =>
  (address === null ? sha256 : sha256Of(String(address)))?.toString('hex');
const isSha256Only = (row: OptOutRecord) =>
  row.address === null && sha256Text(row)?.startsWith(keyOf(row)) === true;

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

/** What a download gives, sorted: read by entry, and as the database has joined it. */
const linesOfEntries = (entries: readonly Entry[], format: Format) =>
  entries.flatMap((entry) => textsOfEntry(entry, format)).sort();

async function linesJoined(
  db: Db,
  lists: readonly number[],
  format: Format,
  options: Asked,
): Promise<string[]> {
  const lines: string[] = [];
  for await (const slice of readJoined(db, lists, { ...options, format, atOnce: () => 2 })) {
    const octets = Buffer.concat([...linesOfJoined(slice, format, 'text')]);
    const joined = octets.toString().split('\n').slice(0, -1);
    assert.equal(joined.length, slice.count);
    lines.push(...joined, ...linesOfEntries(slice.others, format));
  }
  return lines.sort();
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
  let other: number;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    await test.clear();
    list = await newList(db);
    other = await newList(db);
  });

  it('take half of the time while others are at work', async () => {
    const statementMs = 40;
    const count = 4000;
    // MariaDB reads as many at once.
    const least = engineOf(db).name === 'sqlite' ? 3 : 1;
    await plant(
      db,
      list,
      Array.from({ length: count }, (_, i) => rowKinds.plain(`p${i}@example.com`)),
    );
    const watched = test.another();
    const read = async (isBusy: boolean, atOnce = 1) => {
      const began: number[] = [];
      const note = ({ sql }: { sql: string }) => {
        if (!sql.includes(' AS joined')) return;
        began.push(performance.now());
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, statementMs);
      };
      watched.on('query', note);
      const options = {
        at: 5,
        tag: undefined,
        format: 'plain',
        isBusy: () => isBusy,
        atOnce: () => atOnce,
      } as const;
      const counts: number[] = [];
      for await (const slice of readJoined(watched, [list], options)) counts.push(slice.count);
      watched.off('query', note);
      return { entries: counts.reduce((sum, one) => sum + one), began };
    };
    const shortestPause = ({ began }: { began: readonly number[] }) =>
      Math.min(...began.slice(1).map((at, i) => at - (began[i] ?? 0)));
    const alone = await read(false);
    assert.deepEqual([alone.entries, alone.began.length >= least], [count, true]);
    if (alone.began.length > 1)
      assert.ok(shortestPause(alone) < 2 * statementMs, String(shortestPause(alone)));
    for (const atOnce of [1, 2]) {
      const busy = await read(true, atOnce);
      assert.equal(busy.entries, count);
      assert.ok(shortestPause(busy) >= 2 * statementMs - 3, `${atOnce} at once: ${shortestPause(busy)}`);
    }
  });

  const asked = fc.record({ at: fc.nat(10), tag: fc.constantFrom(undefined, '*', 'a', 'no such tag') });

  async function checkAll(lists: readonly number[], options: Asked, from: number, since: number) {
    const rowsOfAll = await Promise.all(lists.map((id) => rowsOfList(db, id)));
    const rows = rowsOfAll.flat().sort((a, b) => Buffer.compare(a.address_key, b.address_key));
    const groups = byKey(rows.filter((row) => isLive(row, options)));
    const whole = await entriesOf(readEntries(db, lists, options));
    assert.equal(whole.length, groups.size, 'each address once');
    [...groups.values()].forEach((group, i) => {
      const [entry] = whole.slice(i, i + 1);
      assert.ok(entry?.isSuppressed && textsOf(group).has(textOfEntry(entry)), JSON.stringify(entry));
    });

    for (const format of formats) {
      assert.deepEqual(await linesJoined(db, lists, format, options), linesOfEntries(whole, format), format);
    }

    const to = from + 1500;
    const changed = rows
      .filter((row) => row.feed_number !== null && row.feed_number > from && row.feed_number <= to)
      .filter((row) => concerns(row, options))
      .toSorted((a, b) => (a.feed_number ?? 0) - (b.feed_number ?? 0));
    const standing = new Set([...groups.values()].flat().map(sha256Text));
    const everyRow = byKey(rows);
    const stands = (row: OptOutRecord) =>
      groups.has(keyOf(row)) ||
      (everyRow.get(keyOf(row)) ?? [])
        .map(sha256Text)
        .some((sha256) => sha256 !== undefined && standing.has(sha256));
    // What has to be looked for among all that stands comes last.
    const isSettledLate = (row: OptOutRecord) => isSha256Only(row) && !groups.has(keyOf(row));
    const inOrder = [...changed.filter((row) => !isSettledLate(row)), ...changed.filter(isSettledLate)];
    const told = await entriesOf(readChanges(db, lists, { from, to }, options));
    assert.deepEqual(
      told.map(({ isSuppressed }) => isSuppressed),
      inOrder.map(stands),
    );
    for (const [i, row] of inOrder.entries()) {
      const possible = stands(row) ? [row] : (everyRow.get(keyOf(row)) ?? []);
      assert.ok(told[i] && textsOf(possible).has(textOfEntry(told[i])));
    }
    assert.deepEqual(
      (await entriesOf(readChanges(db, lists, { from, to }, { ...options, withoutSha256Only: true }))).length,
      changed.filter((row) => !isSha256Only(row)).length,
    );

    const recent = byKey(rows.filter((row) => isLive(row, options) && row.recorded_at >= since));
    const found = await entriesOf(readEntriesSince(db, lists, since, options));
    assert.equal(found.length, recent.size, 'each address once');
    const given = new Set(found.map(textOfEntry));
    for (const key of recent.keys()) {
      assert.ok([...textsOf(groups.get(key) ?? [])].some((text) => given.has(text)));
    }
  }

  for (const [what, count] of [
    ['are what its rows come to', 1],
    ['are, with the global list, what the rows of both come to', 2],
  ] as const) {
    it(`${what}: whole, as changes, and since a date`, async function () {
      this.timeout(60_000);
      const lists = [list, other].slice(0, count);
      const rows = fc.record({
        seed: fc.integer({ min: 1, max: 2 ** 30 }),
        people: fc.constantFrom(3, 30, 600),
        // Of so many rows one is on the second list.
        share: fc.constantFrom(2, 3, 100),
      });
      await fc.assert(
        fc.asyncProperty(
          rows,
          asked,
          fc.nat(1500),
          fc.nat(10),
          async ({ seed, people, share }, options, from, since) => {
            await test.clear();
            const planted = randomRows(seed, people);
            // A third of them still waits for its numbers.
            const numbered = Math.floor((planted.length * 2) / 3);
            const plantSome = async (some: readonly PlantedRow[]) => {
              const isOnOther = (i: number) => count === 2 && i % share === 0;
              await plant(
                db,
                list,
                some.filter((_, i) => !isOnOther(i)),
              );
              await plant(
                db,
                other,
                some.filter((_, i) => isOnOther(i)),
              );
            };
            await plantSome(planted.slice(0, numbered));
            await numberAll(db, lists);
            await plantSome(planted.slice(numbered));
            await checkAll(lists, options, from, since);
          },
        ),
        { numRuns: 10, examples: [[{ seed: 7, people: 600, share: 2 }, { at: 5, tag: undefined }, 0, 5]] },
      );
    });
  }

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
    assert.deepEqual((await collect(readEntries(db, [list], { at }))).sort(), everyone);
    assert.deepEqual((await collect(readEntriesSince(db, [list], 0, { at }))).sort(), everyone);
    const joined = await linesJoined(db, [list], 'plain', { at, tag: undefined });
    assert.deepEqual(
      joined.map((line) => `+${line}`),
      everyone,
    );
    const changes = await collect(readChanges(db, [list], { from: 0, to: 9999 }, { at }));
    assert.deepEqual([changes.length, [...new Set(changes)].sort()], [5004, everyone]);
  });

  it('are joined like any other, where their domains have two forms, or their keys begin alike', async () => {
    const names = [
      'ann@xn--bcher-kva.example',
      'xn--bob@example.com',
      '"a,b"@example.com',
      'eve@example.com',
    ];
    const alike = Array.from({ length: 300 }, (_, n) => {
      const key = Buffer.alloc(16);
      key.writeUInt32BE(n, 12);
      return { address_key: key };
    });
    await plant(db, list, [...names.map((name) => rowKinds.plain(name)), ...alike]);
    await plant(db, other, [...names.map((name) => rowKinds.plain(name)), rowKinds.plain('zoe@example.com')]);
    const options = { at: 3000, tag: undefined };
    for (const lists of [[list], [list, other], [other, list]]) {
      const whole = await entriesOf(readEntries(db, lists, options));
      for (const format of formats) {
        const lines = linesOfEntries(whole, format);
        assert.deepEqual(await linesJoined(db, lists, format, options), lines, format);
        assert.equal(new Set(lines).size, lines.length);
      }
    }
  });
});
