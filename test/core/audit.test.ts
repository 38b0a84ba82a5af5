import assert from 'node:assert/strict';
import { auditNumbers } from '../../src/core/audit-numbers.js';
import { audit, type AuditTotals, type Breach } from '../../src/core/audit.js';
import { expireOptOuts } from '../../src/core/numbering.js';
import { wholeFromName } from '../../src/core/opt-out-figures.js';
import type { List } from '../../src/core/lists.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import {
  migratedDatabase,
  newList,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  type TestDatabase,
} from '../support/core.js';
import { makeList, makeMailer, startTestService, until, untilNumbered } from '../support/service.js';
import { never, plants, row, usedDatabase } from './audit-plants.js';

async function auditOf(db: Db): Promise<{ breaches: Breach[]; totals: AuditTotals }> {
  const breaches: Breach[] = [];
  const run = audit(db);
  for (;;) {
    const step = await run.next();
    if (step.done) return { breaches, totals: step.value };
    breaches.push(step.value);
  }
}

describe('The audit', () => {
  let database: TestDatabase;
  before(async function () {
    this.timeout(60_000);
    database = await usedDatabase();
  });
  after(() => database.close());

  it('finds nothing in a database that was only used', async () => {
    const { breaches, totals } = await auditOf(database.db);
    assert.deepEqual(breaches, []);
    const [{ rows } = { rows: 0 }]: { rows: number }[] = await database.db('opt_outs').count('* as rows');
    assert.deepEqual(totals, { lists: 3, optOuts: rows });
  });

  it('finds nothing where tombstones were purged, or rows wait for their numbers', async () => {
    await planted(database.db, async (db) => {
      const newest = (await db('opt_outs').where({ list_id: 1 }).max('feed_number as number').first()) as {
        number: number;
      };
      await db('opt_outs').where({ list_id: 1, feed_number: newest.number }).update({ feed_number: null });
      await plant(db, 2, [rowKinds.plain('zoe@example.com')]);
      assert.deepEqual((await auditOf(db)).breaches, []);
      await db('feed').update({ purged_number: newest.number });
      await db('opt_outs').where({ list_id: 1 }).whereNotNull('removed_at').delete();
      assert.deepEqual((await auditOf(db)).breaches, []);
    });
  });

  it('finds nothing where figures were forgotten, and what came later was counted anew', async () => {
    await planted(database.db, async (db) => {
      const value = String(Date.now() + 3_600_000);
      await db('opt_out_figures').update({ opt_outs: 1 });
      assert.notDeepEqual((await auditOf(db)).breaches, [], 'they are too low');
      await db('installation').insert({ name: wholeFromName, value }).onConflict('name').merge({ value });
      assert.deepEqual((await auditOf(db)).breaches, []);
    });
  });

  it('is held against every database that a suite has done with', async () => {
    const leftBehind = async () => {
      const own = await migratedDatabase();
      await plant(own.db, await newList(own.db), [rowKinds.plain('ann@example.com')]);
      await own.db('opt_outs').update({ source: 'fax' });
      return own;
    };
    await assert.rejects(async () => (await leftBehind()).close(), /the suite's database finds 1 breaches/);
    await (await leftBehind()).close('a door that there is not is planted');
  });

  for (const [what, codes, plantIt] of plants) {
    it(`finds ${what}`, async () => {
      await planted(database.db, async (db) => {
        await plantIt(db);
        const { breaches } = await auditOf(db);
        assert.deepEqual([...new Set(breaches.map(({ code }) => code))].sort(), codes);
        for (const { description } of breaches) assert.doesNotMatch(description, /@|example\.com/);
      });
    });
  }

  it('reads again what the keeper changed between two readings, before it judges', async () => {
    await planted(database.db, async (db) => {
      // A breach to stop at: the rows of this list have been read then, and what is told of them has not.
      await row({ source: 'fax' })(db);
      const found: string[] = [];
      for await (const { code } of audit(db)) {
        found.push(code);
        assert.equal(await expireOptOuts(db, never), 2);
        await numberAll(db, [1, 2]);
      }
      assert.deepEqual(found, ['source']);
    });
  });

  it('finds a feed number that is given twice in whichever pass it is met', async () => {
    const passes = async (db: Db) => {
      const found: Breach[] = [];
      for await (const breach of auditNumbers(db, 100)) found.push(breach);
      return found.length;
    };
    assert.equal(await passes(database.db), 0);
    for (const number of [1, 100, 101, 1000]) {
      await planted(database.db, async (db) => {
        await plant(db, 1, [{ ...rowKinds.plain('zoe@example.com'), feed_number: number }]);
        assert.equal(await passes(db), 1, String(number));
      });
    }
  });
});

describe('The audit of a database that is being used', () => {
  it('raises no false alarm', async function () {
    this.timeout(120_000);
    const service = await startTestService();
    try {
      const { db, recorder } = service.deps;
      const lists = await Promise.all([makeList(service), makeList(service)]);
      for (const one of lists) await makeMailer(service, one);
      let isOver = false;
      const write = async (writer: number) => {
        for (let round = 0; !isOver; round++) {
          const at = lists[(writer + round) % 2] as List;
          const email = `person${(writer * 7 + round) % 40}@example.com`;
          const now = Date.now();
          const expiresAt = round % 3 === 0 ? now + 20 : null;
          await recorder.record([optOutOf(at.id, email, { recordedAt: now, createdAt: now, expiresAt })]);
          if (round % 4 === 0) await removeOptOuts(db, at.id, email);
        }
      };
      const writers = Array.from({ length: 4 }, (_, i) => write(i));
      const until10s = Date.now() + 10_000;
      let audits = 0;
      try {
        for (; Date.now() < until10s || audits < 3; audits++) {
          assert.deepEqual((await auditOf(db)).breaches, []);
        }
      } finally {
        isOver = true;
        await Promise.all(writers);
      }
      for (const one of lists) await untilNumbered(service, one);
      await until('the last has expired', async () => (await expiring(db)) === 0);
      for (const one of lists) await untilNumbered(service, one);
      assert.deepEqual((await auditOf(db)).breaches, []);
    } finally {
      await service.close();
    }
  });
});

async function expiring(db: Db): Promise<number> {
  const [row = { rows: 0 }]: { rows: number }[] = await db('expiries').count('* as rows');
  return row.rows;
}

/** What is planted stays inside a transaction that is taken back. */
async function planted(db: Db, work: (trx: Db) => Promise<void>): Promise<void> {
  const trx = await db.transaction();
  try {
    await work(trx);
  } finally {
    await trx.rollback();
  }
}
