import assert from 'node:assert/strict';
import fc from 'fast-check';
import { audit } from '../../src/core/audit.js';
import { getBulkRemoval, removeAll, type BulkRemoval } from '../../src/core/bulk-removals.js';
import { readEntries } from '../../src/core/entries.js';
import { erasePerson } from '../../src/core/erasure.js';
import { getCounts } from '../../src/core/feed.js';
import { createList, type List } from '../../src/core/lists.js';
import { expireOptOuts } from '../../src/core/numbering.js';
import { searchByAddress } from '../../src/core/opt-out-search.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { rowOf } from '../../src/core/opt-outs.js';
import { carryOnRemovals } from '../../src/core/removal-slices.js';
import { removeAddresses, removeMany } from '../../src/core/removals.js';
import { restoreRemoval } from '../../src/core/restore-removal.js';
import { findSuppressed } from '../../src/core/suppressed.js';
import { Refused } from '../../src/errors.js';
import { collect, migratedDatabase, numberAll, optOutOf, type TestDatabase } from '../support/core.js';

const actor = 'test';
const people = ['ann', 'bob', 'cyd', 'dan', 'eve', 'tom'] as const;
type Person = (typeof people)[number];
const tags = ['*', 'news'] as const;
type Tag = (typeof tags)[number];
const addressOf = (person: Person) => `${person}@example.com`;
/** Tom's opt-outs are the ones that run out, all at one time: merging has tests of its own. */
const tomsEnd = 14;
const endOf = (person: Person) => (person === 'tom' ? tomsEnd : null);

type Step =
  | { do: 'record'; person: Person; tag: Tag }
  | { do: 'remove'; persons: Person[]; slowly: boolean; tag: Tag | undefined }
  | { do: 'remove all'; isCarriedOut: boolean }
  | { do: 'take back'; which: number }
  | { do: 'erase'; person: Person }
  | { do: 'expire' | 'carry on' | 'number' };

const person = fc.constantFrom(...people);
const tag = fc.constantFrom(...tags);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('record' as const), person, tag }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('remove' as const),
      persons: fc.uniqueArray(person, { minLength: 1, maxLength: 4 }),
      slowly: fc.boolean(),
      tag: fc.option(tag, { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove all' as const), isCarriedOut: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take back' as const), which: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('erase' as const), person }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('expire' as const, 'carry on' as const, 'number' as const) }),
  },
);

/** Who has left, as it is by the words of bulk-removals.ts: null, or the removal that it has gone by. */
type Model = Map<string, number | 'one by one' | null>;

