import assert from 'node:assert/strict';
import fc from 'fast-check';
import { searchByAddress, searchStretch, type SearchOptions } from '../../src/core/opt-out-search.js';
import type { OptOutRecord } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import {
  migratedDatabase,
  newList,
  plant,
  rowKinds,
  rowsOfList,
  type PlantedRow,
  type TestDatabase,
} from '../support/core.js';
import { engine } from '../support/engine.js';
import { plansOf } from '../support/plans.js';

/** What a page holds: each address with its tags, those of several lists one after the other. */
type Page = [address: string, tags: string[]][];

describe('The search by address', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await newList(db);
  });

  async function search(options: Partial<SearchOptions>, lists: readonly number[] = [list]): Promise<Page> {
    const found = await searchByAddress(db, lists, { limit: 100, at: 5000, ...options });
    return found.map(({ address, optOuts }) => [address, optOuts.map(({ tag }) => tag.toString())]);
  }
  const addresses = async (options: Partial<SearchOptions>, lists?: readonly number[]) =>
    (await search(options, lists)).map(([address]) => address);
  const row = (email: string, more: PlantedRow = {}): PlantedRow => ({ ...rowKinds.plain(email), ...more });
  const tagged = (email: string, tag: string, more: PlantedRow = {}) =>
    row(email, { tag: Buffer.from(tag), ...more });
  const plantNamed = (emails: readonly string[], of = list) =>
    plant(
      db,
      of,
      emails.map((email) => row(email)),
    );

  /** How many rows the database gave. */
  async function rowsRead(work: () => Promise<unknown>): Promise<number> {
    let rows = 0;
    const count = (response: unknown, { sql }: { sql: string }) => {
      if (sql.startsWith('select')) rows += (response as unknown[]).length;
    };
    db.on('query-response', count);
    await work();
    db.removeListener('query-response', count);
    return rows;
  }

  it('goes by octets, forwards and backwards, each page in ascending order', async () => {
    const ordered = [
      '"z"@a.example',
      '+@a.example',
      'a@a.example',
      'a@b.example',
      'b_@a.example',
      'é@a.example',
      '\u{1f600}@a.example',
    ];
    await plantNamed(ordered.toReversed());
    assert.deepEqual(await addresses({}), ordered);
    assert.deepEqual(await addresses({ backwards: true }), ordered);
    assert.deepEqual(await addresses({ limit: 2 }), ordered.slice(0, 2));
    assert.deepEqual(await addresses({ limit: 2, backwards: true }), ordered.slice(-2));
    assert.deepEqual(await addresses({ limit: 2, beyond: 'a@a.example' }), ordered.slice(3, 5));
    assert.deepEqual(
      await addresses({ limit: 2, beyond: 'a@a.example', backwards: true }),
      ordered.slice(0, 2),
    );
    // A pivot that is not there any more, and ones beyond either end.
    assert.deepEqual(await addresses({ beyond: 'a@a.exampld', limit: 1 }), ['a@a.example']);
    assert.deepEqual(await addresses({ beyond: '\u{10ffff}' }), []);
    assert.deepEqual(await addresses({ beyond: '!', backwards: true }), []);
  });

  it('keeps to a prefix, at the borders of octets as well', async () => {
    const ends = [
      'a\u007f@x.example',
      'a\u0080@x.example',
      'a\u07ff@x.example',
      'a\u0800@x.example',
      'a\uffff@x.example',
    ];
    const high = ['a\u{10fffe}@x.example', 'a\u{10ffff}@x.example', 'b@x.example'];
    const all = [...ends, ...high].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    await plantNamed(all);
    assert.deepEqual(await addresses({ prefix: 'a' }), all.slice(0, -1));
    assert.deepEqual(await addresses({ prefix: 'a\u007f' }), ['a\u007f@x.example']);
    assert.deepEqual(await addresses({ prefix: 'a\u{10ffff}' }), ['a\u{10ffff}@x.example']);
    assert.deepEqual(await addresses({ prefix: 'a\uffff', backwards: true }), ['a\uffff@x.example']);
    assert.deepEqual(await addresses({ prefix: 'b@x.example' }), ['b@x.example']);
    assert.deepEqual(await addresses({ prefix: 'b@x.example.com' }), []);
    assert.deepEqual(await addresses({ prefix: '%' }), []);
    assert.deepEqual(await addresses({ prefix: '_' }), []);
    assert.deepEqual(await addresses({ prefix: 'A' }), [], 'as it is: who asks normalises it');
    // An address that ends in the highest octets that there are.
    const highest = Buffer.from([0x62, 0xff, 0xff]);
    await plant(db, list, [{ address_key: Buffer.alloc(16, 7), address: highest }]);
    const found = await searchByAddress(db, [list], { prefix: 'b', limit: 10 });
    assert.deepEqual(found.at(-1)?.optOuts[0]?.address, highest);
  });

  it('leaves out what suppresses nobody, and those of whom only a hash is known', async () => {
    await plant(db, list, [
      row('ann@example.com'),
      row('bob@example.com', { removed_at: 2000 }),
      row('cat@example.com', { expires_at: 5000 }),
      row('dan@example.com', { expires_at: 5001 }),
      rowKinds.md5Only('eve@example.com'),
      rowKinds.sha256Only('fay@example.com'),
      rowKinds.erased('gil@example.com'),
      tagged('hal@example.com', 'news', { removed_at: 2000 }),
      tagged('hal@example.com', 'offers'),
    ]);
    await plantNamed(['zoe@example.com'], await newList(db));
    const expected = [
      ['ann@example.com', ['*']],
      ['dan@example.com', ['*']],
      ['hal@example.com', ['offers']],
    ];
    assert.deepEqual(await search({}), expected);
    assert.deepEqual(await search({ backwards: true }), expected);
    assert.deepEqual(await search({ tag: 'offers' }), [['hal@example.com', ['offers']]]);
    assert.deepEqual(await search({ tag: 'news' }), []);
  });

  it('tells the opt-outs of several lists by address', async () => {
    const global = await newList(db);
    await plant(db, list, [tagged('ann@example.com', 'news'), row('cat@example.com')]);
    await plant(db, global, [row('ann@example.com'), row('bob@example.com'), row('dan@example.com')]);
    const expected: Page = [
      ['ann@example.com', ['news', '*']],
      ['bob@example.com', ['*']],
      ['cat@example.com', ['*']],
      ['dan@example.com', ['*']],
    ];
    const both = [list, global];
    assert.deepEqual(await search({}, both), expected);
    assert.deepEqual(await search({ limit: 2 }, both), expected.slice(0, 2));
    assert.deepEqual(await search({ limit: 2, backwards: true }, both), expected.slice(2));
    assert.deepEqual(await search({ limit: 2, beyond: 'bob@example.com' }, both), expected.slice(2));
    assert.deepEqual(await search({ prefix: 'd' }, both), expected.slice(3));
    const [ann] = await searchByAddress(db, both, { limit: 1 });
    assert.deepEqual(
      ann?.optOuts.map(({ list_id }) => list_id),
      both,
    );
  });

  it('tells all tags of an address, however many, wherever a slice ends', async () => {
    const tags = Array.from({ length: 1000 }, (_, n) => `t${String(n).padStart(4, '0')}`);
    const all = ['*', ...tags];
    await plant(db, list, [
      row('ann@example.com'),
      ...all.map((tag) => tagged('bob@example.com', tag)),
      ...['a', 'b', 'c'].map((tag) => tagged('cat@example.com', tag)),
    ]);
    const expected: Page = [
      ['ann@example.com', ['*']],
      ['bob@example.com', all],
      ['cat@example.com', ['a', 'b', 'c']],
    ];
    for (const limit of [1, 2, 3, 4, 499, 500, 1000]) {
      assert.deepEqual(await search({ limit }), expected.slice(0, limit), `${limit}`);
      assert.deepEqual(await search({ limit, backwards: true }), expected.slice(-limit), `${limit}`);
    }
    assert.deepEqual(await search({ beyond: 'ann@example.com', limit: 1 }), expected.slice(1, 2));
  });

  it('pages both ways through more than a slice, and tells everybody once', async () => {
    const emails = Array.from({ length: 1203 }, (_, n) => `${String(n).padStart(4, '0')}@example.com`);
    await plant(
      db,
      list,
      emails.flatMap((email, n) => (n % 3 === 0 ? [row(email), tagged(email, 'news')] : [row(email)])),
    );
    for (const limit of [7, 100, 500, 1000]) {
      const forwards: string[] = [];
      for (let beyond: string | null = null; ; beyond = forwards.at(-1) ?? null) {
        const page = await addresses({ limit, beyond });
        if (page.length === 0) break;
        forwards.push(...page);
      }
      assert.deepEqual(forwards, emails, `${limit}`);
      const backwards: string[] = [];
      for (let beyond: string | null = null; ; beyond = backwards[0] ?? null) {
        const page = await addresses({ limit, beyond, backwards: true });
        if (page.length === 0) break;
        backwards.unshift(...page);
      }
      assert.deepEqual(backwards, emails, `${limit}`);
    }
  });

  it('reads little where little is asked for, wherever it stands and whatever was removed before it', async () => {
    const email = (n: number) => `${String(n).padStart(5, '0')}@example.com`;
    const many = Array.from({ length: 4000 }, (_, n) =>
      row(email(n), { removed_at: n % 4000 < 3000 ? 2000 : null }),
    );
    await plant(db, list, many);
    const global = await newList(db);
    await plantNamed(['00001@example.com', 'zoe@example.com'], global);
    for (const options of [
      {},
      { backwards: true },
      { beyond: email(3900) },
      { prefix: '03' },
      { beyond: email(1) },
    ]) {
      const read = await rowsRead(async () => {
        assert.equal((await addresses({ ...options, limit: 10 })).length, 10);
      });
      assert.ok(read <= 11, `${read} rows for ${JSON.stringify(options)}`);
    }
    const both = await rowsRead(() => search({ limit: 10 }, [list, global]));
    assert.ok(both <= 22, `${both} rows`);
    const whole = await rowsRead(() => search({ limit: 1000 }));
    assert.ok(whole < 1100, `${whole} rows`);
  });

  it('goes by the index alone, without a sort', async () => {
    const global = await newList(db);
    const many = (of: number) => Array.from({ length: 3000 }, (_, n) => row(`${of}-${n}@example.com`));
    await plant(db, list, many(0));
    await plant(db, global, many(1));
    const middle = '0-1500@example.com';
    const searches: Partial<SearchOptions>[] = [
      ...[{}, { backwards: true }, { limit: 1000 }, { prefix: '0-1' }, { prefix: '0-1', backwards: true }],
      ...[
        { beyond: middle },
        { beyond: middle, backwards: true },
        { beyond: middle, prefix: '0-2', tag: '*' },
      ],
    ];
    // MySQL makes statistics by itself; SQLite has none unless somebody asks for them.
    for (const isAnalysed of engine === 'mysql' ? [false, true] : [false]) {
      if (isAnalysed) await db.raw('ANALYZE TABLE opt_outs');
      for (const options of searches) {
        const all = await plansOf(db, () => search(options, [list, global]));
        const plans = all.filter(({ table }) => table === 'opt_outs');
        assert.ok(plans.length > 0);
        for (const { index, isScan, isSorted, sql } of plans) {
          assert.deepEqual([index, isScan, isSorted], ['opt_outs_address', false, false], sql);
          assert.doesNotMatch(sql, /offset/i);
        }
      }
    }
  });

  it('stops after so many rows, and goes on where it has stopped: nobody is passed over, or told twice', async () => {
    const global = await newList(db);
    const emails = Array.from({ length: 2000 }, (_, n) => `${String(n).padStart(4, '0')}@example.com`);
    const tagOf = (n: number) => (n % 400 === 0 ? 'offers' : '*');
    await plant(
      db,
      list,
      emails.map((email, n) => tagged(email, tagOf(n))),
    );
    await plant(
      db,
      global,
      emails.filter((_, n) => n % 3 === 0).map((email, n) => tagged(email, tagOf(3 * n + 200))),
    );
    const expected = emails.filter((_, n) => n % 400 === 0 || (n % 3 === 0 && (n + 200) % 400 === 0));
    for (const backwards of [false, true]) {
      const found: string[] = [];
      let stops = 0;
      for (let beyond: string | null = null; ;) {
        const asked = { limit: 2, tag: 'offers', at: 5000, rows: 100, beyond, backwards };
        const stretch = await searchStretch(db, [list, global], asked);
        const page = stretch.found.map(({ address }) => address);
        found.push(...(backwards ? page.toReversed() : page));
        stops += Number(stretch.stoppedAt !== null);
        beyond = stretch.stoppedAt ?? found.at(-1) ?? null;
        if (stretch.stoppedAt === null && page.length < 2) break;
      }
      assert.deepEqual(found, backwards ? expected.toReversed() : expected);
      assert.ok(stops > 5, `${stops} stops`);
    }
    const signal = AbortSignal.abort(new Error('gone'));
    await assert.rejects(searchStretch(db, [list], { limit: 2, rows: 100, signal }), { message: 'gone' });
  });

  const removal = (state: string, at: number) =>
    db('bulk_removals').insert({
      ...{ account_id: 1, list_id: list, kind: 'all', at, actor: 'test', state },
      carried_at: at,
    });

  it('passes over what a removal under way has yet to remove, wherever the rest of an address stands', async () => {
    await removal('removing', 2000);
    const old = Array.from({ length: 1850 }, (_, n) => row(`a${String(n).padStart(4, '0')}@example.com`));
    const tags = Array.from({ length: 300 }, (_, n) => `t${String(n).padStart(3, '0')}`);
    // Behind the first slice and before it, one tag of an address was recorded again.
    await plant(db, list, [
      ...old,
      ...tags.map((tag) => tagged('bob@example.com', tag)),
      tagged('bob@example.com', 't999', { last_at: 2000 }),
      ...tags.map((tag) => tagged('cat@example.com', tag)),
      tagged('dan@example.com', 'news', { last_at: 3000 }),
      tagged('dan@example.com', 'offers'),
    ]);
    const expected: Page = [
      ['bob@example.com', ['t999']],
      ['dan@example.com', ['news']],
    ];
    assert.deepEqual(await search({}), expected);
    assert.deepEqual(await search({ backwards: true }), expected);
    assert.deepEqual(await search({ limit: 1 }), expected.slice(0, 1));
    assert.deepEqual(await search({ limit: 1, backwards: true }), expected.slice(1));
    assert.deepEqual(await search({ prefix: 'a' }), []);
  });

  it('answers nothing while a removal is taken back: half of the list must not pass for all of it', async () => {
    await plantNamed(['ann@example.com']);
    await removal('restoring', 2000);
    await assert.rejects(search({}), { name: 'Unavailable' });
    await assert.rejects(search({}, [await newList(db), list]), { name: 'Unavailable' });
  });

  it('comes to what a search through all rows does', async function () {
    this.timeout(60_000);
    const email = fc
      .tuple(
        fc.string({ unit: fc.constantFrom('a', 'b', '.', 'é', '\u{10ffff}'), minLength: 1, maxLength: 3 }),
        fc.constantFrom('x', 'y'),
      )
      .map(([local, domain]) => `${local}@${domain}.example`);
    const planted = fc.record({
      email,
      tag: fc.constantFrom('*', 'a', 'b', 'é'),
      isGlobal: fc.boolean(),
      kind: fc.constantFrom('plain', 'plain', 'plain', 'removed', 'expired', 'later', 'hash'),
    });
    const options = fc.record({
      prefix: fc.oneof(
        fc.constant(''),
        email.map((text) => text.slice(0, 2)),
        email,
      ),
      beyond: fc.option(email),
      backwards: fc.boolean(),
      limit: fc.integer({ min: 1, max: 6 }),
      tag: fc.option(fc.constantFrom('*', 'a'), { nil: undefined }),
      isBoth: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(planted, {
          maxLength: 40,
          selector: ({ email: of, tag, isGlobal }) => `${of} ${tag} ${isGlobal}`,
        }),
        fc.array(options, { minLength: 1, maxLength: 8 }),
        async (rows, asked) => {
          const lists = [await newList(db), await newList(db)];
          for (const isGlobal of [false, true]) {
            await plant(
              db,
              lists[Number(isGlobal)] ?? 0,
              rows.filter((one) => one.isGlobal === isGlobal).map(plantedRow),
            );
          }
          const standing = [
            ...(await rowsOfList(db, lists[0] ?? 0)),
            ...(await rowsOfList(db, lists[1] ?? 0)),
          ];
          for (const { isBoth, tag, ...rest } of asked) {
            const of = isBoth ? lists : lists.slice(0, 1);
            const all = tag === undefined ? rest : { ...rest, tag };
            assert.deepEqual(
              await search(all, of),
              naive(standing, of, all),
              JSON.stringify({ rows, all, of }),
            );
          }
        },
      ),
      { numRuns: 60 },
    );

    function plantedRow({ email: of, tag, kind }: { email: string; tag: string; kind: string }): PlantedRow {
      const more = {
        removed: { removed_at: 2000 },
        expired: { expires_at: 4000 },
        later: { expires_at: 6000 },
      }[kind];
      return { ...(kind === 'hash' ? rowKinds.md5Only(of) : row(of)), tag: Buffer.from(tag), ...more };
    }
  });
});

