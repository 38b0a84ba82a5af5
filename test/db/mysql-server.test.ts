import assert from 'node:assert/strict';
import process from 'node:process';
import { createList } from '../../src/core/lists.js';
import { createRecorder, type Recorder } from '../../src/core/recorder.js';
import { checkDurability, connect, type Db } from '../../src/db/connect.js';
import { migrate } from '../../src/db/migrate.js';
import { StartRefused, Unavailable } from '../../src/errors.js';
import { optOutOf, rowsOfList } from '../support/core.js';
import { engine, skipBecause } from '../support/engine.js';
import { hasDatabaseServer, startPrivateDatabase, type PrivateDatabase } from '../support/mariadb.js';
import { until } from '../support/service.js';

const timeoutMs = 800;

if (engine === 'mysql') {
  describe('A MariaDB or MySQL server', () => {
    let server: PrivateDatabase;
    let db: Db;
    let list: number;
    let recorder: Recorder;
    before(async function () {
      this.timeout(120_000);
      if (!hasDatabaseServer()) skipBecause(this, 'no MariaDB or MySQL server to start here');
      server = await startPrivateDatabase(['--log-bin', '--server-id=1', '--sync-binlog=1']);
      const admin = connect(server.url, { timeoutMs: 10_000, poolSize: 1 });
      await admin.raw('CREATE DATABASE signoff');
      await admin.destroy();
      const url = `${server.url}signoff`;
      const first = connect(url, { timeoutMs: 20_000, poolSize: 2 });
      await migrate(first);
      list = (await createList(first, 1, { name: 'Acme News' }, { actor: 'test' })).id;
      await first.destroy();
      db = connect(url, { timeoutMs, poolSize: 4 });
      recorder = createRecorder(db, { queueRows: 20_000, timeoutMs, onCommit: () => undefined });
    });
    after(async () => {
      await db?.destroy();
      await server?.stop();
    });

    describe('is refused', () => {
      const set = (name: string, value: number) => db.raw(`SET GLOBAL ${name} = ${value}`);
      afterEach(async () => {
        await set('innodb_flush_log_at_trx_commit', 1);
        await set('sync_binlog', 1);
      });

      it('not where it keeps what it acknowledges', async () => {
        assert.deepEqual(await checkDurability(db, false), []);
      });

      for (const [name, value, told] of [
        ['innodb_flush_log_at_trx_commit', 2, /innodb_flush_log_at_trx_commit is 2, and has to be 1/],
        ['innodb_flush_log_at_trx_commit', 0, /innodb_flush_log_at_trx_commit is 0, and has to be 1/],
        ['sync_binlog', 0, /the binary log is on and sync_binlog is 0; it has to be 1/],
        ['sync_binlog', 100, /the binary log is on and sync_binlog is 100; it has to be 1/],
      ] as const) {
        it(`with ${name} ${value}, unless its operator accepts the loss in so many words`, async () => {
          await set(name, value);
          await assert.rejects(checkDurability(db, false), (error: unknown) => {
            assert.ok(error instanceof StartRefused);
            assert.match(error.message, told);
            assert.match(error.message, /ACCEPT_LOSING_OPT_OUTS=yes/);
            return true;
          });
          const accepted = await checkDurability(db, true);
          assert.equal(accepted.length, 1);
          assert.match(accepted.join(), told);
        });
      }
    });

    describe('that is away', () => {
      /** Rejected as unavailable, and in time: the wait for the statement before, and one's own. */
      async function isTurnedAway(email: string): Promise<void> {
        const startedAt = Date.now();
        await assert.rejects(recorder.record([optOutOf(list, email)]), Unavailable);
        const tookMs = Date.now() - startedAt;
        assert.ok(tookMs < 2 * timeoutMs + 2000, `${tookMs} ms`);
      }
      const isBack = (email: string) =>
        until('it records again', () =>
          recorder.record([optOutOf(list, email)]).then(
            () => true,
            () => false,
          ),
        );
      const rowsOf = async (email: string) =>
        (await rowsOfList(db, list)).filter((row) => String(row.address) === email);

      it('since it stands still is a 503 in time, and is used again when it goes on', async () => {
        await recorder.record([optOutOf(list, 'before@example.com')]);
        process.kill(server.pid, 'SIGSTOP');
        try {
          await isTurnedAway('stopped@example.com');
          await isTurnedAway('stopped@example.com');
        } finally {
          process.kill(server.pid, 'SIGCONT');
        }
        await isBack('stopped@example.com');
        // What timed out here may have been carried out there: it is one opt-out all the same.
        assert.equal((await rowsOf('stopped@example.com')).length, 1);
      });

      it('lets nobody wait for long, however many wait', async () => {
        process.kill(server.pid, 'SIGSTOP');
        const startedAt = Date.now();
        const results = await Promise.allSettled(
          Array.from({ length: 8000 }, (_, i) => recorder.record([optOutOf(list, `q${i}@example.com`)])),
        ).finally(() => process.kill(server.pid, 'SIGCONT'));
        const tookMs = Date.now() - startedAt;
        assert.ok(results.every(({ status }) => status === 'rejected'));
        assert.ok(tookMs < 4 * timeoutMs + 3000, `the last one waited ${tookMs} ms`);
        await isBack('after@example.com');
      });

      it('since it was killed is a 503, and keeps what it has acknowledged', async function () {
        this.timeout(90_000);
        const acked: string[] = [];
        let isSending = true;
        const sending = Array.from({ length: 16 }, async (_, i) => {
          for (let n = 0; isSending; n++) {
            const email = `kill-${i}-${n}@example.com`;
            await recorder.record([optOutOf(list, email)]).then(
              () => acked.push(email),
              (error: unknown) => assert.ok(error instanceof Unavailable, String(error)),
            );
            await new Promise((resolve) => setTimeout(resolve, 1));
          }
        });
        await until('some are acknowledged', () => acked.length > 200);
        await server.kill9();
        await isTurnedAway('killed@example.com');
        await server.restart();
        const before = acked.length;
        await until('more are acknowledged', () => acked.length > before);
        isSending = false;
        await Promise.all(sending);
        const there = new Set((await rowsOfList(db, list)).map((row) => String(row.address)));
        assert.deepEqual(
          acked.filter((email) => !there.has(email)),
          [],
        );
      });
    });
  });
}
