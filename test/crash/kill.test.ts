import assert from 'node:assert/strict';
import { once } from 'node:events';
import os from 'node:os';
import { rotateAccessKey } from '../../src/core/access-keys.js';
import { getBulkRemoval } from '../../src/core/bulk-removals.js';
import { getCounts, hasPendingChanges } from '../../src/core/feed.js';
import { createList, type List } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { engine } from '../support/engine.js';
import { insertManyRows } from '../support/many-rows.js';
import { startLoad, type Ledger, type Load } from '../support/ledger.js';
import { spawnRunningService, type SpawnedService } from '../support/spawned-service.js';
import { until } from '../support/service.js';

const connections = 32;

/** That nothing acknowledged is lost when it is killed under load: prove/kept.ts. */
describe('The service, under load', () => {
  let test: TestDatabase;
  let list: List;
  let key: string;
  let service: SpawnedService | undefined;
  let load: Load | undefined;

  beforeEach(async () => {
    test = await migratedDatabase({ folder: os.tmpdir() });
    const actor = 'test';
    const sure = { actor, confirmPrivate: true };
    list = await createList(test.db, 1, { name: 'Acme News', ipWhitelist: '127.0.0.1' }, sure);
    const mailer = await createMailer(test.db, 1, { name: 'Mailer', plainAllowed: true }, { actor });
    await grantList(test.db, mailer, list, { actor });
    key = await rotateAccessKey(test.db, mailer, { actor, overlapMs: 0 });
  });
  afterEach(async () => {
    await load?.stop();
    service?.process.kill('SIGKILL');
    await test.close();
  });

  const start = () =>
    spawnRunningService({
      NODE_ENV: 'production',
      BASE_URL: 'http://signoff.test',
      SIGNOFF_SECRET: 'a secret of at least 32 characters',
      DATABASE_URL: test.url,
      RECIPIENT_REQUESTS_PER_MINUTE: '1000000',
      LOG_LEVEL: 'info',
    });
  const link = () => `/l/${list.publicId}`;
  const recorded = async () => (await rowsOfList(test.db, list.id)).map((row) => String(row.address));
  const missing = (ledger: Ledger, found: Iterable<string>) => {
    const there = new Set(found);
    return [...ledger.acked].filter((email) => !there.has(email));
  };
  async function downloaded(service: SpawnedService, query: string): Promise<string[]> {
    const url = `${service.url}${link()}/download?format=plain&key=${key}${query}`;
    const response = await fetch(url);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text.split('\n').slice(0, -1);
  }

  it('carries a removal of all of a list out, and back, however often it is killed', async function () {
    this.timeout(120_000);
    // Some slices each, of which a life of the service sees one or two.
    const count = engine === 'sqlite' ? 6000 : 20_000;
    await insertManyRows(test.url, list.id, count);
    const row = { account_id: 1, list_id: list.id, kind: 'all', at: Date.now(), actor: 'test' };
    const [id = 0] = await test.db('bulk_removals').insert({ ...row, state: 'removing', carried_at: row.at });
    const changed = async (counter: 'optOuts' | 'restored') => (await getBulkRemoval(test.db, id))[counter];
    for (const [counter, end] of [
      ['optOuts', 'removed'],
      ['restored', 'restored'],
    ] as const) {
      for (let kill = 1; kill <= 3; kill++) {
        service = await start();
        const before = await changed(counter);
        await until('some more is done', async () => (await changed(counter)) > before);
        service.process.kill('SIGKILL');
        await once(service.process, 'exit');
        // Otherwise the next keeper waits for it to run out.
        await test.db('leases').where({ name: 'keeper' }).update({ expires_at: 0 });
      }
      assert.ok((await changed(counter)) < count, 'it was killed in the middle');
      service = await start();
      await until('it is over', async () => (await getBulkRemoval(test.db, id)).state === end);
      await until('everything is numbered', async () => !(await hasPendingChanges(test.db, list.id)));
      assert.equal(await changed(counter), count, 'each row once');
      const { addresses } = await getCounts(test.db, list.id);
      assert.equal(addresses, end === 'removed' ? 0 : count);
      const given = await downloaded(service, '');
      assert.equal(given.length, addresses);
      await service.stop();
      if (end === 'restored') return;
      const times = { position: null, finished_at: null, restored_at: Date.now(), restored_by: 'test' };
      await test
        .db('bulk_removals')
        .where({ id })
        .update({ state: 'restoring', ...times });
    }
  });

  it('answers all that it has accepted when it is told to stop, and ends in order', async function () {
    this.timeout(60_000);
    const running = (service = await start());
    const { ledger } = (load = startLoad(() => running.url, link(), { connections, name: 't' }));
    await until('some hundred are acknowledged', () => ledger.acked.size >= 300);
    const startedAt = Date.now();
    const code = await running.stop();
    const tookMs = Date.now() - startedAt;
    await load.stop();

    assert.equal(code, 0);
    assert.ok(tookMs < 20_000, `it took ${tookMs} ms`);
    assert.ok(!running.lines.some((line) => line.includes('cut off')), 'no request outlasted the stop');
    const rows = await recorded();
    assert.deepEqual(missing(ledger, rows), []);
    const unanswered = rows.filter((email) => !ledger.acked.has(email));
    assert.deepEqual(unanswered, [], 'recorded, and never answered');
    assert.deepEqual([...new Set(ledger.refusals)], [], 'what was accepted was acknowledged');
  });
});
