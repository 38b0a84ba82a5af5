import assert from 'node:assert/strict';
import fc from 'fast-check';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { expireOptOuts } from '../../src/core/numbering.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import {
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';

const people = ['ann', 'bob', 'eve'] as const;
const tags = ['*', 'news'] as const;
const addressOf = (person: string) => `${person}@example.com`;

/** One opt-out of a step; an MD5 alone is what an import of hashes brings. */
interface Incoming {
  person: (typeof people)[number];
  tag: (typeof tags)[number];
  isMd5Only: boolean;
  spelling: 'plain' | 'capitals';
  createdAt: number;
  recordedAt: number;
  expiresAt: number | null;
  receipt: number;
}

type Step =
  | { do: 'record'; optOuts: Incoming[] }
  | { do: 'remove'; person: Incoming['person']; tag: Incoming['tag'] | null; at: number }
  | { do: 'expire'; at: number }
  | { do: 'erase'; person: Incoming['person'] };

const person = fc.constantFrom(...people);
const tag = fc.constantFrom(...tags);
const time = fc.integer({ min: 1, max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('record' as const),
      optOuts: fc.array(
        fc.record({
          person,
          tag,
          isMd5Only: fc.boolean(),
          spelling: fc.constantFrom('plain' as const, 'capitals' as const),
          createdAt: time,
          recordedAt: time,
          expiresAt: fc.option(time),
          receipt: fc.nat(255),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  fc.record({
    do: fc.constant('remove' as const),
    person,
    tag: fc.option(tag),
    at: time,
  }),
  fc.record({ do: fc.constant('expire' as const), at: time }),
  fc.record({ do: fc.constant('erase' as const), person }),
);

/** The rules of merging, for one row, without a look at how the SQL says them. */
interface Row {
  address: string | null;
  given: string | null;
  isErased: boolean;
  created: number;
  recorded: number;
  last: number;
  repeats: number;
  expires: number | null;
  receipt: number;
  removed: number | null;
}
type Model = Map<string, Row>;

const isLive = (row: Row, at: number) => row.removed === null && (row.expires === null || row.expires > at);

function broughtBy(incoming: Incoming): Row {
  const address = incoming.isMd5Only ? null : addressOf(incoming.person);
  const isAsKey = incoming.isMd5Only || incoming.spelling === 'plain';
  return {
    address,
    given: isAsKey ? null : addressOf(incoming.person).toUpperCase(),
    isErased: false,
    created: incoming.createdAt,
    recorded: incoming.recordedAt,
    last: incoming.recordedAt,
    repeats: 0,
    expires: incoming.expiresAt,
    receipt: incoming.receipt,
    removed: null,
  };
}

function recordInModel(model: Model, incoming: Incoming): void {
  const key = `${incoming.person} ${incoming.tag}`;
  const standing = model.get(key);
  const brought = broughtBy(incoming);
  if (standing === undefined || !isLive(standing, incoming.recordedAt)) {
    model.set(key, brought);
    return;
  }
  standing.created = Math.min(standing.created, brought.created);
  standing.last = Math.max(standing.last, brought.last);
  standing.repeats++;
  const isForEver = standing.expires === null || brought.expires === null;
  standing.expires = isForEver ? null : Math.max(standing.expires ?? 0, brought.expires ?? 0);
  if (standing.address === null && !standing.isErased) {
    standing.address = brought.address;
    standing.given = brought.given;
  }
}

function applyToModel(model: Model, change: Step): void {
  if (change.do === 'record') change.optOuts.forEach((one) => recordInModel(model, one));
  for (const [key, row] of model) {
    const [who, what] = key.split(' ');
    if (change.do === 'remove' && who === change.person && isLive(row, change.at)) {
      if (change.tag === null || change.tag === what) row.removed = change.at;
    }
    if (change.do === 'expire' && row.removed === null && row.expires !== null && row.expires <= change.at) {
      row.removed = row.expires;
    }
    if (change.do === 'erase' && who === change.person) {
      Object.assign(row, { address: null, given: null, isErased: true });
    }
  }
}

async function applyToDatabase(db: Db, listId: number, change: Step): Promise<void> {
  if (change.do === 'record')
    await writeOptOuts(
      db,
      change.optOuts.map((one) => rowFor(listId, one)),
    );
  if (change.do === 'remove') {
    const only = change.tag === null ? {} : { tag: change.tag };
    await removeOptOuts(db, listId, addressOf(change.person), { ...only, at: change.at });
  }
  if (change.do === 'expire') {
    await numberAll(db, [listId]);
    while ((await expireOptOuts(db, change.at)) > 0);
  }
  if (change.do === 'erase') {
    const normalised = addressOf(change.person);
    await db('opt_outs')
      .where({ list_id: listId, address_key: md5Of(normalised) })
      .update({ address: null, given: null, sha256: sha256Of(normalised) });
  }
}

function rowFor(listId: number, incoming: Incoming) {
  const plain = addressOf(incoming.person);
  const more: Partial<OptOut> = {
    tag: incoming.tag,
    createdAt: incoming.createdAt,
    recordedAt: incoming.recordedAt,
    expiresAt: incoming.expiresAt,
    receipt: Buffer.from([incoming.receipt]),
  };
  const text = incoming.spelling === 'plain' ? plain : plain.toUpperCase();
  const row = rowOf(optOutOf(listId, text, more));
  const [list, key, rowTag, , , ...rest] = row;
  return incoming.isMd5Only ? [list ?? 0, key ?? null, rowTag ?? null, null, null, ...rest] : row;
}

async function databaseAsModel(db: Db, listId: number): Promise<Record<string, Row>> {
  const names = new Map(people.map((name) => [md5Of(addressOf(name)).toString('hex'), name]));
  const rows = await rowsOfList(db, listId);
  return Object.fromEntries(
    rows.map((row) => [
      `${names.get(row.address_key.toString('hex'))} ${row.tag.toString()}`,
      {
        address: row.address?.toString() ?? null,
        given: row.given?.toString() ?? null,
        isErased: row.address === null && row.sha256 !== null,
        created: row.created_at,
        recorded: row.recorded_at,
        last: row.last_at,
        repeats: row.repeats,
        expires: row.expires_at,
        receipt: row.receipt?.[0] ?? -1,
        removed: row.removed_at,
      },
    ]),
  );
}

describe('Any sequence of opt-outs, removals, expiries and erasures', () => {
  let test: TestDatabase;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close('its times are any'));

  it('comes to what the merge rules say, on either engine', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
        const list = await newList(test.db);
        const model: Model = new Map();
        for (const change of steps) {
          await applyToDatabase(test.db, list, change);
          applyToModel(model, change);
        }
        assert.deepEqual(await databaseAsModel(test.db, list), Object.fromEntries(model));
      }),
      { numRuns: 100 },
    );
  });
});
