import assert from 'node:assert/strict';
import { findLease, releaseLease, takeLease } from '../../src/core/leases.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

describe('A lease', () => {
  let test: TestDatabase;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(() => test.clear());

  const take = (holder: string, forMs = 60_000) => takeLease(test.db, 'keeper', holder, forMs);

  it('is held by one at a time, and taken again by its holder under the same fencing number', async () => {
    const lease = await take('ann');
    assert.deepEqual(lease, { fencing: 1 });
    assert.equal(await take('bob'), null);
    assert.deepEqual(await take('ann'), lease);
  });

  it('goes to another once it has run out, under a higher fencing number', async () => {
    await take('ann', 0);
    assert.deepEqual(await take('bob'), { fencing: 2 });
    assert.equal(await take('ann'), null, 'who has lost it cannot just go on');
  });

  it('counts as another one where its holder let it run out and takes it again', async () => {
    await take('ann', 0);
    assert.deepEqual(await take('ann'), { fencing: 2 });
  });

  it('is free at once when its holder gives it up, and nobody else can give it up', async () => {
    await take('ann');
    await releaseLease(test.db, 'keeper', 'bob');
    assert.equal(await take('bob'), null);
    await releaseLease(test.db, 'keeper', 'ann');
    assert.deepEqual(await take('bob'), { fencing: 2 });
  });

  it('tells who holds it, and until when', async () => {
    const before = Date.now();
    await take('ann', 5000);
    const lease = await findLease(test.db, 'keeper');
    assert.equal(lease?.holder, 'ann');
    assert.ok(lease.expiresAt >= before + 5000 && lease.expiresAt <= Date.now() + 5000);
    assert.equal(await findLease(test.db, 'no such lease'), null);
  });

  it('goes to exactly one of many who want it at once, again and again', async () => {
    const pools = [test.db, test.another(), test.another()];
    for (let round = 1; round <= 10; round++) {
      const taken = await Promise.all(
        Array.from({ length: 12 }, (_, i) =>
          takeLease(pools[i % 3] ?? test.db, 'keeper', `holder ${round} ${i}`, 60_000),
        ),
      );
      assert.deepEqual(
        taken.filter((lease) => lease !== null),
        [{ fencing: round }],
      );
      await test.db('leases').where({ name: 'keeper' }).update({ expires_at: 0 });
    }
  });
});
