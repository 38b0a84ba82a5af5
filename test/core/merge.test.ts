import assert from 'node:assert/strict';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import {
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';

const ann = 'ann@example.com';

describe('Recording an address again', () => {
  let test: TestDatabase;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close('its mailer is a number'));
  beforeEach(async () => {
    list = await newList(test.db);
  });

  const record = (...optOuts: OptOut[]) => writeOptOuts(test.db, optOuts.map(rowOf));
  const onlyRow = async () => {
    const rows = await rowsOfList(test.db, list);
    assert.equal(rows.length, 1);
    const [row] = rows;
    assert.ok(row);
    return row;
  };

  const first = () =>
    optOutOf(list, 'Ann@Example.com', {
      createdAt: 900,
      recordedAt: 1000,
      source: 'page',
      reason: 'too often',
      mailerId: 7,
      ip: '192.0.2.1',
      receipt: Buffer.from('receipt of first'),
      expiresAt: 5000,
    });

  it('keeps what the first one brought, and moves repeats and the last time on', async () => {
    await record(first());
    await numberAll(test.db, [list]);
    const before = await onlyRow();
    await record(
      optOutOf(list, 'ANN@example.com', {
        createdAt: 1900,
        recordedAt: 2000,
        source: 'api',
        reason: 'another reason',
        mailerId: 8,
        ip: '192.0.2.2',
        receipt: Buffer.from('receipt of other'),
        expiresAt: 4000,
      }),
    );
    assert.deepEqual(await onlyRow(), { ...before, last_at: 2000, repeats: 1, vouched: 1 });
    assert.notEqual(before.feed_number, null, 'a repeat that changes nothing stays numbered');
  });

  it('keeps the earliest time at which they left, also where it is learnt later', async () => {
    await record(first());
    await record(optOutOf(list, ann, { createdAt: 100, recordedAt: 2000, expiresAt: 4000 }));
    const row = await onlyRow();
    assert.deepEqual([row.created_at, row.recorded_at, row.last_at], [100, 1000, 2000]);
  });

  it('never moves the last time back', async () => {
    await record(first());
    await record(optOutOf(list, ann, { recordedAt: 500 }));
    assert.equal((await onlyRow()).last_at, 1000);
  });

  for (const [standing, incoming, expected] of [
    [5000, 6000, 6000],
    [5000, 4000, 5000],
    [5000, null, null],
    [null, 6000, null],
    [null, null, null],
  ] as const) {
    it(`makes expiries ${standing} and ${incoming} come to ${expected}: the later one, none being the latest`, async () => {
      await record(optOutOf(list, ann, { expiresAt: standing }));
      await numberAll(test.db, [list]);
      await record(optOutOf(list, ann, { recordedAt: 2000, expiresAt: incoming }));
      const row = await onlyRow();
      assert.equal(row.expires_at, expected);
      const isProlonged = standing !== expected;
      assert.equal(row.feed_number === null, isProlonged, 'the feed carries a prolonged opt-out again');
      assert.equal(await isSuppressed(test.db, list, ann, { at: 5500 }), expected !== 5000);
    });
  }

  for (const [state, at, end] of [
    ['removed', 2000, () => removeOptOuts(test.db, list, ann, { at: 1500 })],
    ['expired', 5000, () => Promise.resolve()],
  ] as const) {
    it(`revives what was ${state} with all that the new one brings`, async () => {
      await record(first());
      await numberAll(test.db, [list]);
      await end();
      await numberAll(test.db, [list]);
      const again = optOutOf(list, ' ANN@example.com', {
        createdAt: at - 10,
        recordedAt: at,
        source: 'one-click',
        reason: null,
        mailerId: null,
        ip: '192.0.2.9',
        receipt: Buffer.from('receipt of again'),
        expiresAt: null,
      });
      await record(again);
      const { counted, stands_from, ...row } = await onlyRow();
      const [, key, tag, address, given, , created, recorded, last, source] = rowOf(again);
      assert.deepEqual(row, {
        ...{ list_id: list, address_key: key, tag, address, given, sha256: null },
        ...{ created_at: created, recorded_at: recorded, last_at: last, repeats: 0, source },
        ...{ reason: null, expires_at: null, mailer_id: null, credential_id: null, ip: '192.0.2.9' },
        ...{ receipt: Buffer.from('receipt of again'), vouched: 0, removed_at: null, feed_number: null },
        ...{ domain: Buffer.from('example.com'), standing_address: address, removal_id: null },
        ...{ figured: 0, left_again_at: null },
      });
      assert.equal(counted, state === 'removed' ? 0 : 1);
      assert.ok(stands_from > 0, 'until it is numbered');
      assert.equal(await isSuppressed(test.db, list, ann, { at }), true);
    });
  }

  it('is a revival at the very millisecond at which the standing one expires', async () => {
    await record(first());
    await record(optOutOf(list, ann, { recordedAt: 4999, expiresAt: 5000 }));
    assert.equal((await onlyRow()).repeats, 1);
    await record(optOutOf(list, ann, { recordedAt: 5000, source: 'api' }));
    const row = await onlyRow();
    assert.deepEqual([row.repeats, row.source, row.expires_at], [0, 'api', null]);
  });

  it('fills in the address where only its MD5 was known, and gives it to the feed again', async () => {
    await plant(test.db, list, [rowKinds.md5Only(ann)]);
    await numberAll(test.db, [list]);
    await record(optOutOf(list, 'Ann@Example.com', { recordedAt: 2000 }));
    const row = await onlyRow();
    assert.deepEqual([row.address, row.given], [Buffer.from(ann), Buffer.from('Ann@Example.com')]);
    assert.deepEqual([row.feed_number, row.created_at, row.source], [null, 1000, 'import']);
  });

  it('gives an erased person no address back while the row suppresses', async () => {
    await plant(test.db, list, [rowKinds.erased(ann)]);
    await numberAll(test.db, [list]);
    const before = await onlyRow();
    await record(optOutOf(list, 'Ann@Example.com', { recordedAt: 2000 }));
    await record(optOutOf(list, ann, { recordedAt: 3000 }), optOutOf(list, ann, { recordedAt: 3001 }));
    assert.deepEqual(await onlyRow(), { ...before, last_at: 3001, repeats: 3, vouched: 1 });
    assert.equal(await isSuppressed(test.db, list, ann, { at: 3000 }), true);
  });

  it('stands beside an entry of which only the SHA-256 is known', async () => {
    await plant(test.db, list, [rowKinds.sha256Only(ann)]);
    await record(optOutOf(list, ann));
    const rows = await findOptOuts(test.db, list, ann);
    assert.deepEqual(rows.map((row) => row.address?.toString() ?? null).sort(), [ann, null].sort());
  });

  it('merges an address that comes more than once in one statement', async () => {
    await record(
      optOutOf(list, ann, { recordedAt: 3000, createdAt: 3000, expiresAt: 9000 }),
      optOutOf(list, 'bob@example.com'),
      optOutOf(list, ann, { recordedAt: 2000, createdAt: 100, expiresAt: null }),
      optOutOf(list, ann, { recordedAt: 2500, createdAt: 200, tag: 'news' }),
    );
    const rows = await findOptOuts(test.db, list, ann);
    assert.deepEqual(
      rows.map((row) => [row.tag.toString(), row.created_at, row.last_at, row.expires_at, row.repeats]),
      [
        ['*', 100, 3000, null, 1],
        ['news', 200, 2500, null, 0],
      ],
    );
  });

  it('comes to the same in whichever order two live ones arrive', async () => {
    const other = () => optOutOf(list, ann, { createdAt: 400, recordedAt: 1200, expiresAt: 8000 });
    await record(first(), other());
    const { created_at, last_at, expires_at, repeats } = await onlyRow();
    list = await newList(test.db);
    await record(other(), first());
    const turned = await onlyRow();
    assert.deepEqual(
      [turned.created_at, turned.last_at, turned.expires_at, turned.repeats],
      [created_at, last_at, expires_at, repeats],
    );
    assert.deepEqual([created_at, last_at, expires_at, repeats], [400, 1200, 8000, 1]);
  });
});
