import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addressForms, entryKeysOf, md5Of, sha256Of } from '../../src/core/address.js';
import {
  everyOptOut,
  optOutStates,
  readAddressPart,
  type AddressMatch,
  type OptOutFilter,
} from '../../src/core/opt-out-filter.js';
import {
  countFound,
  findAll,
  findStretch,
  untilTakenUp,
  type Count,
  type FindOptions,
  type FindPlace,
  type Found,
} from '../../src/core/opt-out-find.js';
import { sources, type OptOutRecord } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import {
  migratedDatabase,
  newList,
  numberAll,
  plant,
  rowKinds,
  rowsOfList,
  type PlantedRow,
  type TestDatabase,
} from '../support/core.js';
import { plansOf } from '../support/plans.js';

const at = 5000;

describe('The search of the console', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  before(async () => {
    test = await migratedDatabase({ poolSize: 1 });
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await newList(db);
  });

  const row = (email: string, more: PlantedRow = {}): PlantedRow => ({ ...rowKinds.plain(email), ...more });
  const filter = (more: Partial<OptOutFilter>): OptOutFilter => ({ ...everyOptOut, ...more });
  const typed = (text: string, match?: AddressMatch) => filter({ address: readAddressPart(text, match) });
  const nameOf = ({ address, address_key, tag }: Pick<OptOutRecord, 'address' | 'address_key' | 'tag'>) =>
    `${address?.toString() ?? address_key.toString('hex')} ${tag.toString()}`;

  /** All pages, each as it goes on behind the one before. */
  async function pages(asked: OptOutFilter, options: Partial<FindOptions> = {}): Promise<string[][]> {
    const found: string[][] = [];
    for (let place: FindPlace | null = null; ;) {
      // As it comes back out of a link.
      place = JSON.parse(JSON.stringify(place)) as FindPlace | null;
      const page: Found = await findStretch(db, list, asked, { limit: 3, at, ...options, place });
      found.push(page.optOuts.map(nameOf));
      assert.ok(page.share === null || (page.share >= 0 && page.share <= 1), String(page.share));
      place = page.next;
      if (place === null) return found;
      assert.ok(found.length < 1000, 'it comes to no end');
    }
  }
  const search = async (asked: OptOutFilter) => (await pages(asked)).flat();

  it('understands what was typed', () => {
    const hash = md5Of('ann@example.com').toString('hex');
    const sha256 = sha256Of('ann@example.com').toString('hex');
    for (const [text, kind, meant] of [
      ['ann', 'beginning', 'ann'],
      [' Ann@ ', 'beginning', 'ann@'],
      ['ann*', 'beginning', 'ann'],
      ['ann@exam', 'beginning', 'ann@exam'],
      ['Ann@Example.com', 'address', 'ann@example.com'],
      ['ann＠example.com', 'address', 'ann@example.com'],
      ['@example.com', 'domain', 'example.com'],
      ['example.com', 'domain', 'example.com'],
      ['MÜNCHEN.de', 'domain', 'xn--mnchen-3ya.de'],
      ['*ann*', 'part', 'ann'],
      ['*ann', 'part', 'ann'],
      [hash.toUpperCase(), 'md5', hash],
      [sha256, 'sha256', sha256],
    ] as const) {
      assert.deepEqual(readAddressPart(text), { kind, text: meant }, text);
    }
    assert.deepEqual(readAddressPart('example.com', 'beginning'), { kind: 'beginning', text: 'example.com' });
    assert.deepEqual(readAddressPart('ann', 'part'), { kind: 'part', text: 'ann' });
    assert.deepEqual(readAddressPart(sha256, 'hashed'), { kind: 'hashed', text: sha256 });
    assert.equal(readAddressPart('  '), null);
    for (const [text, match] of [
      ['@', 'auto'],
      ['@example', 'auto'],
      ['*', 'auto'],
      ['**', 'part'],
      ['ann', 'domain'],
      ['ann', 'hashed'],
      ['ann\u0000', 'auto'],
      ['\ufffd', 'beginning'],
      ['a'.repeat(255), 'auto'],
    ] as const) {
      assert.throws(() => readAddressPart(text, match), { name: 'Invalid', field: 'address' }, text);
    }
  });

  it('shows the newest first, and hashes as what they are', async () => {
    await plant(db, list, [
      row('ann@example.com', { feed_number: 1 }),
      { ...rowKinds.md5Only('bob@example.com'), feed_number: 2 },
      row('cat@example.com', { feed_number: 3, removed_at: 2000 }),
      row('dan@example.com', { feed_number: 4, expires_at: 4000 }),
      { ...rowKinds.erased('eve@example.com'), feed_number: 5 },
    ]);
    await db('feed').update({ last_number: 5 });
    const [bob, eve] = ['bob@example.com', 'eve@example.com'].map((email) => md5Of(email).toString('hex'));
    assert.deepEqual(await search(everyOptOut), [`${eve} *`, `${bob} *`, 'ann@example.com *']);
    assert.deepEqual(await search(filter({ state: 'removed' })), ['dan@example.com *', 'cat@example.com *']);
    assert.equal((await search(filter({ state: 'any' }))).length, 5);
    assert.deepEqual(await search(typed('bob@example.com')), [`${bob} *`]);
    assert.deepEqual(await search(typed(String(bob))), [`${bob} *`]);
    assert.deepEqual(await search(typed(sha256Of('eve@example.com').toString('hex'), 'hashed')), [
      `${eve} *`,
    ]);
    assert.deepEqual(await search(typed(sha256Of('ann@example.com').toString('hex'), 'hashed')), [
      'ann@example.com *',
    ]);
  });

  it('finds a domain as people see it by any part', async () => {
    await plant(db, list, [row('ann@xn--mnchen-3ya.de'), row('bob@example.com')]);
    assert.deepEqual(await search(typed('münch', 'part')), ['ann@xn--mnchen-3ya.de *']);
    assert.deepEqual(await search(typed('@münchen.de')), ['ann@xn--mnchen-3ya.de *']);
    assert.deepEqual(await search(typed('mple', 'part')), ['bob@example.com *']);
  });

  it('waits a moment for what has just been recorded to be numbered, and tells where it is not', async () => {
    await plant(db, list, [row('ann@example.com')]);
    assert.equal(await untilTakenUp(db, list, 30), false);
    assert.deepEqual(await search(everyOptOut), []);
    const waiting = untilTakenUp(db, list, 5000);
    await numberAll(db, [list]);
    assert.equal(await waiting, true);
    assert.deepEqual(await search(everyOptOut), ['ann@example.com *']);
  });

  it('goes through a list in stretches, and tells how far it has come', async () => {
    const rows = Array.from({ length: 3000 }, (_, n) => row(`p${n}@example.com`));
    await plant(db, list, rows);
    await numberAll(db, [list]);
    for (const asked of [typed('*2999*'), filter({ tag: 'none' }), typed('@example.com')]) {
      const wanted = { ...asked, ...(asked.address?.kind === 'domain' ? { tag: 'none' } : {}) };
      let [shares, looked]: [number[], number[]] = [[], []];
      for (let place: FindPlace | null = null; ;) {
        const page: Found = await findStretch(db, list, wanted, {
          limit: 50,
          at,
          rows: 500,
          patienceMs: 0,
          place,
        });
        shares = [...shares, ...(page.share === null ? [] : [page.share])];
        looked = [...looked, page.looked];
        assert.equal(page.isCut, page.next !== null);
        place = page.next;
        if (place === null) break;
      }
      assert.ok(looked.length > 1, String(looked.length));
      assert.deepEqual(
        looked,
        looked.toSorted((a, b) => a - b),
      );
      assert.equal(looked.at(-1), 3000);
      assert.deepEqual(
        shares,
        shares.toSorted((a, b) => a - b),
      );
      assert.equal(shares.at(-1), 1);
    }
  });

  it('goes on beyond a stretch for a while where it has found nothing, as behind many that were removed', async () => {
    await plant(db, list, [row('ann@example.com')]);
    await numberAll(db, [list]);
    const removed = Array.from({ length: 2000 }, (_, n) => row(`p${n}@example.com`, { removed_at: 2000 }));
    await plant(db, list, removed);
    await numberAll(db, [list]);
    const asked = { limit: 50, at, rows: 100 };
    const hasty = await findStretch(db, list, everyOptOut, { ...asked, patienceMs: 0 });
    assert.deepEqual([hasty.optOuts.length, hasty.isCut], [0, true]);
    const patient = await findStretch(db, list, everyOptOut, { ...asked, patienceMs: 60_000 });
    assert.deepEqual(patient.optOuts.map(nameOf), ['ann@example.com *']);
  });

  it('ends a stretch when its time is over and a tenth of its rows were looked at, whatever was found', async () => {
    const rows = Array.from({ length: 9000 }, (_, n) => row(`${n === 0 ? 'a.needle' : `p${n}`}@example.com`));
    await plant(db, list, rows);
    await numberAll(db, [list]);
    const asked = { limit: 50, at, rows: 20_000 };
    const hasty = await findStretch(db, list, typed('*needle*'), { ...asked, patienceMs: 0 });
    assert.deepEqual(hasty.optOuts.map(nameOf), ['a.needle@example.com *']);
    assert.ok(hasty.isCut && hasty.looked >= 2000 && hasty.looked < 9000, String(hasty.looked));
    const patient = await findStretch(db, list, typed('*needle*'), { ...asked, patienceMs: 60_000 });
    assert.deepEqual([patient.optOuts.length, patient.next, patient.looked], [1, null, 9000]);
  });

  it('counts what it finds, several times one after the other', async () => {
    await plant(
      db,
      list,
      Array.from({ length: 3000 }, (_, n) => row(`p${n}@example${n % 3}.com`)),
    );
    await numberAll(db, [list]);
    for (const [asked, expected] of [
      [everyOptOut, 3000],
      [typed('@example1.com'), 1000],
      [typed('*1@*'), 300],
      [typed('p1'), 1111],
      [typed('p1@example1.com'), 1],
    ] as const) {
      for (const ms of [0, 5000]) {
        let count: Count | null = null;
        do count = await countFound(db, list, asked, { from: count, at, ms });
        while (count.place !== null);
        assert.equal(count.count, expected, JSON.stringify(asked));
        assert.equal(count.share, 1);
      }
    }
  });

  it('shows what is recorded meanwhile in no page behind, and nothing twice', async () => {
    await plant(
      db,
      list,
      Array.from({ length: 6 }, (_, n) => row(`p${n}@example.com`)),
    );
    await numberAll(db, [list]);
    const first = await findStretch(db, list, everyOptOut, { limit: 3, at });
    await plant(db, list, [row('new@example.com')]);
    // Recorded again with a later end, one that was to come moves to the top.
    const moved = (await findStretch(db, list, everyOptOut, { limit: 1, at, place: first.next })).optOuts[0];
    await db('opt_outs')
      .where({ list_id: list, address_key: moved?.address_key })
      .update({ feed_number: null });
    await numberAll(db, [list]);
    const second = await findStretch(db, list, everyOptOut, { limit: 3, at, place: first.next });
    assert.equal(second.optOuts.length, 2);
    assert.equal(new Set([...first.optOuts, ...second.optOuts].map(nameOf)).size, 5);
  });

  it('counts what a removal under way has yet to take as removed, and waits while one is taken back', async () => {
    await plant(db, list, [row('ann@example.com'), row('bob@example.com', { last_at: 3000 })]);
    await numberAll(db, [list]);
    const removal = { account_id: 1, list_id: list, kind: 'all', at: 2000, actor: 'test', carried_at: 2000 };
    await db('bulk_removals').insert({ ...removal, state: 'removing' });
    for (const asked of [everyOptOut, typed('*@*'), typed('@example.com'), typed('a')]) {
      const found = await search(asked);
      assert.deepEqual(found, asked.address?.text === 'a' ? [] : ['bob@example.com *']);
    }
    assert.deepEqual(await search(filter({ state: 'removed' })), ['ann@example.com *']);
    await db('bulk_removals').where({ list_id: list }).update({ state: 'restoring' });
    await assert.rejects(search(everyOptOut), { name: 'Unavailable' });
  });

  it('ends where nobody waits for it any more', async () => {
    await plant(db, list, [row('ann@example.com')]);
    const signal = AbortSignal.abort(new Error('gone'));
    await assert.rejects(findStretch(db, list, typed('*x*'), { limit: 3, signal }), { message: 'gone' });
  });

  it('goes through indexes alone, in their order, whatever is asked', async () => {
    const rows = Array.from({ length: 4000 }, (_, n) =>
      row(`p${n}@example${n % 50}.com`, { feed_number: 10_000 + n, tag: Buffer.from(`t${n % 3}`) }),
    );
    await plant(db, list, rows);
    await db('feed').where('last_number', '<', 20_000).update({ last_number: 20_000 });
    const searches: [OptOutFilter, string[]][] = [
      [everyOptOut, ['opt_outs_feed']],
      [
        filter({ tag: 't1', source: 'page', from: 1, to: 9000, credentialId: 4, state: 'any' }),
        ['opt_outs_feed'],
      ],
      [filter({ state: 'removed' }), ['opt_outs_feed']],
      [{ ...typed('*77*'), state: 'any' }, ['opt_outs_feed']],
      [typed('*77*'), ['PRIMARY', 'opt_outs_address']],
      [{ ...typed('p7'), tag: 't1' }, ['PRIMARY', 'opt_outs_address']],
      [typed('@example7.com'), ['opt_outs_domain']],
      [typed('p7@example7.com'), ['PRIMARY']],
    ];
    for (const [asked, indexes] of searches) {
      const all = await plansOf(db, () => pages(asked, { limit: 50 }));
      const plans = all.filter(({ table }) => table === 'opt_outs');
      for (const { isScan, isSorted, sql } of plans) {
        assert.deepEqual([isScan, isSorted], [false, false], sql);
        assert.doesNotMatch(sql, /offset/i);
      }
      assert.deepEqual([...new Set(plans.map(({ index }) => index))].sort(), indexes, JSON.stringify(asked));
    }
  });

  it('comes to what a search through all rows does, whatever the pages and stretches', async function () {
    this.timeout(120_000);
    const email = fc
      .tuple(
        fc.string({ unit: fc.constantFrom('a', 'é'), minLength: 1, maxLength: 3 }),
        fc.constantFrom('x.example', 'xn--mnchen-3ya.de'),
      )
      .map(([local, domain]) => `${local}@${domain}`);
    const planted = fc.record({
      email,
      tag: fc.constantFrom('*', 'a', 'é'),
      kind: fc.constantFrom<(keyof typeof rowKinds)[]>(
        'plain',
        'plain',
        'plain',
        'md5Only',
        'sha256Only',
        'erased',
      ),
      state: fc.constantFrom({}, {}, { removed_at: 2000 }, { expires_at: 4000 }, { expires_at: 6000 }),
      created: fc.constantFrom(100, 200, 300),
      source: fc.constantFrom(...sources.slice(0, 3)),
      credential: fc.constantFrom(null, 7),
    });
    const text = fc.oneof(
      email,
      email.map((one) => one.slice(0, 2)),
      email.map((one) => `*${one.slice(1, 3)}`),
      email.map((one) => md5Of(one).toString('hex')),
      email.map((one) => sha256Of(one).toString('hex')),
      fc.constantFrom('@x.example', 'münchen.de', '*münch*', '*é'),
    );
    const maybe = <T>(...values: T[]) => fc.constantFrom(null, null, null, null, null, null, null, ...values);
    const asking = fc.record({
      text: fc.option(text),
      match: fc.constantFrom<AddressMatch[]>('auto', 'auto', 'hashed', 'part'),
      from: maybe(150, 200),
      to: maybe(200, 300),
      tag: maybe('*', 'a', 'é'),
      source: maybe(...sources.slice(0, 3)),
      credentialId: maybe(7),
      state: fc.constantFrom(...optOutStates),
      limit: fc.integer({ min: 1, max: 7 }),
      rows: fc.constantFrom(1, 30, 100_000),
    });
    let found = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(planted, {
          minLength: 5,
          maxLength: 40,
          selector: ({ email: of, tag }) => `${of} ${tag}`,
        }),
        fc.array(asking, { minLength: 1, maxLength: 10 }),
        async (rows, askings) => {
          list = await newList(db);
          const plantedRows = rows.map(({ email: of, kind, tag, state, created, source, credential }) => ({
            ...rowKinds[kind](of),
            ...{ tag: Buffer.from(tag), created_at: created, source, credential_id: credential, ...state },
          }));
          await plant(db, list, plantedRows);
          await numberAll(db, [list]);
          const standing = await rowsOfList(db, list);
          for (const { text: one, match, limit, rows: most, ...rest } of askings) {
            const isHash = one !== null && /^[0-9a-f]{64}$/.test(one);
            const as = match === 'hashed' && !isHash ? 'auto' : match;
            const asked = { ...rest, address: one === null ? null : readAddressPart(one, as) };
            const told = (await pages(asked, { limit, rows: most, patienceMs: 0 })).flat();
            const expected = standing.filter((of) => isAskedFor(of, asked));
            found += told.length;
            const why = JSON.stringify({ rows, asked });
            assert.deepEqual(told.toSorted(), expected.map(nameOf).sort(), why);
            const all: string[] = [];
            for await (const slice of findAll(db, list, asked, { at, slice: 2 }))
              all.push(...slice.map(nameOf));
            assert.deepEqual(all, told, why);
            const isByTime = asked.address === null;
            if (isByTime) assert.deepEqual(told, byTime(expected).map(nameOf), why);
          }
        },
      ),
      { numRuns: 100 },
    );
    assert.ok(found > 300, String(found));

    function byTime(rows: readonly OptOutRecord[]): OptOutRecord[] {
      return rows.toSorted((a, b) => (b.feed_number ?? 0) - (a.feed_number ?? 0));
    }
  });
});

