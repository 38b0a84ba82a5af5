import assert from 'node:assert/strict';
import { audit } from '../../src/core/audit.js';
import { revertBurst } from '../../src/core/burst-revert.js';
import { getBurst, noteBursts, type Burst } from '../../src/core/bursts.js';
import { evictOverCap } from '../../src/core/cap.js';
import { getCounts, getFeed } from '../../src/core/feed.js';
import { editList, getListById } from '../../src/core/lists.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import { Unavailable } from '../../src/errors.js';
import {
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';
import { plansOf } from '../support/plans.js';

/** The real people left at 1000; the forged opt-outs came from here on, and pushed them out a little later. */
const from = 10_000_000;
const evictedAt = from + 5000;
const later = from + 3_600_000;
const attacker = '203.0.113.66';

describe('A list’s cap under forged opt-outs', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  let db: Db;
  let list: number;
  before(async () => {
    test = await migratedDatabase({ poolSize: 1 });
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    await test.clear();
    await db('history').delete();
    await db('bursts').delete();
    await db('lists').update({ cap: null });
    await db('leases').update({ fencing: 10 });
    list = await newList(db);
    await setCap(1000);
  });

  const setCap = async (cap: number | null) =>
    editList(db, await getListById(db, list), { cap }, { actor: 'test' });
  const people = (count: number, name = 'p', begin = 0) =>
    Array.from({ length: count }, (_, i) => `${name}${begin + i}@example.com`);
  const record = async (emails: readonly string[], more: Partial<OptOut> = {}) => {
    await writeOptOuts(db, emails.map((email) => rowOf(optOutOf(list, email, more))).sort(compareRows));
    await numberAll(db, [list]);
  };
  const forge = (emails: readonly string[], more: Partial<OptOut> = {}) =>
    record(emails, { source: 'pixel', ip: attacker, recordedAt: from, ...more });
  const evict = async (at = evictedAt) => {
    while (await evictOverCap(db, at)) await numberAll(db, [list]);
    await numberAll(db, [list]);
  };
  const burstOf = async (network = attacker, startedAt = from): Promise<Burst> => {
    const part = { accountId: 1, network, source: 'pixel', from: startedAt, to: startedAt + 60_000 } as const;
    await noteBursts(db, [{ ...part, recipients: 101 }], 600_000);
    const [id] = (await db('bursts').orderBy('id', 'desc').limit(1).pluck('id')) as number[];
    return getBurst(db, id ?? 0);
  };
  const revert = (burst: Burst) =>
    revertBurst(db, burst, { actor: 'test', timeoutMs: 5000, now: () => later });
  const live = async () =>
    (await rowsOfList(db, list))
      .filter((row) => row.removed_at === null)
      .map((row) => String(row.address))
      .sort();
  const notes = (action: string) =>
    db<{ action: string; subject: Buffer; details: string; list_id: number; actor: string }>('history').where(
      { action },
    );
  const assertClean = async () => {
    await numberAll(db, [list]);
    const found: string[] = [];
    for await (const { description } of audit(db)) found.push(description);
    assert.deepEqual(found, []);
    const { addresses } = await getCounts(db, list);
    assert.equal(addresses, (await live()).length);
  };

  it('brings back whom a burst had pushed out, once', async () => {
    await record(people(1000));
    await forge(people(400, 'forged'));
    await evict();
    assert.equal((await live()).filter((email) => email.startsWith('p')).length, 600);
    const burst = await burstOf();
    assert.deepEqual(await revert(burst), { forged: 400, vouched: 0, restored: 400 });
    assert.deepEqual(await live(), people(1000).sort());
    await assertClean();

    const told = await notes('opt-out.restored');
    const evictions = await notes('opt-out.evicted');
    const subjects = (rows: { subject: Buffer }[]) =>
      rows.map(({ subject }) => subject.toString('hex')).sort();
    assert.deepEqual(subjects(told), subjects(evictions));
    assert.deepEqual(
      [told[0]?.list_id, told[0]?.actor, told[0]?.details],
      [list, 'test', JSON.stringify({ burst: burst.id })],
    );
    assert.deepEqual(await revert(burst), { forged: 0, vouched: 0, restored: 0 });
    await evict(later);
    assert.deepEqual(await live(), people(1000).sort(), 'nobody is pushed out by those who came back');
    await assertClean();
  });

  it('brings back as many as there is room for, those that left last first', async () => {
    await record(people(700));
    await record(people(300, 'q'));
    await forge(people(100, 'forged'));
    await evict();
    const first = new Set(await live());
    await forge(people(250, 'forged', 100));
    await evict(evictedAt + 1000);
    const lastToLeave = [...first].filter((email) => email.startsWith('p'));
    const stayed = new Set(await live());
    // Real people take a part of the room, some of them not counted yet.
    await record(people(200, 'new'), { recordedAt: later });
    await evict(evictedAt + 2000);
    assert.equal((await notes('opt-out.evicted')).length, 550);
    const emails = people(30, 'unnumbered');
    const rows = emails.map((email) => rowOf(optOutOf(list, email, { recordedAt: later }))).sort(compareRows);
    await writeOptOuts(db, rows);
    const { forged, restored } = await revert(await burstOf());
    assert.deepEqual([forged, restored], [350, 320], 'there was room for 350, of which 30 had taken theirs');
    const standing = new Set(await live());
    assert.equal(standing.size, 1000);
    // The 200 of the third eviction come first, then 120 of the 250 of the second, none of the first.
    assert.ok([...stayed].filter((email) => !email.startsWith('forged')).every((one) => standing.has(one)));
    assert.equal(lastToLeave.filter((email) => !standing.has(email)).length, 130);
    const never = people(700).filter((email) => !first.has(email));
    assert.equal(never.length, 100);
    assert.ok(never.every((email) => !standing.has(email)));
    await assertClean();
    await evict(later);
    assert.equal((await live()).length, 1000);
    await assertClean();
  });

  it('brings all back where the cap has been taken off since', async () => {
    await record(people(1000));
    await forge(people(300, 'forged'));
    await evict();
    await setCap(null);
    await record(people(500, 'new'), { recordedAt: later });
    assert.deepEqual(await revert(await burstOf()), { forged: 300, vouched: 0, restored: 300 });
    assert.deepEqual(await live(), [...people(1000), ...people(500, 'new')].sort());
    await assertClean();
  });

  it('leaves what a burst had brought itself, what has changed since, and what left before', async () => {
    await record(people(10, 'old'));
    await record(people(990));
    await record(people(10, 'early'), { recordedAt: from - 5000 });
    await evict(from - 1000);
    const other = '198.51.100.7';
    await forge(people(500, 'theirs'), { ip: other });
    await evict();
    await forge(people(400, 'forged'));
    await evict(evictedAt + 1000);
    await forge(people(900, 'more'));
    await evict(evictedAt + 2000);
    assert.ok(
      (await live()).every((email) => !/^(p|theirs|old|early)/.test(email)),
      'they are pushed out',
    );
    const [back, gone, expired] = ['p0', 'p1', 'p2'].map((name) => `${name}@example.com`) as [
      string,
      string,
      string,
    ];
    await record([back], { recordedAt: evictedAt + 3000 });
    await record([gone], { recordedAt: evictedAt + 3000 });
    await removeOptOuts(db, list, gone, { at: evictedAt + 4000 });
    await db('opt_outs')
      .where({ list_id: list, address: Buffer.from(expired) })
      .update({ expires_at: later - 1 });
    await numberAll(db, [list]);
    await db('bursts').delete();
    const theirs = await burstOf(other);
    await db('bursts').where({ id: theirs.id }).update({ reverted_at: later, reverted: 500 });

    const done = await revert(await burstOf());
    assert.ok(done.forged >= 900);
    const standing = await live();
    assert.deepEqual(
      standing.filter((email) => /^(forged|more|theirs|old)/.test(email)),
      [],
      'neither forged ones nor who left before',
    );
    assert.ok(standing.includes(back));
    assert.ok(!standing.includes(gone));
    assert.ok(!standing.includes(expired));
    assert.deepEqual(
      standing.filter((email) => email.startsWith('p')).sort(),
      people(990)
        .filter((email) => email !== gone && email !== expired)
        .sort(),
    );
    assert.equal(standing.filter((email) => email.startsWith('early')).length, 10);
    assert.equal(done.restored, standing.length - 1);
    await assertClean();
  });

  it('goes on where it was broken off', async () => {
    await record(people(1000));
    await forge(people(700, 'forged'));
    await evict();
    const burst = await burstOf();
    let commits = 0;
    const spoil = ({ sql, bindings }: { sql: string; bindings?: unknown[] }) => {
      if (/insert into .history./i.test(sql) && bindings?.includes('opt-out.restored') && ++commits === 3) {
        throw new Unavailable('killed');
      }
    };
    db.on('query', spoil);
    await assert.rejects(revert(burst), /killed/);
    db.removeListener('query', spoil);
    const before = (await live()).length - 300;
    assert.ok(before > 0 && before < 700);
    assert.equal((await notes('opt-out.restored')).length, before, 'each slice is whole');
    await assertClean();
    assert.deepEqual(await revert(burst), { forged: 0, vouched: 0, restored: 700 - before });
    assert.deepEqual(await live(), people(1000).sort());
    await assertClean();
  });

  it('finds all of it by an index', async () => {
    await record(people(1000));
    await forge(people(300, 'forged'));
    await evict();
    const burst = await burstOf();
    const plans = await plansOf(db, async () => assert.equal((await revert(burst)).restored, 300));
    const ofThese = plans.filter(({ table }) => ['history', 'opt_outs', 'list_counts'].includes(table));
    assert.ok(ofThese.some(({ table, index }) => table === 'history' && index === 'history_account'));
    for (const { table, index, isScan, isSorted, sql } of ofThese) {
      assert.ok(!isScan && !isSorted, `${table} by ${index}: ${sql.slice(0, 300)}`);
    }
  });

  it('keeps whom an import has confirmed since, though that is no repeat', async () => {
    await record(people(10));
    await record(people(990, 'q'));
    await db('feed_marks').insert({ at: 2000, number: (await getFeed(db)).lastNumber });
    await record(people(10), { source: 'import', recordedAt: from, isVouched: true });
    const again = (await rowsOfList(db, list)).filter((row) => row.last_at > row.recorded_at);
    assert.deepEqual([again.length, ...new Set(again.map((row) => row.repeats))], [10, 0]);
    await record(people(10, 'new'), { recordedAt: from });
    await evict();
    const standing = await live();
    assert.equal(standing.length, 1000);
    for (const email of [...people(10), ...people(10, 'new')]) assert.ok(standing.includes(email), email);
    await assertClean();
  });
});
