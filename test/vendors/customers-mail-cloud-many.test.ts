import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import path from 'node:path';
import process from 'node:process';
import { editAccount } from '../../src/core/account-settings.js';
import { getAccount } from '../../src/core/accounts.js';
import { connect } from '../../src/db/connect.js';
import { cutOff } from '../../src/http/cut-off.js';
import { makeClient, type Client } from '../support/customers-mail-cloud.js';
import { engine, skipBecause } from '../support/engine.js';
import { startFragileService, type FragileService } from '../support/faults.js';
import { dropSearchIndexes, insertManyRows } from '../support/many-rows.js';
import { until } from '../support/service.js';
import { sevenZip, unzip } from '../support/seven-zip.js';

/** Three times what is sorted without a file. */
const rows = 100_000;
const password = 'correct horse';

describe("Customers Mail Cloud's download of many", function () {
  this.timeout(120_000);
  let service: FragileService;
  let client: Client;
  before(async function () {
    if (sevenZip === null) skipBecause(this, '7-Zip is not here: npm run test:setup');
    service = await startFragileService({ DATABASE_TIMEOUT_MS: '5000' });
    client = await makeClient(service);
    // To fill it takes its time.
    const filling = connect(service.databaseUrl, { timeoutMs: 100_000, poolSize: 1 });
    await dropSearchIndexes(filling);
    await insertManyRows(service.databaseUrl, client.list.id, rows);
    // Addresses that cannot be compressed: more than all the buffers between two ends of a connection hold.
    const noise =
      engine === 'sqlite'
        ? `CAST(lower(hex(randomblob(110))) || '@example.com' AS BLOB)`
        : `CONCAT(SHA2(address, 512), LEFT(SHA2(address_key, 512), 92), '@example.com')`;
    await filling.raw(
      `UPDATE opt_outs SET address = ${noise}, created_at = (feed_number * 7919) % 50021 * 1000 WHERE list_id = ?`,
      [client.list.id],
    );
    await filling.destroy();
    const { db, secret } = service.deps;
    const account = await getAccount(db, service.accountId);
    await editAccount(db, secret, account, { zipPassword: password }, { actor: 'test' });
  });
  // Where it was skipped, there is none.
  after(() => (service as FragileService | undefined)?.close('its rows are random octets'));

  const openFiles = () => (existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0);
  const isOver = () => until('it is over', () => service.deps.state.downloads.size === 0);

  /** A client that has read the first octets, and reads no more. */
  async function stalled(): Promise<IncomingMessage> {
    const body = JSON.stringify({
      ...{ api_user: 'acme', api_key: client.key, server_composition: client.serverComposition },
    });
    const url = `${service.url}/transaction/v2/unsubscribes/download.json`;
    const asked = http.request(url, {
      ...{ method: 'POST', agent: false, headers: { 'Content-Type': 'application/json' } },
    });
    asked.on('error', () => undefined).end(body);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    assert.equal(answer.statusCode, 200);
    await once(answer, 'readable');
    return answer;
  }

  it('is whole, encrypted, and oldest first, and keeps nobody waiting', async () => {
    let pages = 0;
    let isDone = false;
    const asking = (async () => {
      for (; !isDone; pages++) assert.equal((await fetch(`${service.url}/healthz`)).status, 200);
    })();
    const answer = await client.call('download.json');
    isDone = true;
    await asking;
    assert.ok(pages > 20, `${pages} pages were answered meanwhile`);
    assert.equal(answer.status, 200);
    const opened = unzip(answer.octets, password);
    assert.deepEqual([opened.code, opened.method], [0, 'AES-256 Deflate']);
    const [, ...lines] = opened.content.toString().split('\n');
    assert.equal(lines.pop(), '');
    assert.equal(new Set(lines).size, rows);
    const times = lines.map((line) => line.slice(0, 21));
    assert.deepEqual(times, [...times].sort());
    assert.equal(times[0], '"1970-01-01 09:00:00"');
  });

  it('goes on for a client that paused', async () => {
    const answer = await stalled();
    let octets = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) octets += chunk.length;
    assert.ok(octets > rows * 110);
    assert.equal(answer.complete, true);
  });

  it('waits for a client that takes nothing, and ends when it vanishes', async () => {
    await isOver();
    const before = openFiles();
    const answer = await stalled();
    assert.equal(service.deps.state.downloads.size, 1);
    answer.destroy();
    await isOver();
    await until('its file is closed', () => openFiles() <= before);
    assert.doesNotMatch(service.logged.join(''), /an unexpected error|unhandled/i);
  });

  it('is reset where the service cuts it off, and does not look whole', async () => {
    const answer = await stalled();
    for (const res of service.deps.state.downloads) cutOff(res);
    await assert.rejects(async () => {
      for await (const _ of answer);
    }, /aborted|ECONNRESET/);
    assert.equal(answer.complete, false);
    await isOver();
  });

  it('is an error, and no file, where there is no room to sort it', async () => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = path.join('/nowhere', 'at-all');
    try {
      const { status, errors } = await client.call('download.json');
      assert.deepEqual([status, errors[0]?.[0]], [503, '00-503']);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
  });

  it('is an error, and no file, where the database is lost while it is read', async () => {
    const asked = client.call('download.xml');
    await until('it is read', () => service.deps.state.downloads.size === 1);
    const mend = await service.loseDatabase();
    const { status, headers, errors } = await asked;
    await mend();
    assert.ok(status >= 500, String(status));
    assert.equal(headers['content-type'], 'application/xml; charset=utf-8');
    assert.equal(errors.length, 1);
    await isOver();
  });
});
