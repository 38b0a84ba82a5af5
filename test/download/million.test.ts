import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { rotateAccessKey } from '../../src/core/access-keys.js';
import { createList } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';
import { skipBecause } from '../support/engine.js';
import { dropSearchIndexes, insertManyRows } from '../support/many-rows.js';
import { residentMemoryOf, spawnRunningService, type SpawnedService } from '../support/spawned-service.js';

const million = 1_000_000;
const megabyte = 1024 * 1024;
/** Makes the plain file 118 MB. */
const padding = 'a'.repeat(100);

describe('A list of a million addresses', () => {
  let database: TestDatabase;
  let service: SpawnedService;
  let listId: string;
  let key: string;

  before(async function () {
    this.timeout(180_000);
    if (!existsSync('/proc/self/status'))
      skipBecause(this, 'this system does not tell what memory a process holds');
    database = await migratedDatabase({ timeoutMs: 60_000 });
    const { db } = database;
    const actor = 'test';
    const settings = { name: 'Acme News', ipWhitelist: '127.0.0.1' };
    const list = await createList(db, 1, settings, { actor, confirmPrivate: true });
    const mailer = await createMailer(db, 1, { name: 'Mailer', plainAllowed: true }, { actor });
    await grantList(db, mailer, list, { actor });
    key = await rotateAccessKey(db, mailer, { actor, overlapMs: 0 });
    listId = list.publicId;
    await dropSearchIndexes(db);
    await insertManyRows(database.url, list.id, million, padding);
    service = await spawnRunningService({
      NODE_ENV: 'production',
      BASE_URL: 'http://signoff.test',
      SIGNOFF_SECRET: 'a secret of at least 32 characters',
      DATABASE_URL: database.url,
      DATABASE_TIMEOUT_MS: '30000',
    });
  });
  after(async function () {
    this.timeout(60_000);
    // Where the start failed, the rest has to end all the same.
    await (service as SpawnedService | undefined)?.stop();
    await (database as TestDatabase | undefined)?.close();
  });

  async function open(query: Record<string, string>): Promise<IncomingMessage> {
    const url = `${service.url}/l/${listId}/download?${new URLSearchParams({ key, ...query }).toString()}`;
    return new Promise(
      (resolve, reject) => void http.get(url, { agent: false }, resolve).on('error', reject),
    );
  }

  /**
   * Reads a whole download line by line, and asks for the hosted page all the while.
   *
   * @returns by how much the service's memory grew, and how many pages it gave out meanwhile.
   */
  async function read(query: Record<string, string>, take: (line: string) => void) {
    const atRest = residentMemoryOf(service);
    let most = atRest;
    let pages = 0;
    let asked: Promise<void> | null = null;
    const askForPage = async () => {
      assert.equal((await fetch(`${service.url}/l/${listId}`)).status, 200);
      pages++;
      asked = null;
    };
    const answer = await open(query);
    assert.equal(answer.statusCode, 200);
    const file = query.gzip === 'yes' ? answer.pipe(createGunzip()) : answer;
    const watch = setInterval(() => {
      most = Math.max(most, residentMemoryOf(service));
      asked ??= askForPage();
    }, 50);
    try {
      for await (const line of createInterface(file)) take(line);
      const pagesMeanwhile = pages;
      if (asked !== null) await (asked as Promise<void>);
      return { growth: most - atRest, pages: pagesMeanwhile };
    } finally {
      clearInterval(watch);
    }
  }

  // Cold: caches fill and code is compiled. Whoever held a million rows at once would need far more.
  it('comes whole as a gzip file of MD5s, without being held in memory', async function () {
    this.timeout(120_000);
    let last = '';
    let lines = 0;
    const { growth, pages } = await read({ format: 'md5', gzip: 'yes' }, (line) => {
      assert.ok(line > last && line.length === 32, 'in order, so each of them once');
      last = line;
      lines++;
    });
    assert.equal(lines, million);
    assert.ok(growth < 250 * megabyte, `${growth / megabyte} MB more than at rest`);
    assert.ok(pages > 0, 'pages were answered while it ran');
  });

  it('comes whole in plain text, in less memory than the file has octets', async function () {
    this.timeout(120_000);
    const seen = new Uint8Array(million);
    let lines = 0;
    const { growth, pages } = await read({ format: 'plain' }, (line) => {
      lines++;
      seen[Number(/^a{100}(\d+)@example\.com$/.exec(line)?.[1])] = 1;
    });
    assert.equal(lines, million);
    assert.equal(seen.indexOf(0), -1, 'each of them');
    assert.ok(growth < 80 * megabyte, `${growth / megabyte} MB more than at rest`);
    assert.ok(pages > 0, 'pages were answered while it ran');
  });
});
