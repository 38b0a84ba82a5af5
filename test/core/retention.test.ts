import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { audit } from '../../src/core/audit.js';
import { readChanges } from '../../src/core/entries.js';
import { cursorText, getFeed, readCursor } from '../../src/core/feed.js';
import { takeLease } from '../../src/core/leases.js';
import { expireOptOuts } from '../../src/core/numbering.js';
import { forgetOldLogs } from '../../src/core/old-logs.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import { purgeTombstones } from '../../src/core/purge.js';
import { retainOptOuts, type Retention } from '../../src/core/retention.js';
import type { Db } from '../../src/db/connect.js';
import { CursorGone } from '../../src/errors.js';
import {
  collect,
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  rowsOfList,
  untilLockWait,
  type TestDatabase,
} from '../support/core.js';
import { engine } from '../support/engine.js';
import { makeList, startTestService, until } from '../support/service.js';

const day = 24 * 3_600_000;
const retention: Retention = { ipMs: 90 * day, tombstonesMs: 400 * day, historyMs: 730 * day };
const now = 1000 * day;
const ip = '198.51.100.7';

describe('What is kept for a time alone', () => {
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
    for (const table of ['passes', 'downloads', 'installation']) await db(table).delete();
    await takeLease(db, 'keeper', 'test', 1000);
    list = await newList(db);
  });

  const record = (...optOuts: OptOut[]) => writeOptOuts(db, optOuts.map(rowOf).sort(compareRows));
  const at = (days: number, more: Partial<OptOut> = {}): Partial<OptOut> => ({
    recordedAt: days * day,
    ip,
    ...more,
  });
  const names = async (listId = list) =>
    (await rowsOfList(db, listId)).map((row) => String(row.address).split('@')[0]).sort();
  const breaches = async () => {
    const found: string[] = [];
    for await (const { description } of audit(db)) found.push(description);
    return found;
  };
  /** A whole pass, in slices of so many rows. */
  async function pass(moment = now, rowsAtOnce = 3): Promise<number> {
    for (let calls = 1; calls < 1000; calls++) {
      if (!(await retainOptOuts(db, moment, retention, rowsAtOnce))) return calls;
    }
    throw new Error('the pass comes to no end');
  }
  /** From this moment, the feed knows which numbers were given by then. */
  const mark = async (days: number) =>
    db('feed_marks').insert({ at: days * day, number: (await getFeed(db)).lastNumber });

  describe('the IP addresses of opt-outs', () => {
    it('go after their time, by slices over all lists, and nothing else changes', async () => {
      const other = await newList(db);
      const optOuts = Array.from({ length: 20 }, (_, n) => [
        optOutOf(list, `old${n}@example.com`, at(900)),
        optOutOf(list, `old${n}@example.com`, at(900, { tag: 'sale' })),
        optOutOf(other, `young${n}@example.com`, at(911)),
        optOutOf(other, `old${n}@example.com`, at(909)),
      ]).flat();
      await record(...optOuts);
      await numberAll(db, [list, other]);
      const whole = [...(await rowsOfList(db, list)), ...(await rowsOfList(db, other))];
      assert.ok((await pass()) > 80 / 3);
      assert.deepEqual(
        [...(await rowsOfList(db, list)), ...(await rowsOfList(db, other))],
        whole.map((row) => ({ ...row, ip: String(row.address).startsWith('old') ? null : ip })),
      );
      assert.deepEqual(await breaches(), []);
    });

    it('are looked for once a day', async () => {
      await record(optOutOf(list, 'ann@example.com', at(900)));
      await pass();
      await record(optOutOf(list, 'bob@example.com', at(900)));
      assert.equal(await retainOptOuts(db, now + day - 1, retention), false);
      const left = async () => (await rowsOfList(db, list)).filter((row) => row.ip !== null).length;
      assert.equal(await left(), 1);
      await pass(now + day);
      assert.equal(await left(), 0);
    });

    it('stay where somebody has opted out anew meanwhile', async () => {
      await record(optOutOf(list, 'ann@example.com', at(900)));
      await removeOptOuts(db, list, 'ann@example.com', { at: 901 * day });
      await record(optOutOf(list, 'ann@example.com', at(950)));
      await pass();
      assert.deepEqual(
        (await rowsOfList(db, list)).map((row) => row.ip),
        [ip],
      );
    });
  });

  describe('removed opt-outs', () => {
    it('go after their time; cursors from before are refused, and younger ones go on', async () => {
      await record(
        ...['ann', 'bob', 'cyd', 'dan'].map((name) => optOutOf(list, `${name}@example.com`, at(100))),
      );
      await numberAll(db, [list]);
      const feedBefore = await getFeed(db);
      await removeOptOuts(db, list, 'ann@example.com', { at: 200 * day });
      await numberAll(db, [list]);
      await removeOptOuts(db, list, 'bob@example.com', { at: 201 * day });
      await numberAll(db, [list]);
      const feedThen = await getFeed(db);
      await mark(202);
      await removeOptOuts(db, list, 'cyd@example.com', { at: 700 * day });
      await numberAll(db, [list]);

      await pass();
      assert.deepEqual(await names(), ['cyd', 'dan']);
      const feed = await getFeed(db);
      assert.equal(feed.purgedNumber, feedThen.lastNumber);
      for (const number of [feedBefore.lastNumber, feedThen.lastNumber - 1]) {
        const cursor = cursorText({ ...feedBefore, lastNumber: number });
        assert.throws(() => readCursor(feed, cursor), CursorGone, cursor);
      }
      const from = readCursor(feed, cursorText(feedThen));
      const changes = readChanges(db, [list], { from, to: feed.lastNumber }, { at: now });
      assert.deepEqual(await collect(changes), ['-cyd@example.com']);
      assert.deepEqual(await breaches(), []);

      await pass(now + day);
      assert.equal((await getFeed(db)).purgedNumber, feed.purgedNumber, 'nothing more to purge');
    });

    it('wait for their numbers, and for their numbers to be as old: no younger cursor is refused for them', async () => {
      await record(
        optOutOf(list, 'ann@example.com', at(100)),
        optOutOf(list, 'bob@example.com', at(100, { expiresAt: 150 * day })),
        optOutOf(list, 'cyd@example.com', at(100)),
      );
      await numberAll(db, [list]);
      await mark(300);
      // Found to have expired long afterwards: the keeper was away.
      await expireOptOuts(db, 990 * day);
      await numberAll(db, [list]);
      await mark(991);
      await removeOptOuts(db, list, 'cyd@example.com', { at: 200 * day });
      await pass();
      assert.deepEqual(await names(), ['ann', 'bob', 'cyd']);
      assert.equal((await getFeed(db)).purgedNumber, 0);
      await numberAll(db, [list]);
      await mark(1001);
      await pass(1402 * day);
      assert.deepEqual(await names(), ['ann']);
      assert.deepEqual(await breaches(), []);
    });

    it('take the note of their expiry with them', async () => {
      await record(optOutOf(list, 'ann@example.com', at(100, { expiresAt: 5000 * day })));
      await numberAll(db, [list]);
      await removeOptOuts(db, list, 'ann@example.com', { at: 200 * day });
      await numberAll(db, [list]);
      await mark(300);
      await pass();
      assert.deepEqual([await names(), await db('expiries')], [[], []]);
      assert.deepEqual(await breaches(), []);
    });

    /** A tombstone that is old enough, as the pass reads it. */
    async function tombstone(email: string) {
      await record(optOutOf(list, email, at(100)));
      await removeOptOuts(db, list, email, { at: 200 * day });
      await numberAll(db, [list]);
      const rows = await rowsOfList(db, list);
      return rows.filter((row) => row.address_key.equals(md5Of(email))) as Parameters<
        typeof purgeTombstones
      >[2];
    }

    it('stay where they were revived since they were read', async () => {
      const rows = await tombstone('ann@example.com');
      await mark(300);
      await record(optOutOf(list, 'ann@example.com', at(900)));
      assert.equal(await purgeTombstones(db, list, rows, 600 * day), 0);
      assert.deepEqual(
        (await rowsOfList(db, list)).map((row) => row.removed_at),
        [null],
      );
      assert.equal((await getFeed(db)).purgedNumber, 0);
    });

    it('are never lost where they are revived at the very moment', async function () {
      this.timeout(60_000);
      for (let round = 0; round < 25; round++) {
        const emails = Array.from({ length: 8 }, (_, n) => `p${round}-${n}@example.com`);
        const rows = (await Promise.all(emails.map((email) => tombstone(email)))).flat();
        await numberAll(db, [list]);
        const fresh = await rowsOfList(db, list);
        await db('feed_marks').insert({ at: 300 * day + round, number: (await getFeed(db)).lastNumber });
        const writing = emails.map((email) => record(optOutOf(list, email, at(250))));
        const purging = purgeTombstones(
          db,
          list,
          fresh.filter((row) =>
            rows.some(({ address_key }) => address_key.equals(row.address_key)),
          ) as typeof rows,
          600 * day,
        );
        await Promise.all([...writing, purging]);
        const live = (await rowsOfList(db, list)).filter((row) => row.removed_at === null);
        assert.equal(live.length, (round + 1) * emails.length, `round ${round}`);
      }
      await numberAll(db, [list]);
      assert.deepEqual(await breaches(), []);
    });

    if (engine === 'mysql') {
      it('wait for a revival that has not committed yet', async () => {
        const rows = await tombstone('ann@example.com');
        await mark(300);
        const trx = await test.begin();
        await writeOptOuts(trx, [rowOf(optOutOf(list, 'ann@example.com', at(900)))]);
        const purging = purgeTombstones(db, list, rows, 600 * day);
        await untilLockWait(db);
        await trx.commit();
        assert.equal(await purging, 0);
        assert.deepEqual(
          (await rowsOfList(db, list)).map((row) => row.removed_at),
          [null],
        );
      });
    }
  });

  describe('logs', () => {
    const logged = async (days: number) => {
      const more = { extent: 'all', format: 'md5', status: 200 };
      await db('downloads').insert({
        list_id: list,
        mailer_id: 1,
        access_key_id: 1,
        at: days * day,
        ip,
        ...more,
      });
    };
    const ips = async () =>
      (await db<{ id: number; ip: string }>('downloads').orderBy('id')).map((row) => row.ip);

    it('lose the IP addresses of downloads after their time, and go as a whole after theirs', async () => {
      for (const days of [100, 800, 920, 805, 930]) await logged(days);
      await forgetOldLogs(db, now, { ...retention, historyMs: null });
      assert.deepEqual(
        await ips(),
        ['', '', ip, ip, ip],
        'what stands behind a young one has its time as well',
      );
      await forgetOldLogs(db, 1015 * day, retention);
      assert.deepEqual(await ips(), ['', '', '', ip]);
      await forgetOldLogs(db, 1021 * day, retention);
      assert.deepEqual(await ips(), ['', '', '', '']);
    });

    it('keep the history for as long as they are told', async () => {
      const count = async () => (await db('history')).length;
      const all = await count();
      assert.ok(all > 0);
      await forgetOldLogs(db, Date.now() + 2000 * day, { ...retention, historyMs: null });
      assert.equal(await count(), all);
      await forgetOldLogs(db, Date.now() + 729 * day, retention);
      assert.equal(await count(), all);
      await forgetOldLogs(db, Date.now() + 731 * day, retention);
      assert.equal(await count(), 0);
    });
  });
});

describe('The keeper', () => {
  it('takes care of what is kept for a time alone, by the settings', async function () {
    this.timeout(60_000);
    const service = await startTestService({ KEEP_IP_DAYS: '10' });
    try {
      const list = await makeList(service);
      const { db, recorder } = service.deps;
      const ago = (days: number) => ({ ip, recordedAt: Date.now() - days * day });
      await recorder.record([
        optOutOf(list.id, 'ann@example.com', ago(11)),
        optOutOf(list.id, 'bob@example.com', ago(9)),
      ]);
      // Its first pass may have ended before there was anything.
      await until(
        'a pass has ended',
        async () => (await db('passes').where({ name: 'retention' }).whereNotNull('ended_at')).length === 1,
      );
      await db('passes').delete();
      const ips = async () =>
        Object.fromEntries((await rowsOfList(db, list.id)).map((row) => [String(row.address), row.ip]));
      await until('the old one is gone', async () => (await ips())['ann@example.com'] === null);
      assert.equal((await ips())['bob@example.com'], ip);
    } finally {
      await service.close();
    }
  });
});
