import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { readConfig } from '../../src/config.js';
import { getCounts, getFeed, hasPendingChanges } from '../../src/core/feed.js';
import { numberChanges } from '../../src/core/numbering.js';
import { findLease, takeLease } from '../../src/core/leases.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { engineOf, type Db } from '../../src/db/connect.js';
import { Unavailable } from '../../src/errors.js';
import { startKeeper, type Keeper } from '../../src/keeper/keeper.js';
import { createLog } from '../../src/log.js';
import { migratedDatabase, newList, optOutOf, rowsOfList, type TestDatabase } from '../support/core.js';
import { until } from '../support/service.js';

describe('The keeper', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  let logged: string[] = [];
  const keepers = new Set<Keeper>();
  const children = new Set<ChildProcess>();

  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close());
  beforeEach(async () => {
    await test.clear();
    list = await newList(db);
    logged = [];
  });
  afterEach(async () => {
    await Promise.all([...keepers].map(stop));
    for (const child of children) child.kill('SIGKILL');
    children.clear();
  });

  const log = createLog('warn', { write: (line: string) => void logged.push(line) });
  const start = (holder: string, on = test.another()) => {
    const keeper = startKeeper(on, log, holder, readConfig({}).retention);
    keepers.add(keeper);
    return keeper;
  };
  const stop = (keeper: Keeper) => {
    keepers.delete(keeper);
    return keeper.stop();
  };
  let emails = 0;
  const record = async (count = 1, more: Partial<OptOut> = {}) => {
    for (let left = count; left > 0; left -= 1000) {
      const email = () => `p${emails++}@example.com`;
      const rows = Array.from({ length: Math.min(left, 1000) }, () => rowOf(optOutOf(list, email(), more)));
      await writeOptOuts(db, rows);
    }
  };
  const isNumbered = async () => !(await hasPendingChanges(db, list));
  const numbers = async () =>
    (await rowsOfList(db, list)).map((row) => row.feed_number).sort((a, b) => (a ?? 0) - (b ?? 0));
  const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
  const holder = async () => (await findLease(db, 'keeper'))?.holder;
  const fencing = async () => (await db<{ fencing: number }>('feed').first('fencing'))?.fencing;
  /** Each time that it was taken; more than once by one keeper, where a slow machine let its lease run out. */
  const fencingOfLease = async () =>
    (await db<{ name: string; fencing: number }>('leases').where({ name: 'keeper' }).first('fencing'))
      ?.fencing ?? 0;

  it('numbers what was committed, and turns what has expired into removals', async () => {
    await record(1500);
    await record(1, { expiresAt: Date.now() - 1000 });
    start('ann');
    await until('all is numbered, and the expired one removed', async () => {
      const { addresses } = await getCounts(db, list);
      return (await isNumbered()) && addresses === 1500;
    });
    assert.equal((await getFeed(db)).lastNumber, 1502);
  });

  it('works by one process at a time, and goes over to another that is there when it stops', async () => {
    const ann = start('ann');
    await until('ann holds the lease', async () => (await holder()) === 'ann');
    start('bob');
    await record(300);
    ann.wake();
    await until('all is numbered', isNumbered);
    assert.equal(await holder(), 'ann');
    await stop(ann);
    await record(200);
    await until('bob has taken over', async () => (await isNumbered()) && (await holder()) === 'bob');
    assert.deepEqual(await numbers(), upTo(500));
    assert.deepEqual([await fencing(), (await getCounts(db, list)).addresses], [2, 500]);
  });

  it('goes over to another when it was killed and its lease runs out', async () => {
    const { child } = await startProcess();
    await record(10);
    await until('it has numbered', isNumbered);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await record(10);
    start('bob');
    // Its lease ends soon; nobody has given it up.
    await db('leases').update({ expires_at: Date.now() + 300 });
    await until('bob has taken over', async () => (await isNumbered()) && (await holder()) === 'bob');
    assert.deepEqual(await numbers(), upTo(20));
  });

  it('numbers nothing more where it was paused and another has taken over meanwhile', async () => {
    const { child, rounds } = await startProcess();
    await record(10);
    await until('it has numbered', isNumbered);
    await pause({ child, rounds });
    const earlier = await fencingOfLease();
    await db('leases').update({ expires_at: 0 });
    const lease = await takeLease(db, 'keeper', 'bob', 60_000);
    assert.ok(lease !== null);
    assert.equal(lease.fencing, earlier + 1);
    await record(5);
    assert.equal(await numberChanges(db, lease.fencing), 5);

    await record(5);
    const before = rounds();
    child.kill('SIGCONT');
    // It holds its lease to be good for some more seconds, and looks for work twice a second; where all this took
    // long, it asks for its lease first.
    await until('it has looked for work, or for its lease, twice', () => rounds() >= before + 2);
    assert.equal(await isNumbered(), false);
    assert.equal((await getFeed(db)).lastNumber, 15);
    assert.equal(await numberChanges(db, lease.fencing), 5);
    assert.deepEqual(await numbers(), upTo(20));
    assert.equal((await getCounts(db, list)).addresses, 20);
  });

  it('leaves others as much time as a sweep has taken that has more to do, however often they wake it', async () => {
    const sweepMs = 200;
    await record(350, { expiresAt: Date.now() - 1000 });
    const began: number[] = [];
    const watched = test.another();
    watched.on('query', ({ sql }: { sql: string }) => {
      if (!/^select .* from `expiries` where `expires_at` <= /.test(sql)) return;
      began.push(performance.now());
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, sweepMs);
    });
    const keeper = start('ann', watched);
    const waking = setInterval(() => keeper.wake(), 1);
    try {
      await until(
        'all of it is done',
        async () => (await getCounts(db, list)).addresses === 0 && began.length >= 4,
      );
    } finally {
      clearInterval(waking);
    }
    const pauses = began.slice(1, 4).map((at, i) => at - (began[i] ?? 0));
    // Milliseconds are rounded.
    assert.ok(Math.min(...pauses) >= 2 * sweepMs - 3, pauses.join(', '));
  });

  it('says since when it is in trouble, tries again each second however often it is woken, and recovers', async () => {
    const keeper = start('ann');
    await until('it works', async () => (await holder()) === 'ann');
    assert.equal(keeper.troubledSince(), null);
    const startedAt = Date.now();
    await db.schema.renameTable('lists', 'lists_away');
    await until('it is in trouble', () => keeper.troubledSince() !== null);
    // A sweep that was under way may have failed as well, once, without waiting for its second.
    const failures = () => logged.filter((line) => line.includes('the keeper failed'));
    await until('it has failed three times', () => {
      keeper.wake();
      return failures().length >= 3;
    });
    const seconds = (Date.now() - startedAt + 100) / 1000;
    assert.ok(failures().length <= 2 + seconds, `${failures().length} in ${seconds} s`);
    await db.schema.renameTable('lists_away', 'lists');
    await record(5);
    await until('it works again', async () => keeper.troubledSince() === null && (await isNumbered()));
  });

  it('goes on numbering, and with its other sweeps, while one of them fails, and says which', async () => {
    const keeper = start('ann');
    await until('it works', async () => (await holder()) === 'ann');
    const startedAt = Date.now();
    await db.schema.renameTable('feed_marks', 'feed_marks_away');
    await until('it is in trouble', () => keeper.troubledSince() !== null);
    const since = keeper.troubledSince();
    await record(5000);
    await record(1, { expiresAt: Date.now() - 1000 });
    await until('all is numbered, and the expired one removed', async () => {
      const { addresses } = await getCounts(db, list);
      return (await isNumbered()) && addresses === 5000;
    });
    const rounds = 1 + (Date.now() - startedAt + 100) / 1000;
    assert.ok(logged.length <= rounds, `${logged.length} warnings: it is not tried with each round`);
    assert.ok(logged.every((line) => (JSON.parse(line) as { sweep?: string }).sweep === 'feed-marks'));
    assert.equal(keeper.troubledSince(), since);
    await db.schema.renameTable('feed_marks_away', 'feed_marks');
    await until('it is over', () => keeper.troubledSince() === null);
  });

  it('does not ask for the lease with each commit while another has it', async () => {
    start('ann');
    await until('ann holds the lease', async () => (await holder()) === 'ann');
    const bobsDb = test.another();
    let asked = 0;
    bobsDb.on('query', ({ sql }: { sql: string }) => void (/update `leases`/.test(sql) && asked++));
    const bob = start('bob', bobsDb);
    await until('bob has asked once', () => asked >= 2);
    const before = Date.now();
    let wakes = 0;
    await until('bob was woken a hundred times, and has asked again', () => {
      bob.wake();
      return ++wakes >= 100 && asked >= 4;
    });
    // Two statements each time, every half second.
    assert.ok(asked <= 4 + 2 * ((Date.now() - before) / 500), `${asked} statements`);
  });

  it('finishes its round when it is stopped, gives its lease up, and does nothing more', async () => {
    const keeper = start('ann');
    await record(3000);
    keeper.wake();
    await until('it has begun', async () => (await getFeed(db)).lastNumber > 0);
    await stop(keeper);
    assert.equal((await findLease(db, 'keeper'))?.expiresAt, 0);
    const { lastNumber } = await getFeed(db);
    const [row] = await db('opt_outs').whereNotNull('feed_number').count({ count: '*' });
    assert.equal(Number(row?.count), lastNumber, 'no round is half done');
    keeper.wake();
    start('bob');
    await until('another has done the rest', isNumbered);
    assert.deepEqual([(await getFeed(db)).lastNumber, await holder()], [3000, 'bob']);
  });

  /** Stops it where it holds no lock: one that it took along would keep everybody waiting. */
  async function pause({ child, rounds }: { child: ChildProcess; rounds: () => number }) {
    for (;;) {
      const before = rounds();
      child.kill('SIGSTOP');
      if (await isFree()) return;
      child.kill('SIGCONT');
      await until('it has gone on', () => rounds() > before);
    }
  }

  /** Whether nobody is in the middle of a transaction: what it holds is waited for, for a few seconds. */
  async function isFree(): Promise<boolean> {
    try {
      await db.transaction(async (trx) => {
        await trx('leases').update({ expires_at: trx.ref('expires_at') });
        await trx('feed').update({ fencing: trx.ref('fencing') });
        await trx('lists').update({ name: trx.ref('name') });
      });
      return true;
    } catch (error) {
      if (error instanceof Unavailable || engineOf(db).isUnavailable(error)) return false;
      throw error;
    }
  }

  /** A keeper in another process, which has looked for work at least once. */
  async function startProcess() {
    const file = path.join(import.meta.dirname, '../support/keeper-process.ts');
    const child = spawn(process.execPath, ['--import=tsx', file, test.url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const rounds = () => said.split('\n').length - 1;
    await until('it looks for work', () => rounds() > 0);
    return { child, rounds };
  }
});
