import assert from 'node:assert/strict';
import path from 'node:path';
import { createAccount } from '../../src/core/accounts.js';
import { parseAddress } from '../../src/core/address.js';
import { erasePerson } from '../../src/core/erasure.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf } from '../../src/core/opt-outs.js';
import { connect, type Db } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { emptyWal, rewriteAddresses } from '../../src/db/remains.js';
import { sqlitePath } from '../../src/db/sqlite.js';
import { foundInFiles, foundInTables } from '../support/bytes.js';
import { migratedDatabase, newList, numberAll, optOutOf, type TestDatabase } from '../support/core.js';
import { engine, folderOfTests, skipBecause } from '../support/engine.js';
import { hasDatabaseServer, startPrivateDatabase, type PrivateDatabase } from '../support/mariadb.js';
import { until } from '../support/service.js';

const people = 6000;
/** Every thirtieth of them is erased. */
const isErased = (n: number) => n % 30 === 0;
const markOf = (n: number) => `zq${n}x`;
const emailOf = (n: number) => `${markOf(n)}@mail${n % 97}.example`;
const erasedMarks = Array.from({ length: people }, (_, n) => n)
  .filter(isErased)
  .map(markOf);

/** People whose rows are written, numbered, and here and there written again, as in the course of a year. */
async function fill(db: Db, lists: readonly number[]): Promise<void> {
  for (let from = 0; from < people; from += 250) {
    const rows = Array.from({ length: 250 }, (_, i) => from + i).flatMap((n) => {
      const given = emailOf(n).replace('zq', 'Zq');
      const parsed = parseAddress(given);
      assert.ok(parsed.ok && parsed.address.given === given);
      const more = {
        address: parsed.address,
        ip: '198.51.100.7',
        reason: n % 3 === 0 ? `by ${given}` : null,
      };
      return lists.map((list) => optOutOf(list, emailOf(n), more));
    });
    await writeOptOuts(db, rows.map(rowOf).sort(compareRows));
    await numberAll(db, lists);
    for (let n = from; n < from + 250; n += 10) {
      const list = lists[n % lists.length] ?? 0;
      await removeOptOuts(db, list, emailOf(n), { at: 2000 });
      if (n % 20 === 0) await writeOptOuts(db, [rowOf(optOutOf(list, emailOf(n), { recordedAt: 3000 }))]);
    }
  }
  await numberAll(db, lists);
}

async function eraseSome(db: Db, lists: readonly number[]): Promise<void> {
  for (let n = 0; n < people; n++) {
    if (!isErased(n)) continue;
    for await (const { optOuts } of erasePerson(db, 1, emailOf(n), { actor: 'test', retryMs: 10_000 })) {
      assert.equal(optOuts, 1);
    }
  }
  await numberAll(db, lists);
}