/** The same, by going through everything. */
function naive(
  rows: readonly OptOutRecord[],
  lists: readonly number[],
  { prefix = '', beyond = null, backwards = false, limit, tag }: SearchOptions,
): Page {
  const pages = new Map<string, [list: number, tag: Buffer][]>();
  for (const row of rows) {
    const isStanding = row.removed_at === null && (row.expires_at === null || row.expires_at > 5000);
    if (!isStanding || row.address === null || !lists.includes(row.list_id)) continue;
    if (tag !== undefined && row.tag.toString() !== tag) continue;
    if (!row.address.subarray(0, Buffer.byteLength(prefix)).equals(Buffer.from(prefix))) continue;
    const order = beyond === null ? 1 : Buffer.compare(row.address, Buffer.from(beyond));
    if (beyond !== null && (backwards ? order >= 0 : order <= 0)) continue;
    const address = row.address.toString();
    pages.set(address, [...(pages.get(address) ?? []), [row.list_id, row.tag]]);
  }
  const ordered = [...pages].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const page = backwards ? ordered.slice(-limit) : ordered.slice(0, limit);
  return page.map(([address, tags]) => [
    address,
    tags.sort(([a, one], [b, other]) => a - b || Buffer.compare(one, other)).map(([, of]) => of.toString()),
  ]);
}
