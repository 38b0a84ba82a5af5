import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { createAttackRule, type Arrival, type AttackRule } from '../../src/core/attack-rule.js';
import { liftBlock, listBlocks } from '../../src/core/blocks.js';
import { listBursts, noteBursts } from '../../src/core/bursts.js';
import { forgetAttacks } from '../../src/core/old-attacks.js';
import type { Source } from '../../src/core/opt-outs.js';
import { createLog } from '../../src/log.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

const minute = 60_000;
const most = 16;
const windowMs = 10 * minute;
const blockMs = 60 * minute;

describe('The attack rule', () => {
  let test: TestDatabase;
  let now: number;
  let nodes = 0;
  let networks = 0;
  let account = 0;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(() => {
    // An account and a network of the test's own.
    account++;
    now = 1_800_000_000_000 + account * 100 * 60 * minute;
  });

  const newIp = () => `198.51.${100 + (networks >> 8)}.${networks++ & 255}`;
  const newNode = (options = {}): AttackRule =>
    createAttackRule(test.db, {
      ...{ recipients: most, windowMs, blockMs, node: `node-${++nodes}`, now: () => now, mergeEveryMs: null },
      ...options,
    });

  /** Recipient number `n` comes to a machine door; each takes a second. */
  function come(node: AttackRule, ip: string, n: number, more: Partial<Arrival> = {}): number | null {
    now += 1000;
    const addressKey = md5Of(`person${n}@example.com`);
    return node.admit({
      ...{ accountId: account, ip, source: 'pixel', addressKey, at: now, isForwarded: false },
      ...more,
    });
  }
  const times = (count: number, first = 0) => Array.from({ length: count }, (_, i) => first + i);
  /** How many of them passed. */
  const passed = (node: AttackRule, ip: string, numbers: readonly number[], more: Partial<Arrival> = {}) =>
    numbers.filter((n) => come(node, ip, n, more) === null).length;

  it('lets as many different recipients pass as it is set to, and then nobody for a while', () => {
    const node = newNode();
    const ip = newIp();
    assert.equal(passed(node, ip, times(most)), most);
    const endsAt = come(node, ip, most);
    assert.equal(endsAt, now + blockMs);
    assert.equal(passed(node, ip, times(50)), 0);
    assert.equal(passed(node, newIp(), times(3)), 3);
    now = endsAt;
    assert.equal(passed(node, ip, times(most + 5, 100)), most, 'it counts anew');
  });

  it('counts a recipient once, however often and by whichever machine door it comes', () => {
    const node = newNode();
    const ip = newIp();
    for (const source of ['pixel', 'one-click', 'direct-link', 'pixel'] as const) {
      assert.equal(passed(node, ip, times(most), { source }), most);
    }
    const other = newIp();
    const doors: Source[] = ['pixel', 'one-click', 'direct-link'];
    const mixed = times(30).filter((n) => come(node, other, n, { source: doors[n % 3] ?? 'pixel' }) === null);
    assert.equal(mixed.length, most, 'the doors are counted together');
  });

  it('counts within a window that slides', () => {
    const node = newNode();
    const ip = newIp();
    const pauseMs = windowMs / most;
    for (const n of times(5 * most)) {
      assert.equal(come(node, ip, n), null);
      now += pauseMs;
    }
    assert.equal(passed(node, ip, times(2 * most, 1000)) < most, true, 'the last ones count still');

    const other = newIp();
    passed(node, other, times(most));
    now += windowMs - minute;
    passed(node, other, times(most));
    now += 2 * minute;
    assert.equal(passed(node, other, times(2 * most, 100)), most, 'a repeat prolongs nothing');
  });

  it('counts for each account by itself', () => {
    const node = newNode();
    const ip = newIp();
    assert.equal(passed(node, ip, times(most + 1)), most);
    assert.equal(passed(node, ip, times(most), { accountId: 1_000_000 + account }), most);
  });

  it('takes an IPv6 /56 as one client', () => {
    const node = newNode();
    const ips = ['2001:db8:5:100::1', '2001:db8:5:1ff::2', '2001:db8:5:1ab:1:2:3:4'];
    const mixed = times(40).filter((n) => come(node, ips[n % 3] ?? '', n) === null);
    assert.equal(mixed.length, most);
    assert.equal(come(node, '2001:db8:5:200::1', 0), null);
  });

  it('blocks nobody at the page, and who is blocked is not counted there', async () => {
    const node = newNode();
    const ip = newIp();
    assert.equal(passed(node, ip, times(most + 1)), most);
    assert.equal(passed(node, ip, times(50), { source: 'page' }), 50);
    const other = newIp();
    assert.equal(passed(node, other, times(50), { source: 'page' }), 50);
    assert.equal(
      passed(node, other, times(most)),
      most,
      'nor do those of the page count at the machine doors',
    );
    await node.merge();
    const bursts = (await listBursts(test.db, account)).map(({ network, source }) => [network, source]);
    assert.deepEqual(
      bursts.sort(),
      [
        [ip, 'page'],
        [ip, 'pixel'],
        [other, 'page'],
      ].sort(),
    );
  });

  it('flags private addresses, and never blocks them: everybody behind a proxy has one', async () => {
    const node = newNode();
    for (const ip of ['127.0.0.1', '10.1.2.3', '192.168.0.1', 'fd00::1', '100.64.0.1', '::1']) {
      assert.equal(passed(node, ip, times(3 * most)), 3 * most, ip);
    }
    await node.merge();
    assert.equal((await listBlocks(test.db, account, now)).length, 0);
    assert.equal((await listBursts(test.db, account)).length, 6);
  });

  it('blocks no proxy that nobody named, for an hour after it last forwarded a request', async () => {
    const node = newNode();
    const proxy = newIp();
    assert.equal(passed(node, proxy, times(2 * most), { isForwarded: true }), 2 * most);
    assert.equal(passed(node, proxy, times(2 * most, 100)), 2 * most, 'its other requests as well');
    await node.merge();
    assert.equal((await listBlocks(test.db, account, now)).length, 0);
    assert.equal((await listBursts(test.db, account)).length, 1, 'but it is flagged');
    assert.equal(passed(node, newIp(), times(2 * most)), most, 'nobody else gains by that');
    now += blockMs;
    assert.equal(passed(node, proxy, times(2 * most, 200)), most);
  });

  it('lets a blocked client pass where its requests turn out to be forwarded ones', () => {
    const node = newNode();
    const ip = newIp();
    assert.equal(passed(node, ip, times(most + 1)), most);
    assert.equal(come(node, ip, 50, { isForwarded: true }), null);
    assert.equal(come(node, ip, 51), null);
  });

  describe('on several nodes', () => {
    it('counts what all of them have seen', async () => {
      const [a, b] = [newNode(), newNode()];
      const ip = newIp();
      assert.equal(passed(a, ip, times(most - 4)), most - 4);
      assert.equal(passed(b, ip, times(most - 4, 100)), most - 4);
      await a.merge();
      assert.equal(come(a, ip, 50), null, 'it cannot know yet');
      await b.merge();
      assert.notEqual(come(b, ip, 101), null);
      now += 2000;
      await a.merge();
      assert.notEqual(come(a, ip, 51), null);

      const bursts = await listBursts(test.db, account);
      assert.equal(bursts.length, 1);
      assert.ok((bursts[0]?.recipients ?? 0) > most);
    });

    it('counts a recipient once who came to several', async () => {
      const [a, b] = [newNode(), newNode()];
      const ip = newIp();
      for (const node of [a, b, a, b]) {
        assert.equal(passed(node, ip, times(most)), most);
        await node.merge();
      }
      assert.equal(a.load().blocks + b.load().blocks, 0);
    });

    it('knows of the others’ blocks within two seconds, and a new node at once', async () => {
      const [a, b] = [newNode(), newNode()];
      const ip = newIp();
      await b.merge();
      assert.equal(passed(a, ip, times(most + 1)), most);
      await a.merge();
      now += 2000;
      await b.merge();
      const late = newNode();
      await late.merge();
      for (const node of [b, late]) assert.notEqual(come(node, ip, 500), null);
    });

    it('makes one burst of what all of them see, in whichever order they tell', async () => {
      const [a, b] = [newNode(), newNode()];
      const ip = newIp();
      const startedAt = now + 1000;
      for (const n of times(3 * most)) {
        come(n % 2 === 0 ? a : b, ip, n, { source: 'page' });
        if (n % 5 === 0) await Promise.all([a.merge(), b.merge()]);
      }
      await Promise.all([a.merge(), b.merge()]);
      const bursts = await listBursts(test.db, account);
      assert.deepEqual(
        bursts.map((one) => [one.startedAt, one.lastAt, one.isOpen]),
        [[startedAt, now, true]],
      );
    });

    it('makes one burst of its parts, whichever comes first', async () => {
      const [early, late] = [
        { from: now, to: now + 2000, recipients: 20 },
        { from: now + 1000, to: now + 5000, recipients: 18 },
      ];
      for (const parts of [
        [early, late],
        [late, early],
      ]) {
        const network = newIp();
        for (const part of parts) {
          await noteBursts(test.db, [{ ...part, accountId: account, network, source: 'page' }], windowMs);
        }
        const [burst, ...none] = (await listBursts(test.db, account)).filter(
          (one) => one.network === network,
        );
        assert.deepEqual([burst?.startedAt, burst?.lastAt, burst?.recipients], [now, now + 5000, 20]);
        assert.deepEqual(none, []);
      }
    });

    it('ends a block on all of them when it is lifted, and counts anew', async () => {
      const [a, b, quiet] = [newNode(), newNode(), newNode()];
      const ip = newIp();
      passed(quiet, ip, times(most / 2, 200));
      passed(a, ip, times(5));
      passed(b, ip, times(5, 100));
      for (const node of [quiet, a, b]) await node.merge();
      now += 2000;
      await a.merge();
      for (const node of [a, b]) assert.notEqual(come(node, ip, 300), null);

      await liftBlock(test.db, account, ip, { actor: 'test', windowMs, now });
      assert.deepEqual(await listBlocks(test.db, account, now), []);
      now += 2000;
      for (const node of [a, b]) await node.merge();
      assert.equal(passed(a, ip, times(6, 400)), 6);
      assert.equal(passed(b, ip, times(6, 500)), 6);
      for (const node of [a, b]) await node.merge();
      assert.equal(a.load().blocks + b.load().blocks, 0, 'what came before counts nowhere');
      assert.equal(passed(a, ip, times(2 * most, 600)), most - 6, 'and what came since does');
    });

    it('keeps a block lifted that a node decides only then, on what came before', async () => {
      const [a, b] = [newNode(), newNode()];
      const ip = newIp();
      passed(a, ip, times(most + 1));
      passed(b, ip, times(most));
      await a.merge();
      await liftBlock(test.db, account, ip, { actor: 'test', windowMs, now: ++now });
      assert.notEqual(come(b, ip, most), null, 'it cannot know yet');
      now += 2000;
      await b.merge();
      assert.deepEqual(await listBlocks(test.db, account, now), []);
      await a.merge();
      for (const node of [a, b]) assert.equal(come(node, ip, 300), null);
    });

    it('blocks again after a lift, also where the block is shorter than the window', async () => {
      const node = newNode({ blockMs: minute });
      const ip = newIp();
      passed(node, ip, times(most + 1));
      await node.merge();
      await liftBlock(test.db, account, ip, { actor: 'test', windowMs, now: ++now });
      now += 2000;
      await node.merge();
      assert.equal(passed(node, ip, times(2 * most, 50)), most);
      await node.merge();
      assert.equal((await listBlocks(test.db, account, now)).length, 1);
      assert.notEqual(come(node, ip, 200), null);
    });

    it('remembers over a restart', async () => {
      const old = newNode();
      const ip = newIp();
      passed(old, ip, times(most - 2));
      await old.stop();
      const young = newNode();
      passed(young, ip, times(3, 100));
      await young.merge();
      assert.notEqual(come(young, ip, 200), null);
    });
  });

  it('begins a new burst after a gap of more than the window, and none before', async () => {
    const node = newNode();
    const ip = newIp();
    const burst = async (first: number) => {
      passed(node, ip, times(2 * most, first), { source: 'page' });
      await node.merge();
      return listBursts(test.db, account);
    };
    assert.equal((await burst(0)).length, 1);
    now += windowMs - 5 * minute;
    const [goesOn, ...none] = await burst(100);
    assert.deepEqual([goesOn?.lastAt, none.length], [now, 0]);
    now += windowMs + minute;
    const [second, first] = await burst(200);
    assert.deepEqual([first?.isOpen, second?.isOpen], [false, true]);
    assert.equal(first?.lastAt, goesOn?.lastAt);
    assert.equal(second?.startedAt, now - (2 * most - 1) * 1000);
  });

  it('flags each machine door with a part in what was too much for all of them together', async () => {
    const node = newNode();
    const ip = newIp();
    passed(node, ip, times(10), { source: 'pixel' });
    passed(node, ip, times(10, 100), { source: 'one-click' });
    await node.merge();
    const bursts = await listBursts(test.db, account);
    assert.deepEqual(bursts.map(({ source }) => source).sort(), ['one-click', 'pixel']);
  });

  it('goes on by itself while its tables cannot be reached, and says so once a minute, naming nobody', async () => {
    const lines: string[] = [];
    const broken = test.another();
    await broken.destroy();
    const node = createAttackRule(broken, {
      ...{ recipients: most, windowMs, blockMs, node: 'broken', now: () => now, mergeEveryMs: null },
      log: createLog('warn', { write: (line: string) => void lines.push(line) }),
    });
    const ip = newIp();
    assert.equal(passed(node, ip, times(2 * most)), most);
    await node.merge();
    await node.merge();
    assert.equal(lines.length, 1);
    now += minute;
    await node.merge();
    assert.equal(lines.length, 2);
    assert.equal(lines.join('').includes(ip), false);
    assert.notEqual(come(node, ip, 300), null);
  });

  it('remembers so many clients and recipients, and no more', function () {
    this.timeout(60_000);
    const node = newNode({ recipients: 100 });
    const attacker = newIp();
    const before = process.memoryUsage().heapUsed;
    let mostKnown = 0;
    for (const n of times(100_000)) {
      const ip = `203.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
      node.admit({
        ...{
          accountId: account,
          ip,
          source: 'pixel',
          addressKey: md5Of(String(n)),
          at: now,
          isForwarded: false,
        },
      });
      if (n % 1000 === 0) come(node, attacker, n);
      mostKnown = Math.max(mostKnown, node.load().networks);
    }
    assert.ok(mostKnown >= 25_000 && mostKnown <= 50_000, String(mostKnown));
    const grownBy = process.memoryUsage().heapUsed - before;
    assert.ok(grownBy < 150 * 1024 * 1024, `${grownBy} octets`);
    come(node, attacker, -1);
    assert.notEqual(come(node, attacker, -2), null, 'who goes on is not forgotten for those who come once');
  });

  it('deletes what it has done with, and nothing that still counts', async () => {
    const node = newNode();
    const [old, young] = [newIp(), newIp()];
    const day = 24 * 60 * minute;
    for (const ip of [old, young]) {
      passed(node, ip, times(2 * most));
      await node.merge();
      if (ip === old) now += 40 * day;
    }
    const { db } = test;
    const left = async () =>
      Promise.all(
        ['arrivals', 'blocks', 'bursts'].map((table) =>
          db(table).where({ account_id: account }).orderBy('network').pluck('network'),
        ),
      );
    const retention = { ipMs: 30 * day, tombstonesMs: day, historyMs: day };
    assert.deepEqual(await left(), Array(3).fill([old, young]));
    while (await forgetAttacks(db, now, retention));
    assert.deepEqual(await left(), Array(3).fill([young]));
    while (await forgetAttacks(db, now + 40 * day, retention));
    assert.deepEqual(await left(), Array(3).fill([]));
  });

  it('forgets clients of whom nothing more comes', async () => {
    const node = newNode();
    for (const n of times(100)) come(node, newIp(), n);
    assert.equal(node.load().networks, 100);
    for (const _ of times(2)) {
      now += windowMs + 1;
      await node.merge();
    }
    assert.equal(node.load().networks, 0);
  });
});