describe('The bytes of a person who was erased', function () {
  this.timeout(180_000);

  if (engine === 'sqlite') {
    let test: TestDatabase;
    let lists: number[];
    let folder: string;
    before(async () => {
      test = await migratedDatabase();
      folder = path.dirname(sqlitePath(test.url));
      lists = [await newList(test.db), await newList(test.db)];
      await fill(test.db, lists);
    });
    after(() => test.close());

    it('are in the files of SQLite before, and in none of its tables after', async () => {
      assert.ok(foundInFiles(folder, erasedMarks).size > 0, 'the search finds what is there');
      assert.ok((await foundInTables(test.db, markOf(0))).includes('opt_outs'));
      await eraseSome(test.db, lists);
      assert.deepEqual(await foundInTables(test.db, ...erasedMarks), []);
    });

    it('are gone from its log as soon as nobody reads from it, and all but gone from the file', async () => {
      const reader = test.another();
      await reader.raw('BEGIN DEFERRED');
      await reader('opt_outs').first('list_id');
      await test.db('lists').update({ changed_at: 1 });
      assert.equal(await emptyWal(test.db), false);
      assert.ok(foundInFiles(folder, erasedMarks).has('signoff.db-wal'), 'a reader keeps the log');
      await reader.raw('ROLLBACK');
      assert.equal(await emptyWal(test.db), true);

      const left = foundInFiles(folder, erasedMarks);
      assert.equal(left.has('signoff.db-wal'), false);
      // What stays are copies that SQLite left in pages when it filled them anew, before the erasure.
      const inFile = left.get('signoff.db') ?? [];
      assert.ok(inFile.length <= erasedMarks.length / 20, `${inFile.length} of ${erasedMarks.length}`);
    });

    it('are in no file once the database has been rewritten', async () => {
      await rewriteAddresses(test.db);
      assert.equal(await emptyWal(test.db), true);
      assert.deepEqual([...foundInFiles(folder, erasedMarks)], []);
      assert.ok(foundInFiles(folder, [markOf(1)]).has('signoff.db'), 'others are where they were');
    });
  } else {
    let server: PrivateDatabase;
    let db: Db;
    let lists: number[];
    let folder: string;
    before(async function () {
      if (!hasDatabaseServer()) skipBecause(this, 'no MariaDB or MySQL server to start here');
      const settings = [
        '--loose-innodb-immediate-scrub-data-uncompressed=1',
        ...['--innodb-log-file-size=16M', '--innodb-log-buffer-size=2M', '--log-bin', '--server-id=1'],
      ];
      server = await startPrivateDatabase(settings, folderOfTests);
      folder = path.join(path.dirname(server.socketPath), 'data');
      const admin = connect(server.url, { timeoutMs: 10_000, poolSize: 1 });
      await admin.raw('CREATE DATABASE signoff');
      await admin.destroy();
      db = connect(`${server.url}signoff`, { timeoutMs: 60_000, poolSize: 3 });
      await migrate(db);
      await createAccount(db, 'Acme');
      lists = [await newList(db), await newList(db)];
      await fill(db, lists);
      await eraseSome(db, lists);
    });
    after(async () => {
      await db?.destroy();
      await server?.stop();
    });

    const number = async (sql: string, pattern: RegExp) => {
      const [rows] = (await db.raw(sql)) as [Record<string, string>[]];
      return Number(pattern.exec(JSON.stringify(rows))?.[1] ?? NaN);
    };
    /** Until the purge has come to what was erased, and all pages are in their files. */
    async function settle(): Promise<void> {
      const historyLength = () => number('SHOW ENGINE INNODB STATUS', /History list length (\d+)/);
      await until('the purge is through', async () => (await historyLength()) === 0);
      for (const name of ['innodb_max_dirty_pages_pct_lwm', 'innodb_max_dirty_pages_pct']) {
        await db.raw(`SET GLOBAL ${name} = 0`);
      }
      const dirtyPages = () => number("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'", /"(\d+)"/);
      await until('all pages are written', async () => (await dirtyPages()) === 0);
    }
    /** Pages of the undo log and of the doublewrite buffer keep what stood in them until they are used again. */
    const leftInSystem = (found: Map<string, string[]>) => found.get('ibdata1')?.length ?? 0;
    const kindsOf = (found: Map<string, string[]>) =>
      [...new Set([...found.keys()].map((file) => file.replace(/\d+$/, '')))].sort();

    it('are in none of the tables, and all but gone from their files once the server has purged them', async () => {
      assert.deepEqual(await foundInTables(db, ...erasedMarks), []);
      await settle();
      const left = foundInFiles(folder, erasedMarks).get('signoff/opt_outs.ibd') ?? [];
      assert.ok(left.length <= erasedMarks.length / 20, `${left.length} of ${erasedMarks.length}`);
    });

    it('are in none of the files of tables once the opt-outs were rewritten', async () => {
      await rewriteAddresses(db);
      await settle();
      const found = foundInFiles(folder, erasedMarks);
      assert.ok(leftInSystem(found) <= erasedMarks.length / 20);
      found.delete('ibdata1');
      assert.deepEqual(kindsOf(found), ['db-bin.', 'ib_logfile'], 'the logs keep them, and no table does');
    });

    it('are in no log once both were begun anew, as docs/peoples-rights.md tells', async function () {
      const size = await number("SHOW VARIABLES LIKE 'innodb_log_file_size'", /"(\d+)"/);
      const resized = db.raw(`SET GLOBAL innodb_log_file_size = ${size / 2}`);
      if (
        await resized.then(
          () => false,
          () => true,
        )
      )
        skipBecause(this, 'this server cannot resize its redo log');
      await db.raw('FLUSH BINARY LOGS');
      let found = new Map<string, string[]>();
      const left = () => [...found].map(([file, marks]) => `${file}: ${marks.length}`).join(', ');
      await until(
        () => `no log holds them (${left()})`,
        async () => {
          // Stops without a word at a log whose transactions are not all on disk yet.
          await db.raw('PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY');
          found = foundInFiles(folder, erasedMarks);
          assert.ok(leftInSystem(found) <= erasedMarks.length / 20);
          found.delete('ibdata1');
          return found.size === 0;
        },
      );
      assert.ok(foundInFiles(folder, [markOf(1)]).has('signoff/opt_outs.ibd'), 'others are where they were');
    });
  }
});
