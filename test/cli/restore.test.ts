import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { readConfig } from '../../src/config.js';
import { createAccount } from '../../src/core/accounts.js';
import { checkSecret } from '../../src/core/secret.js';
import type { Db } from '../../src/db/connect.js';
import { StartRefused } from '../../src/errors.js';
import { createLog } from '../../src/log.js';
import { startService, type Service } from '../../src/service.js';
import { createDatabases, linesIn } from '../support/backup-files.js';
import { migratedDatabase, newList, type TestDatabase } from '../support/core.js';
import { insertManyRows } from '../support/many-rows.js';
import { programArguments } from '../support/program.js';
import { until } from '../support/service.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

const rows = 100_000;
const { SIGNOFF_SECRET: secret = '' } = environmentOf('');

describe('signoff restore', function () {
  this.timeout(180_000);
  const folder = emptyFolder();
  const file = path.join(folder, 'signoff.backup');
  /** Of a database of few rows. */
  const small = path.join(folder, 'small.backup');
  const { fresh, open, hasTables, dropAll } = createDatabases();
  const services: Service[] = [];

  before(async () => {
    const test = await migratedDatabase();
    try {
      await checkSecret(test.db, secret);
      const list = await newList(test.db);
      assert.equal((await backUp(test, small)).code, 0);
      await insertManyRows(test.url, list, rows);
      assert.equal((await backUp(test, file)).code, 0);
    } finally {
      await test.close();
    }
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    await dropAll();
  });

  /** JavaScript has room for a part of the rows, never for all of them at once. */
  const little = { NODE_OPTIONS: '--max-old-space-size=32' };
  const backUp = ({ url }: TestDatabase, to: string) =>
    signoff({ ...environmentOf(url), ...little }, ['backup', to]);
  async function start(env: Record<string, string>): Promise<Service> {
    const service = await startService(readConfig({ ...env, PORT: '0' }), createLog('silent'));
    services.push(service);
    return service;
  }
  const countOf = async (db: Db) => Number((await db('opt_outs').count({ count: '*' }))[0]?.count);

  it('brings back a hundred thousand rows in flat memory', async () => {
    const { url, env } = await fresh();
    const ran = await signoff({ ...env, ...little }, ['restore', file, '--json']);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(ran.json<{ tables: Record<string, number> }>().tables.opt_outs, rows);
    assert.equal(await countOf(open(url)), rows);
  });

  it('that was killed in the middle keeps the service from starting, and can be run again', async () => {
    const { url, env } = await fresh();
    assert.equal((await signoff(env, ['migrate'])).code, 0);
    const db = open(url);
    const child = spawn(process.execPath, [...programArguments('cli'), 'restore', file], {
      cwd: folder,
      env: { PATH: process.env.PATH, ...env },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    await until('some rows are in', async () => (await countOf(db)) > 0);
    child.kill('SIGKILL');
    await ended;
    const standing = await countOf(db);
    assert.ok(standing < rows, `${standing} rows are in`);

    await assert.rejects(start(env), (error) => {
      return error instanceof StartRefused && /Run signoff restore again/.test(error.message);
    });
    for (const command of ['audit', 'migrate']) {
      const ran = await signoff(env, [command]);
      assert.deepEqual([ran.code, /Run signoff restore again/.test(ran.stderr)], [1, true], command);
    }
    const atOnce = await signoff(env, ['restore', small]);
    assert.equal(atOnce.code, 1);
    assert.match(atOnce.stderr, /^Another restore is at work .*try again in \d+ s\.$/m);

    // As if those seconds had passed.
    await db('leases').update({ expires_at: 0 });
    const again = await signoff(env, ['restore', file]);
    assert.equal(again.code, 0, again.stderr);
    assert.equal(await countOf(db), rows);
    assert.equal((await signoff(env, ['audit'])).code, 0);
    await start(env);
  });

  it('refuses a database that is in use, and says what it holds', async () => {
    const { url, env } = await fresh();
    assert.equal((await signoff(env, ['migrate'])).code, 0);
    const db = open(url);
    await createAccount(db, 'Bcme');
    const ran = await signoff(env, ['restore', small]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^This database is in use: it holds 1 account\./);
    assert.deepEqual(
      (await db<{ name: string }>('accounts')).map(({ name }) => name),
      ['Bcme'],
    );
  });

  it('refuses a database that a service runs on, and takes it once that has stopped', async () => {
    const { env } = await fresh();
    const service = await start(env);
    await until('its keeper is at work', async () => {
      const lease = await service.deps.db<{ expires_at: number }>('leases').first('expires_at');
      return (lease?.expires_at ?? 0) > 0;
    });
    const ran = await signoff(env, ['restore', small]);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^A service runs on this database: stop it first\./);
    assert.deepEqual(await service.deps.db('accounts'), []);
    await services.pop()?.stop();
    const again = await signoff(env, ['restore', small]);
    assert.equal(again.code, 0, again.stderr);
  });

  describe('and the secret', () => {
    const development = (url: string, dataDir: string) => ({ DATABASE_URL: url, DATA_DIR: dataDir });

    it('refuses another one than the backup was made with, before anything is written', async () => {
      const { url, env } = await fresh();
      const ran = await signoff({ ...env, SIGNOFF_SECRET: 'another secret of 32 characters!' }, [
        'restore',
        small,
      ]);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /^SIGNOFF_SECRET is not the secret .* --secret-file PATH writes it/);
      assert.doesNotMatch(ran.stderr, /another secret|a secret of/);
      assert.equal(await hasTables(url), false);
    });

    it('puts it into the data folder, and refuses a folder that holds another', async () => {
      const { url } = await fresh();
      const dataDir = path.join(emptyFolder(), 'data');
      const ran = await signoff(development(url, dataDir), ['restore', small]);
      assert.equal(ran.code, 0, ran.stderr);
      const inFolder = path.join(dataDir, 'secret');
      assert.equal(readFileSync(inFolder, 'utf8'), `${secret}\n`);
      assert.equal(statSync(inFolder).mode & 0o777, 0o600);
      await start(development(url, dataDir));

      const other = await fresh();
      writeFileSync(inFolder, 'a secret of quite another service\n');
      const refused = await signoff(development(other.url, dataDir), ['restore', small]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /^The secret in .*secret is not the secret of the installation/);
      assert.equal(await hasTables(other.url), false);
    });

    it('says in production which variable is missing, and writes it into a file where it is told to', async () => {
      const { url, env } = await fresh();
      const { SIGNOFF_SECRET: _, ...without } = env;
      const ran = await signoff(without, ['restore', small]);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /^SIGNOFF_SECRET has to be set to the secret .* --secret-file PATH/);
      const to = path.join(emptyFolder(), 'secret.txt');
      const written = await signoff(without, ['restore', small, '--secret-file', to]);
      assert.equal(written.code, 0, written.stderr);
      assert.deepEqual([readFileSync(to, 'utf8'), statSync(to).mode & 0o777], [`${secret}\n`, 0o600]);
      for (const { stdout, stderr } of [ran, written]) assert.ok(!(stdout + stderr).includes(secret));
      assert.equal((await signoff(without, ['restore', small, '--secret-file', to])).code, 1, 'never over');
      assert.equal(await hasTables(url), false);
    });

    it('can be left out of a backup, which then needs it from elsewhere', async () => {
      const { url, env } = await fresh();
      assert.equal((await signoff(env, ['restore', small])).code, 0);
      const to = path.join(emptyFolder(), 'without.backup');
      const dataDir = path.join(emptyFolder(), 'data');
      const nowhere = await signoff(development(url, dataDir), ['backup', to]);
      assert.equal(nowhere.code, 1);
      assert.match(
        nowhere.stderr,
        /^The installation's secret is not in SIGNOFF_SECRET, nor in .*--without-secret/,
      );
      const ran = await signoff(development(url, dataDir), ['backup', to, '--without-secret']);
      assert.equal(ran.code, 0, ran.stderr);
      assert.ok(!JSON.stringify(linesIn(to)).includes(secret));

      const other = await fresh();
      const refused = await signoff(development(other.url, dataDir), ['restore', to]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /The backup does not hold it: take the one that was kept elsewhere\./);
      const wrong = { ...other.env, SIGNOFF_SECRET: 'another secret of 32 characters!' };
      assert.equal((await signoff(wrong, ['restore', to])).code, 1);
      assert.equal(await hasTables(other.url), false);
      assert.equal((await signoff(other.env, ['restore', to])).code, 0);
    });
  });
});
