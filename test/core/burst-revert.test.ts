import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { md5Of } from '../../src/core/address.js';
import { revertBurst, tallyBurst } from '../../src/core/burst-revert.js';
import { getBurst, noteBursts, type Burst } from '../../src/core/bursts.js';
import { readChanges } from '../../src/core/entries.js';
import { getFeed } from '../../src/core/feed.js';
import { createList } from '../../src/core/lists.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { migratedDatabase, numberAll, optOutOf, rowsOfList, type TestDatabase } from '../support/core.js';

const attacker = '203.0.113.66';
const from = 1_800_000_000_000;
const to = from + 60_000;
const later = to + 3_600_000;

describe('Taking a burst back', () => {
  let test: TestDatabase;
  let accountId: number;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close('its clock is ahead of the real one'));
  beforeEach(async () => {
    accountId = (await createAccount(test.db, 'Acme')).id;
    list = await newList();
  });

  const newList = async () =>
    (await createList(test.db, accountId, { name: 'Acme News' }, { actor: 'test' })).id;
  const record = (...optOuts: OptOut[]) => writeOptOuts(test.db, optOuts.map(rowOf).sort(compareRows));
  const forged = (name: string, more: Partial<OptOut> = {}) =>
    optOutOf(list, `${name}@example.com`, { source: 'pixel', ip: attacker, recordedAt: from, ...more });
  const isOnList = (name: string, at = later) => isSuppressed(test.db, list, `${name}@example.com`, { at });
  const revert = (burst: Burst, onSlice?: () => void) =>
    revertBurst(test.db, burst, {
      ...{ actor: 'test', timeoutMs: 5000, now: () => later },
      ...(onSlice === undefined ? {} : { onSlice }),
    });

  async function newBurst(part: Partial<Parameters<typeof noteBursts>[1][number]> = {}): Promise<Burst> {
    const whole = { accountId, network: attacker, source: 'pixel', from, to, recipients: 101 } as const;
    await noteBursts(test.db, [{ ...whole, ...part }], 600_000);
    const [id] = (await test.db('bursts').orderBy('id', 'desc').limit(1).pluck('id')) as number[];
    return getBurst(test.db, id ?? 0);
  }

  it('removes what its client recorded by its door from its beginning to its end', async () => {
    await record(
      ...[forged('first'), forged('last', { recordedAt: to }), forged('tagged', { tag: 'offers' })],
      ...[forged('early', { recordedAt: from - 1 }), forged('late', { recordedAt: to + 60_000 })],
      ...[forged('elsewhere', { ip: '203.0.113.67' }), forged('otherwise', { source: 'page' })],
      ...[forged('nowhere', { ip: null }), forged('signed', { isVouched: true })],
    );
    await numberAll(test.db, [list]);
    await record(forged('both', { recordedAt: from - 1 }), forged('both', { tag: 'offers' }));
    const burst = await newBurst();
    assert.deepEqual(await tallyBurst(test.db, burst, later), { forged: 4, vouched: 1 });
    assert.deepEqual(await revert(burst), { forged: 4, vouched: 1, restored: 0 });
    for (const name of ['first', 'last']) assert.equal(await isOnList(name), false, name);
    assert.equal(await isSuppressed(test.db, list, 'tagged@example.com', { tag: 'offers' }), false);
    for (const name of ['early', 'late', 'elsewhere', 'otherwise', 'nowhere', 'signed', 'both']) {
      assert.equal(await isOnList(name), true, name);
    }
    const { revertedAt, reverted } = await getBurst(test.db, burst.id);
    assert.deepEqual([revertedAt, reverted], [later, 4]);
  });

  it('leaves who had left before, and whom somebody else has recorded since', async () => {
    await record(forged('ann', { recordedAt: from - 1000, ip: '192.0.2.1', source: 'page' }));
    await record(forged('ann'), forged('bob'), forged('cyd'), forged('dan'), forged('eve'));
    // Twice by the attacker changes nothing.
    await record(forged('bob', { recordedAt: to }));
    await record(forged('cyd', { recordedAt: later, ip: '192.0.2.1' }));
    await record(forged('dan', { recordedAt: later, isVouched: true }));
    await record(forged('eve', { recordedAt: later, source: 'page' }));
    assert.deepEqual(await revert(await newBurst()), { forged: 1, vouched: 3, restored: 0 });
    const left = await Promise.all(['ann', 'bob', 'cyd', 'dan', 'eve'].map((name) => isOnList(name)));
    assert.deepEqual(left, [true, false, true, true, true]);
  });

  it('makes an address that it had revived removed again', async () => {
    await record(forged('ann', { recordedAt: from - 5000, ip: '192.0.2.1' }));
    await removeOptOuts(test.db, list, 'ann@example.com', { at: from - 4000 });
    await record(forged('ann'));
    assert.deepEqual(await revert(await newBurst()), { forged: 1, vouched: 0, restored: 0 });
    assert.equal(await isOnList('ann'), false);
  });

  it('goes through all lists of the account, and no other account’s', async () => {
    const other = await newList();
    const stranger = await createAccount(test.db, 'Stranger');
    const foreign = await createList(test.db, stranger.id, { name: 'Foreign' }, { actor: 'test' });
    await record(forged('ann'), forged('ann', { listId: other }), forged('ann', { listId: foreign.id }));
    assert.equal((await revert(await newBurst())).forged, 2);
    assert.equal(await isSuppressed(test.db, foreign.id, 'ann@example.com'), true);
  });

  it('takes an IPv6 /56 as one client', async () => {
    const network = '2001:db8:0:100::/56';
    await record(
      ...[forged('ann', { ip: '2001:db8:0:100::1' }), forged('bob', { ip: '2001:db8:0:1ff:1::2' })],
      ...[forged('cyd', { ip: '2001:db8:0:200::1' })],
    );
    assert.equal((await revert(await newBurst({ network }))).forged, 2);
    assert.equal(await isOnList('cyd'), true);
  });

  it('is carried by deltas as removals, and noted for each address', async () => {
    await record(forged('ann'), forged('bob'), forged('cyd', { ip: '192.0.2.1' }));
    await numberAll(test.db, [list]);
    const { lastNumber } = await getFeed(test.db);
    const burst = await newBurst();
    await revert(burst);
    await numberAll(test.db, [list]);
    const to = (await getFeed(test.db)).lastNumber;
    const changes: [string, boolean][] = [];
    for await (const slice of readChanges(test.db, [list], { from: lastNumber, to }, { at: later })) {
      for (const { address, isSuppressed: is } of slice) changes.push([String(address), is]);
    }
    assert.deepEqual(changes.sort(), [
      ['ann@example.com', false],
      ['bob@example.com', false],
    ]);
    const notes = await test
      .db<{ action: string; subject: Buffer; details: string; list_id: number | null }>('history')
      .whereIn('action', ['opt-out.reverted', 'burst.reverted'])
      .where('details', 'like', `{"burst":${burst.id}%`)
      .orderBy('id');
    assert.deepEqual(
      notes.map((note) => [note.action, note.subject?.toString('hex') ?? JSON.parse(note.details)]).sort(),
      [
        ['burst.reverted', { burst: burst.id, opt_outs: 2 }],
        ...['ann', 'bob'].map((name) => ['opt-out.reverted', md5Of(`${name}@example.com`).toString('hex')]),
      ].sort(),
    );
  });

  it('broken off in the middle, is done again; and done once more, changes nothing', async () => {
    const many = Array.from({ length: 1200 }, (_, i) => forged(`person${i}`, { recordedAt: from + i }));
    await record(...many.slice(0, 700));
    await numberAll(test.db, [list]);
    await record(...many.slice(700), forged('ann', { ip: '192.0.2.1' }));
    const burst = await newBurst();
    let slices = 0;
    const breaking = revert(burst, () => {
      if (++slices === 2) throw new Error('killed');
    });
    await assert.rejects(breaking, /killed/);
    const { reverted } = await getBurst(test.db, burst.id);
    assert.equal(reverted, 400);
    assert.equal((await tallyBurst(test.db, burst, later)).forged, 800);

    assert.equal((await revert(burst)).forged, 800);
    assert.equal((await revert(burst)).forged, 0);
    assert.equal((await getBurst(test.db, burst.id)).reverted, 1200);
    const rows = await rowsOfList(test.db, list);
    assert.deepEqual(
      rows.filter((row) => row.removed_at === null).map((row) => String(row.address)),
      ['ann@example.com'],
    );
    const [{ notes } = { notes: 0 }]: { notes: number }[] = await test
      .db('history')
      .where({ list_id: list, action: 'opt-out.reverted' })
      .count('* as notes');
    assert.equal(notes, 1200, 'each is noted once');
  });

  it('takes back what came since, where the burst went on', async () => {
    await record(forged('ann'));
    const burst = await newBurst();
    assert.equal((await revert(burst)).forged, 1);
    await record(forged('ann', { recordedAt: to + 30_000 }), forged('bob', { recordedAt: to + 30_000 }));
    await noteBursts(test.db, [{ ...burst, from: to + 30_000, to: to + 30_000, recipients: 150 }], 600_000);
    const after = await getBurst(test.db, burst.id);
    assert.deepEqual([after.startedAt, after.lastAt, after.recipients], [from, to + 30_000, 150]);
    assert.equal((await revert(after)).forged, 2);
    assert.equal((await getBurst(test.db, burst.id)).reverted, 3);
  });

  it('leaves what somebody else records while it is being done', async () => {
    const many = Array.from({ length: 600 }, (_, i) => forged(`person${i}`));
    await record(...many);
    let isFirst = true;
    let standing = 0;
    await revertBurst(test.db, await newBurst(), {
      ...{ actor: 'test', timeoutMs: 5000, now: () => later },
      onSlice: () => {
        if (!isFirst) return;
        isFirst = false;
        raced = (async () => {
          const left = (await rowsOfList(test.db, list)).filter((row) => row.removed_at === null);
          standing = left.length;
          await record(...many.map((one) => ({ ...one, ip: '192.0.2.1', recordedAt: later })));
        })();
      },
    });
    await raced;
    assert.ok(standing > 0);
    const rows = await rowsOfList(test.db, list);
    assert.equal(rows.filter((row) => row.removed_at !== null).length, 0, 'each has been recorded again');
  });
  let raced: Promise<void> = Promise.resolve();
});
