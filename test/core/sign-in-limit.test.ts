import assert from 'node:assert/strict';
import { countTry, forgetTries, forgiveTry, type Tried } from '../../src/core/sign-in-limit.js';
import type { Db } from '../../src/db/connect.js';
import { TooMany } from '../../src/errors.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

const minute = 60_000;
/** The beginning of a window. */
const noon = Date.UTC(2026, 0, 31, 12);

describe('The limits of the sign-in', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let db: Db;
  let another: Db;
  before(async () => {
    database = await migratedDatabase();
    db = database.db;
    another = database.another();
  });
  beforeEach(() => db('sign_in_tries').delete());
  after(() => database.close());

  async function passes(email: string, ip: string | null, now = noon, what: Tried = 'password', on = db) {
    try {
      await countTry(on, what, email, ip, now);
      return true;
    } catch (error) {
      if (error instanceof TooMany) return false;
      throw error;
    }
  }
  async function passed(times: number, email: (i: number) => string, ip: (i: number) => string | null) {
    let count = 0;
    for (let i = 0; i < times; i++) if (await passes(email(i), ip(i))) count++;
    return count;
  }

  it('let one network try ten passwords of one user, however its address is spelt', async () => {
    const spellings = [
      'ann@example.com',
      ' ANN@Example.com',
      'mailto:ann@example.com',
      'ann＠example.com',
      '<ann@example.com>',
      'ann@example.com.',
    ];
    assert.equal(
      await passed(
        30,
        (i) => spellings[i % 6] ?? '',
        () => '203.0.113.7',
      ),
      10,
    );
    assert.equal(await passes('bob@example.com', '203.0.113.7'), true, 'of somebody else');
  });

  it('lock out nobody whose password somebody else tries from elsewhere', async () => {
    await passed(
      50,
      () => 'ann@example.com',
      () => '203.0.113.7',
    );
    assert.equal(await passes('ann@example.com', '198.51.100.1'), true);
  });

  it('let all networks together try a hundred passwords of one user', async () => {
    assert.equal(
      await passed(
        120,
        () => 'ann@example.com',
        (i) => `203.0.113.${i}`,
      ),
      100,
    );
  });

  it('let one network try a hundred passwords, whosesoever; a /56 is one network', async () => {
    assert.equal(
      await passed(
        120,
        (i) => `user${i}@example.com`,
        () => '203.0.113.7',
      ),
      100,
    );
    assert.equal(
      await passed(
        120,
        (i) => `user${i}@example.com`,
        (i) => `2001:db8:0:1${i % 10}::${i}`,
      ),
      100,
    );
    assert.equal(
      await passed(
        120,
        (i) => `user${i}@example.com`,
        () => null,
      ),
      100,
      'where it cannot be told',
    );
  });

  it('count a /48 as well, since whoever has one has all of its networks', async () => {
    const inOne48 = (i: number) => `2001:db8:7:${(((i / 5) | 0) * 256).toString(16)}::${i}`;
    assert.equal(await passed(100, () => 'ann@example.com', inOne48), 20);
    assert.equal(await passes('ann@example.com', '2001:db8:8::1'), true, 'from another one');
    assert.equal(await passed(300, (i) => `user${i}@example.com`, inOne48), 180, 'two hundred in all');
  });

  it('know a network for thirty days from which that user got in', async () => {
    const day = 24 * 60 * minute;
    await forgiveTry(db, 'password', 'Ann@example.com', '2001:db8:7:100::1', noon);
    const lockedOut = async (now: number) => {
      for (let i = 0; i < 100; i++) await passes('ann@example.com', `203.0.113.${i}`, now);
      return !(await passes('ann@example.com', '198.51.100.1', now));
    };
    for (const [now, isKnown] of [
      [noon, true],
      [noon + 29 * day, true],
      [noon + 32 * day, false],
    ] as const) {
      assert.equal(await lockedOut(now), true);
      while (await forgetTries(db, now));
      assert.equal(await passes('ann@example.com', '2001:db8:7:1ff::9', now), isKnown);
      assert.equal(await passes('ann@example.com', '2001:db8:7:200::1', now), false, 'a neighbour');
    }
    assert.equal(await passes('bob@example.com', '2001:db8:7:100::1', noon + 40 * day), true);
    const known = await db('sign_in_tries').whereBetween('since', [noon + day, noon + 31 * day]);
    assert.deepEqual(known, [], 'and is forgotten then');
  });

  it('count those that come at once on two nodes, and let no more of them pass', async () => {
    const tries = Array.from({ length: 60 }, (_, i) =>
      passes('ann@example.com', '203.0.113.7', noon, 'password', i % 2 === 0 ? db : another),
    );
    const count = (await Promise.all(tries)).filter(Boolean).length;
    assert.ok(count <= 10, `${count} passed`);
    // Those that were refused do not count: what is left of the ten may be tried.
    const rest = await passed(
      20,
      () => 'ann@example.com',
      () => '203.0.113.7',
    );
    assert.equal(count + rest, 10);
  });

  it('are over after a quarter of an hour, and not all at once at the end of a window', async () => {
    const late = noon + 14 * minute;
    for (let i = 0; i < 10; i++) assert.equal(await passes('ann@example.com', null, late), true);
    assert.equal(await passes('ann@example.com', null, late), false);
    let next = 0;
    for (let i = 0; i < 10; i++) if (await passes('ann@example.com', null, noon + 15 * minute)) next++;
    assert.equal(next, 0, 'a new window does not begin from nothing');
    assert.equal(await passes('ann@example.com', null, noon + 30 * minute), true);
  });

  it('are forgotten for who gets in, and not for the others who try', async () => {
    for (let i = 0; i < 9; i++) await passes('ann@example.com', '203.0.113.7');
    await passes('ann@example.com', '203.0.113.7');
    await forgiveTry(db, 'password', 'ann@example.com', '203.0.113.7', noon);
    assert.equal(
      await passed(
        20,
        () => 'ann@example.com',
        () => '203.0.113.7',
      ),
      10,
    );
    await passed(
      10,
      () => 'ann@example.com',
      () => '198.51.100.1',
    );
    await forgiveTry(db, 'password', 'ann@example.com', '203.0.113.7', noon);
    assert.equal(await passes('ann@example.com', '198.51.100.1'), false);
  });

  it('are apart for passwords, codes and mails', async () => {
    const count = async (what: Tried) => {
      let all = 0;
      for (let i = 0; i < 20; i++) if (await passes('ann@example.com', '203.0.113.7', noon, what)) all++;
      return all;
    };
    assert.equal(await count('mail'), 3);
    assert.equal(await count('code'), 5);
    assert.equal(await count('password'), 10);
  });

  it('hold codes to five, from however many networks', async () => {
    let all = 0;
    for (let i = 0; i < 20; i++) if (await passes('ann@example.com', `203.0.113.${i}`, noon, 'code')) all++;
    assert.equal(all, 5);
  });

  it('keep no address, and are forgotten in time', async () => {
    await passes('ann@example.com', '203.0.113.7');
    const rows = await db<{ subject: Buffer }>('sign_in_tries');
    assert.deepEqual(
      rows.map(({ subject }) => subject.length),
      [16, 16, 16],
    );
    assert.equal(await forgetTries(db, noon + 60 * minute), false);
    assert.equal((await db('sign_in_tries')).length, 3, 'an hour later they may count still');
    assert.equal(await forgetTries(db, noon + 3 * 60 * minute, 2), true);
    assert.equal(await forgetTries(db, noon + 3 * 60 * minute, 2), false);
    assert.equal((await db('sign_in_tries')).length, 0);
  });
});
