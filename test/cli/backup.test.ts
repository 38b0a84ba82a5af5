import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import path from 'node:path';
import request from 'supertest';
import { readConfig } from '../../src/config.js';
import { getFeed, hasPendingChanges } from '../../src/core/feed.js';
import type { List } from '../../src/core/lists.js';
import { mintToken, newestLinkKey } from '../../src/core/signed-links.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { createLog } from '../../src/log.js';
import { startService, type Service } from '../../src/service.js';
import { freshDatabases } from '../support/backup-files.js';
import { optOutOf } from '../support/core.js';
import type { FreshDatabase } from '../support/engine.js';
import { startLoad, type Load } from '../support/ledger.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';
import { browser } from '../support/visitors.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

/** docs/reliability.md, 13, and what else a backup is for. */
describe('signoff backup and restore, while the service records', function () {
  this.timeout(120_000);
  const file = path.join(emptyFolder(), 'signoff.backup');
  const databases: FreshDatabase[] = [];
  const restored: Service[] = [];
  let service: TestService;
  let load: Load | undefined;
  let list: List;
  let key: string;
  let token: string;
  let cursor: string;
  let etag: string;
  /** Acknowledged before the backup began. */
  let ackedBefore: string[];

  before(async () => {
    service = await startTestService();
    const { db, secret, recorder } = service.deps;
    list = await makeList(service, { name: 'Ächme News', thankYou: { en: 'Good *bye*' } });
    ({ key } = await makeMailer(service, list));
    token = mintToken(await newestLinkKey(db, secret, list), 'ann@example.com', '*');
    await recorder.record([
      optOutOf(list.id, 'gone@example.com'),
      optOutOf(list.id, 'cüre@example.com', { reason: 'too many' }),
    ]);
    await removeOptOuts(db, list.id, 'gone@example.com');
    await untilNumbered(service, list);
    const downloaded = await download(service.url, '');
    cursor = String(downloaded.headers['signoff-cursor']);
    etag = String(downloaded.headers.etag);

    const { ledger } = (load = startLoad(() => service.url, `/l/${list.publicId}`, {
      connections: 4,
      name: 'w',
    }));
    await until('some hundred are acknowledged', () => ledger.acked.size >= 300);
    ackedBefore = [...ledger.acked];
    const ran = await signoff(environmentOf(service.databaseUrl), ['backup', file]);
    await load.stop();
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^opt_outs +[\d,]+$/m);
    assert.match(ran.stdout, /holds addresses of people and the installation's secret: keep it as safe/);
    assert.deepEqual(ledger.refusals, [], 'everything was acknowledged meanwhile');
    assert.ok(ledger.acked.size > ackedBefore.length, 'it recorded while the backup was made');
    await untilNumbered(service, list);
  });
  after(async () => {
    await load?.stop();
    await Promise.all(restored.map((one) => one.stop()));
    await service.close();
    await Promise.all(databases.map(({ drop }) => drop()));
  });

  const download = (url: string, query: string) =>
    request(url).get(`/l/${list.publicId}/download?format=plain&key=${key}${query}`);
  const addressesIn = (text: string) => text.trimEnd().split('\n');

  it('leaves a file that only its owner can read', () => {
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  it('brings everything back, on either engine, and tells every reader to take the whole list', async () => {
    const old = await getFeed(service.deps.db);
    let from = file;
    for (const database of await freshDatabases()) {
      databases.push(database);
      const env = environmentOf(database.url);
      const ran = await signoff(env, ['restore', from]);
      assert.equal(ran.code, 0, ran.stderr);
      assert.match(ran.stdout, /every mailer will be told to take its whole lists/);

      const config = readConfig({ ...env, BASE_URL: 'http://signoff.test', PORT: '0' });
      const again = await startService(config, createLog('silent'));
      restored.push(again);
      const url = `http://127.0.0.1:${again.port}`;
      const { db } = again.deps;
      await until('everything is numbered', async () => !(await hasPendingChanges(db, list.id)));

      const refused = await download(url, `&cursor=${cursor}`);
      assert.equal(refused.status, 410);
      const whole = await download(url, '').set('If-None-Match', etag);
      assert.equal(whole.status, 200);
      const addresses = new Set(addressesIn(whole.text));
      assert.deepEqual(
        ackedBefore.filter((email) => !addresses.has(email)),
        [],
        'acknowledged before the backup began, and not in it',
      );
      const strangers = [...addresses].filter(
        (email) => !load?.ledger.intended.has(email) && email !== 'cüre@example.com',
      );
      assert.deepEqual(strangers, []);
      assert.equal(addresses.has('gone@example.com'), false);

      // What the next one is restored from: made where this one was brought back.
      from = path.join(emptyFolder(), 'again.backup');
      const backed = await signoff(env, ['backup', from]);
      assert.equal(backed.code, 0, backed.stderr);

      // It goes on above what stood there, and the new cursor follows it.
      const before = await getFeed(db);
      assert.notEqual(before.epoch, old.epoch);
      const opened = await request(url).get(`/o/${token}`).set(browser);
      assert.equal(opened.status, 200);
      assert.match(opened.text, /<bdi>ann@example\.com<\/bdi>/);
      const oneClick = await request(url).post(`/o/${token}`).type('form').send('List-Unsubscribe=One-Click');
      assert.equal(oneClick.status, 200);
      await until('it is numbered', async () => (await getFeed(db)).lastNumber === before.lastNumber + 1);
      const delta = await download(url, `&cursor=${whole.headers['signoff-cursor']}`);
      assert.equal(delta.text, '+ann@example.com\n');

      const audited = await signoff(env, ['audit']);
      assert.equal(audited.code, 0, audited.stdout);
    }
  });
});