describe('Bulk removals, in any order with all else', () => {
  let test: TestDatabase;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());

  it('are read as they will stand, and bring back what they took', async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 18 }), async (steps) => {
        const list = await createList(test.db, 1, { name: 'Acme News' }, { actor });
        const model: Model = new Map();
        const removals: number[] = [];
        let now = 0;
        for (const one of steps) {
          now++;
          await take(one, { list, model, removals, now });
          await check(list, model, now);
        }
        while (await carryOnRemovals(test.db, now, 3));
        await numberAll(test.db, [list.id], 0);
        await check(list, model, now);
        const { addresses, erased } = await getCounts(test.db, list.id);
        const live = [...model.values()].filter((gone) => gone === null).length;
        const [row] = await test
          .db('opt_outs')
          .where({ list_id: list.id })
          .whereNull('removed_at')
          .count('* as n');
        assert.equal(addresses + erased, Number(row?.n), 'the counts are those of the rows');
        if (now < tomsEnd) assert.equal(Number(row?.n), live);
        const breaches: string[] = [];
        for await (const { description } of audit(test.db)) breaches.push(description);
        assert.deepEqual(breaches, []);
      }),
      { numRuns: 60 },
    );
  });

  interface State {
    list: List;
    model: Model;
    removals: number[];
    now: number;
  }

  const isPast = (who: Person, now: number) => (endOf(who) ?? Infinity) <= now;
  const nameOf = (who: Person, of: Tag) => `${who} ${of}`;
  const whoOf = (name: string) => name.split(' ')[0] as Person;
  const standing = ({ model, now }: State, name: string) =>
    model.get(name) === null && !isPast(whoOf(name), now);

  async function take(one: Step, state: State): Promise<void> {
    const { db } = test;
    const { list, model, removals, now } = state;
    if (one.do === 'record') {
      const more = { tag: one.tag, recordedAt: now, expiresAt: endOf(one.person) };
      await writeOptOuts(db, [rowOf(optOutOf(list.id, addressOf(one.person), more))]);
      model.set(nameOf(one.person, one.tag), null);
    } else if (one.do === 'remove') {
      const gone = one.persons
        .flatMap((who) =>
          tags.filter((of) => one.tag === undefined || one.tag === of).map((of) => nameOf(who, of)),
        )
        .filter((name) => standing(state, name));
      const addresses = one.persons.map(addressOf);
      const before = await lastRemoval();
      if (one.slowly)
        await removeMany(db, list, slices(addresses), { actor, at: now, tag: one.tag, retryMs: 1000 });
      else await removeAddresses(db, list, addresses, { actor, at: now, tag: one.tag });
      const made = await lastRemoval();
      assert.equal(made > before, gone.length > 0 && (one.slowly || addresses.length > 1));
      if (made > before) removals.push(made);
      for (const name of gone) model.set(name, made > before ? made : 'one by one');
    } else if (one.do === 'remove all') {
      const { id } = one.isCarriedOut
        ? await removeAll(db, list, { actor, at: now })
        : await begun(list, now);
      removals.push(id);
      for (const name of model.keys()) if (standing(state, name)) model.set(name, id);
    } else if (one.do === 'take back') {
      await takeBack(state, removals[one.which % Math.max(1, removals.length)]);
    } else if (one.do === 'erase') {
      for await (const erased of erasePerson(db, 1, addressOf(one.person), { actor, retryMs: 1000 }))
        assert.ok(erased);
      // Imports ask for them; the runs share an account.
      await db('erased_people').delete();
    } else if (one.do === 'expire') await expireOptOuts(db, now);
    else if (one.do === 'carry on') await carryOnRemovals(db, now, 3);
    else await numberAll(db, [list.id], 0);
  }

  async function takeBack({ list, model, now }: State, id: number | undefined): Promise<void> {
    if (id === undefined) return;
    const before = await getBulkRemoval(test.db, id);
    const others = await test
      .db('bulk_removals')
      .where({ list_id: list.id, state: 'removing' })
      .whereNot({ id });
    const isAllowed = before.state !== 'restored' && others.length === 0;
    try {
      const { state } = await restoreRemoval(test.db, before, { actor, now });
      assert.ok(isAllowed);
      assert.equal(state, 'restored');
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      assert.ok(!isAllowed, error.message);
      return;
    }
    for (const [name, gone] of model) if (gone === id && !isPast(whoOf(name), now)) model.set(name, null);
  }

  async function check(list: List, model: Model, now: number): Promise<void> {
    const { db } = test;
    const state = { list, model, removals: [], now };
    const expected = people.filter((who) => tags.some((of) => standing(state, nameOf(who, of))));
    const found = new Set<string>();
    for (const of of tags) {
      for (const address of (
        await findSuppressed(db, list.id, people.map(addressOf), { tag: of, at: now })
      ).keys()) {
        found.add(address);
      }
    }
    assert.deepEqual([...found].sort(), expected.map(addressOf));
    // Whoever stands by a row alone of which only hashes are left is not found by address.
    const rowsWithAddress = await db<{ list_id: number; address: Buffer; tag: Buffer }>('opt_outs')
      .where({ list_id: list.id })
      .whereNotNull('address')
      .select('address', 'tag');
    const named = new Set(rowsWithAddress.map(({ address, tag }) => `${String(address)} ${String(tag)}`));
    const byAddress = people.filter((who) =>
      tags.some((of) => standing(state, nameOf(who, of)) && named.has(`${addressOf(who)} ${of}`)),
    );
    const page = await searchByAddress(db, [list.id], { limit: 3, at: now });
    const rest = await searchByAddress(db, [list.id], {
      limit: 9,
      at: now,
      beyond: page.at(-1)?.address ?? null,
    });
    const searched = page.length < 3 ? page : [...page, ...rest];
    assert.deepEqual(
      searched.map(({ address }) => address),
      byAddress.map(addressOf),
    );
    // A download follows the rows: it may suppress too many for some seconds, never too few.
    const downloaded = await collect(readEntries(db, [list.id], { at: now }));
    const underWay: unknown = await db('bulk_removals')
      .where({ list_id: list.id, state: 'removing' })
      .first('id');
    if (underWay === undefined) assert.equal(downloaded.length, expected.length);
    else assert.ok(downloaded.length >= expected.length);
  }

  async function* slices(addresses: readonly string[]): AsyncGenerator<string[]> {
    for (const address of addresses) yield await Promise.resolve([address]);
  }

  /** As the keeper finds it where the process that began it was killed before its first slice. */
  async function begun(list: List, at: number): Promise<BulkRemoval> {
    const row = {
      account_id: 1,
      list_id: list.id,
      kind: 'all',
      at,
      actor,
      state: 'removing',
      carried_at: at,
    };
    const [id = 0] = await test.db('bulk_removals').insert(row);
    return getBulkRemoval(test.db, id);
  }

  async function lastRemoval(): Promise<number> {
    const row = await test.db<{ id: number }>('bulk_removals').orderBy('id', 'desc').first('id');
    return row?.id ?? 0;
  }
});
