import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { readConfig } from '../../src/config.js';
import { readChanges } from '../../src/core/entries.js';
import { cursorText, getCounts, getFeed, hasPendingChanges, readCursor } from '../../src/core/feed.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { createRecorder, type Recorder } from '../../src/core/recorder.js';
import { retrying, type Db } from '../../src/db/connect.js';
import { startKeeper, type Keeper } from '../../src/keeper/keeper.js';
import { createLog } from '../../src/log.js';
import {
  countsByKind,
  migratedDatabase,
  newList,
  optOutOf,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';
import { engine } from '../support/engine.js';
import { until } from '../support/service.js';

const quickWriters = 6;
const leastAddresses = 600;

/** Another way to follow a list: what lies above the highest place seen so far. */
interface Naive {
  readonly what: string;
  readonly read: (above: number) => Promise<{ place: number; key: Buffer }[]>;
}

/**
 * PROMISES.md, 3: writers of which a fifth commits late, readers that follow their cursors, and a keeper
 * that is stopped and started again. That the writing is of a kind to lose rows in is shown by readers
 * who follow the order of recording instead: they have to miss some.
 */
describe('The delta, with eight writers, slow commits, three readers and a keeper that restarts', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  let keeper: Keeper;
  let recorder: Recorder;
  let isWriting = true;
  /** Addresses that were acknowledged, and those of them that were taken off again. */
  const acked = new Set<string>();
  /** Those that committed long after they were recorded. */
  const late = new Set<string>();
  const naives: (Naive & { seen: Set<string> })[] = [];
  const readers: { state: Map<string, boolean>; ever: Set<string>; numbers: number[] }[] = [];

  before(async function () {
    this.timeout(60_000);
    test = await migratedDatabase();
    db = test.db;
    list = await newList(db);
    await addNaives();
    const log = createLog('silent');
    keeper = startKeeper(test.another(), log, 'first', readConfig({}).retention);
    recorder = createRecorder(db, { queueRows: 1000, timeoutMs: 20_000, onCommit: () => keeper.wake() });
    const reading = [follow(), follow(), follow(), ...naives.map(followNaively)];
    const slow = ['s', 't'].map(writeSlowly);
    await until('the slow writers write', () => late.size > 1);
    const writing = Array.from({ length: quickWriters }, (_, i) => write(i));
    const writtenSoFar = acked.size;
    const isWritten = (part: number) => () => acked.size >= writtenSoFar + leastAddresses * part;
    await until('a third is written', isWritten(1 / 3));
    await keeper.stop();
    await until('two thirds are written, while nobody numbers', isWritten(2 / 3));
    keeper = startKeeper(test.another(), log, 'second', readConfig({}).retention);
    await until('all is written', () => isWritten(1)() && late.size >= leastAddresses / 10);
    isWriting = false;
    slow.forEach(({ child }) => child.kill('SIGTERM'));
    await Promise.all([...writing, ...slow.map(({ ended }) => ended)]);
    await until('everything is numbered', async () => !(await hasPendingChanges(db, list)));
    isNumbered = true;
    await Promise.all(reading);
    await keeper.stop();
  });
  after(() => test.close());
  let isNumbered = false;

  async function addNaives(): Promise<void> {
    naives.push({
      what: 'the time at which rows were recorded',
      seen: new Set(),
      read: async (above) => {
        const rows = await db<{ recorded_at: number; address_key: Buffer }>('opt_outs')
          .where('recorded_at', '>', above)
          .orderBy('recorded_at')
          .select('recorded_at', 'address_key');
        return rows.map((row) => ({ place: row.recorded_at, key: row.address_key }));
      },
    });
    if (engine === 'sqlite') return; // whose writers stand in line: ids are given in the order of commits
    await db.raw('CREATE TABLE naive (id BIGINT AUTO_INCREMENT PRIMARY KEY, address_key BINARY(16))');
    await db.raw(
      'CREATE TRIGGER naively AFTER INSERT ON opt_outs FOR EACH ROW INSERT INTO naive (address_key) VALUES (NEW.address_key)',
    );
    naives.push({
      what: 'an auto-increment',
      seen: new Set(),
      read: async (above) => {
        const rows = await db<{ id: number; address_key: Buffer }>('naive')
          .where('id', '>', above)
          .orderBy('id');
        return rows.map((row) => ({ place: row.id, key: row.address_key }));
      },
    });
  }

  /** Records new addresses, takes a few off again, and records some of those once more. */
  async function write(writer: number): Promise<void> {
    for (let n = 0; isWriting; n++) {
      const emails = Array.from({ length: 3 }, (_, i) => `w${writer}-${n}-${i}@example.com`);
      await recorder.record(emails.map((email) => optOutOf(list, email, { recordedAt: Date.now() })));
      for (const email of emails) acked.add(email);
      const [gone = ''] = emails;
      if (n % 4 === 0) {
        await retrying(db, 20_000, () => removeOptOuts(db, list, gone));
        acked.delete(gone);
      }
      if (n % 8 === 0) {
        await recorder.record([optOutOf(list, gone, { recordedAt: Date.now() })]);
        acked.add(gone);
      }
      await wait(10);
    }
  }

  /** In a process of its own, until it is told to end. */
  function writeSlowly(name: string): { child: ChildProcess; ended: Promise<unknown> } {
    const file = path.join(import.meta.dirname, '../support/slow-writer.ts');
    const child = spawn(process.execPath, ['--import=tsx', file, test.url, String(list), name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    createInterface({ input: child.stdout }).on('line', (email) => {
      acked.add(email);
      late.add(email);
    });
    return { child, ended: Promise.all([ended, once(child.stdout, 'close')]) };
  }

  /** As the download does it: the feed first, then what lies between the cursor and it. */
  async function follow(): Promise<void> {
    const reader = { state: new Map<string, boolean>(), ever: new Set<string>(), numbers: [] as number[] };
    readers.push(reader);
    let cursor = cursorText({ ...(await getFeed(db)), lastNumber: 0 });
    let isLast: boolean;
    do {
      isLast = isNumbered;
      const feed = await getFeed(db);
      const from = readCursor(feed, cursor);
      for await (const slice of readChanges(db, [list], { from, to: feed.lastNumber }, { at: Date.now() })) {
        for (const { address, isSuppressed } of slice) {
          reader.state.set(String(address), isSuppressed);
          reader.ever.add(String(address));
        }
      }
      reader.numbers.push(feed.lastNumber);
      cursor = cursorText(feed);
      await wait(5);
    } while (!isLast);
  }

  async function followNaively({ read, seen }: Naive & { seen: Set<string> }): Promise<void> {
    let above = 0;
    let isLast: boolean;
    do {
      isLast = isNumbered;
      for (const { place, key } of await read(above)) {
        seen.add(key.toString('hex'));
        above = place;
      }
      await wait(5);
    } while (!isLast);
  }

  it('misses nothing, and gives nothing out of order', async () => {
    const rows = await rowsOfList(db, list);
    const standing = rows.filter((row) => row.removed_at === null).map((row) => String(row.address));
    assert.deepEqual(new Set(standing), acked, 'the ledger and the list agree');
    assert.ok(acked.size >= leastAddresses && readers.length === 3);
    for (const { state, ever, numbers } of readers) {
      const missed = rows.filter((row) => !ever.has(String(row.address)));
      assert.equal(missed.length, 0, `missed ${missed.length}`);
      const suppressed = [...state].filter(([, isSuppressed]) => isSuppressed).map(([email]) => email);
      assert.deepEqual(new Set(suppressed), acked, 'what came last is how it stands');
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
      assert.ok(new Set(numbers).size > 5, 'it has followed all along');
    }
  });

  it('has numbered each change once, and counted what suppresses', async () => {
    const rows = await rowsOfList(db, list);
    const given = rows.map((row) => row.feed_number ?? 0);
    assert.equal(new Set(given).size, rows.length);
    const { lastNumber } = await getFeed(db);
    assert.ok(Math.max(...given) <= lastNumber && Math.min(...given) >= 1);
    const { addresses, md5_only, sha256_only, erased } = await getCounts(db, list);
    assert.deepEqual({ addresses, md5_only, sha256_only, erased }, countsByKind(rows));
  });

  it('would have missed rows by the order of recording, which shows that this test can fail', async () => {
    const keys = (await rowsOfList(db, list)).map((row) => row.address_key.toString('hex'));
    for (const { what, seen } of naives) {
      const missed = keys.filter((key) => !seen.has(key)).length;
      assert.ok(missed > 0, `following ${what} has missed nothing of ${keys.length}`);
    }
  });
});