/** The same, by going through everything. */
function isAskedFor(row: OptOutRecord, asked: OptOutFilter): boolean {
  const suppresses = row.removed_at === null && (row.expires_at === null || row.expires_at > at);
  if (asked.state === 'standing' && !suppresses) return false;
  if (asked.state === 'removed' && suppresses) return false;
  if (asked.from !== null && row.created_at < asked.from) return false;
  if (asked.to !== null && row.created_at >= asked.to) return false;
  if (asked.tag !== null && row.tag.toString() !== asked.tag) return false;
  if (asked.source !== null && row.source !== asked.source) return false;
  if (asked.credentialId !== null && row.credential_id !== asked.credentialId) return false;
  if (asked.address === null) return true;
  const { kind, text } = asked.address;
  const address = row.address?.toString();
  const forms = address === undefined ? [] : addressForms(address);
  switch (kind) {
    case 'address':
      return entryKeysOf(text).some((key) => key.equals(row.address_key));
    case 'md5':
      return row.address_key.toString('hex') === text;
    case 'sha256':
      return row.sha256?.toString('hex') === text && row.address_key.toString('hex') === text.slice(0, 32);
    case 'hashed':
      return (
        row.sha256?.toString('hex') === text || forms.some((form) => sha256Of(form).toString('hex') === text)
      );
    case 'beginning':
      return address?.startsWith(text) === true;
    case 'domain':
      return address?.endsWith(`@${text}`) === true;
    case 'part':
      return forms.some((form) => form.includes(text));
  }
}
