import assert from 'node:assert/strict';
import { forgetTries } from '../../src/core/sign-in-limit.js';
import { createUser, type User } from '../../src/core/users.js';
import {
  countCode,
  forgetWrongCodes,
  forgiveCode,
  isToBeTold,
  mostWrongADay,
} from '../../src/core/wrong-codes.js';
import { retrying, type Db } from '../../src/db/connect.js';
import { TooMany } from '../../src/errors.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

const hour = 3_600_000;
/** The beginning of a day. */
const morning = Date.UTC(2026, 0, 31);

describe('Wrong codes of a day', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let db: Db;
  let another: Db;
  let ann: User;
  let bob: User;
  before(async () => {
    database = await migratedDatabase();
    db = database.db;
    another = database.another();
    const by = { actor: 'test' };
    ann = await createUser(db, { role: 'admin' }, { email: 'ann@example.com', name: 'Ann' }, by);
    bob = await createUser(db, { role: 'admin' }, { email: 'bob@example.com', name: 'Bob' }, by);
  });
  beforeEach(() => db('sign_in_tries').delete());
  after(() => database.close());

  async function refusedWith(user: User, now: number, on = db): Promise<string | null> {
    try {
      await countCode(on, user, '203.0.113.7', now);
      return null;
    } catch (error) {
      if (error instanceof TooMany) return error.reason;
      throw error;
    }
  }
  /** Codes that are looked at: a few in each hour, so that the quarter's limit lets them pass. */
  async function looked(user: User, hours: number): Promise<number> {
    let count = 0;
    for (let i = 0; i < hours * 5; i++) {
      if ((await refusedWith(user, morning + ((i / 5) | 0) * hour)) === null) count++;
    }
    return count;
  }

  it('are at most twenty, and no code is looked at until the next day', async () => {
    assert.equal(await looked(ann, 6), mostWrongADay);
    const night = morning + 24 * hour;
    assert.equal(await refusedWith(ann, night - 1), 'too-many-codes-today');
    assert.equal(await refusedWith(bob, night - 1), null, "another's are not");
    assert.equal(await refusedWith(ann, night), null);
  });

  it('are counted under the id: another address is no new beginning', async () => {
    await looked(ann, 6);
    const renamed = { ...ann, email: 'ann.new@example.com' };
    assert.equal(await refusedWith(renamed, morning + 9 * hour), 'too-many-codes-today');
  });

  it('stay counted when a right one comes in between, which counts for nothing', async () => {
    for (let i = 0; i < 40; i++) {
      const now = morning + i * (hour / 2);
      assert.equal(await refusedWith(ann, now), null, 'right ones, however many');
      await forgiveCode(db, ann, '203.0.113.7', now);
    }
    assert.equal(await looked(ann, 3), 15);
    await forgiveCode(db, ann, '203.0.113.7', morning + 2 * hour);
    assert.equal(await looked(ann, 6), 6, '14 were wrong, and 6 are left');
  });

  it('do not count where the limit of a quarter of an hour has refused them', async () => {
    let refused = 0;
    for (let i = 0; i < 40; i++) if ((await refusedWith(ann, morning)) === 'too-many-codes') refused++;
    assert.equal(refused, 35);
    assert.equal(await looked(ann, 6), 15, 'of the five of the first hour, none is left');
  });

  it('are counted all, where they come at once on two nodes', async () => {
    for (let i = 0; i < 18; i++) await countCode(db, ann, null, morning + ((i / 5) | 0) * hour);
    const now = morning + 10 * hour;
    const answers = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((i) => refusedWith(ann, now, i % 2 === 0 ? db : another)),
    );
    const passed = answers.filter((reason) => reason === null).length;
    assert.ok(passed <= 2, `${passed} passed`);
    let rest = 0;
    for (let i = 0; i < 4; i++) if ((await refusedWith(ann, now + hour)) === null) rest++;
    assert.equal(passed + rest, 2, 'what was refused does not count');
  });

  it('are told of from the fifth on, once a day, by one of those that come at once', async () => {
    for (let i = 0; i < 4; i++) await countCode(db, ann, null, morning);
    assert.equal(await isToBeTold(db, ann, morning), false);
    await countCode(db, ann, null, morning + hour);
    const all = await Promise.all(
      [db, another, db, another].map((on) =>
        retrying(on, 10_000, () => on.transaction((trx) => isToBeTold(trx, ann, morning + hour))),
      ),
    );
    assert.equal(all.filter(Boolean).length, 1);
    assert.equal(await isToBeTold(db, ann, morning + 23 * hour), false);
    const tomorrow = morning + 24 * hour;
    for (let i = 0; i < 5; i++) await countCode(db, ann, null, tomorrow + i * hour);
    assert.equal(await isToBeTold(db, ann, tomorrow + 5 * hour), true);
  });

  it('are forgotten for who is let in by somebody else, and by themselves on the next day', async () => {
    await looked(ann, 6);
    await forgetWrongCodes(db, ann, morning + 7 * hour);
    assert.equal(await refusedWith(ann, morning + 8 * hour), null);
    while (await forgetTries(db, morning + 23 * hour));
    assert.equal((await db('sign_in_tries')).length, 1, 'the day counts to its end');
    while (await forgetTries(db, morning + 30 * hour));
    assert.equal((await db('sign_in_tries')).length, 0);
  });
});
