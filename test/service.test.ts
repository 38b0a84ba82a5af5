import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { readConfig } from '../src/config.js';
import { StartRefused } from '../src/errors.js';
import { createLog } from '../src/log.js';
import { startService, type Service } from '../src/service.js';
import { engine, freshDatabaseUrl, type FreshDatabase } from './support/engine.js';
import { spawnRunningService, spawnService, type SpawnedService } from './support/spawned-service.js';
import { until } from './support/service.js';
import { goodPassword } from './support/console.js';
import { browser } from './support/visitors.js';

const run = promisify(execFile);

const production = {
  NODE_ENV: 'production',
  BASE_URL: 'https://out.example.com',
  SIGNOFF_SECRET: 'a secret of at least 32 characters',
};

describe('The service', () => {
  let folder: string;
  let database: FreshDatabase;
  let env: Record<string, string>;
  let stops: (() => Promise<unknown>)[];

  beforeEach(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'signoff-start-'));
    database = await freshDatabaseUrl();
    env = { DATA_DIR: path.join(folder, 'data'), DATABASE_URL: database.url, PORT: '0' };
    stops = [];
  });
  afterEach(async () => {
    await Promise.all(stops.map((stop) => stop()));
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  const secretFile = () => path.join(folder, 'data', 'secret');

  /** As a process of its own. */
  async function spawn(more: Record<string, string> = {}): Promise<SpawnedService> {
    const service = await spawnRunningService({ ...env, ...more }, folder);
    stops.push(() => service.stop());
    return service;
  }
  const shown = ({ lines }: SpawnedService) => lines.filter((line) => !line.startsWith('{'));

  /** In this process, which is quicker. */
  async function start(more: Record<string, string> = {}): Promise<Service> {
    const service = await startService(readConfig({ ...env, ...more }), createLog('silent'));
    stops.push(() => service.stop());
    return service;
  }

  /** What is told where the start is refused. */
  async function refusalOf(more: Record<string, string>): Promise<string> {
    const error: unknown = await start(more).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof StartRefused, `${String(error)} is no refusal`);
    assert.doesNotMatch(error.message, /\n\s+at /, 'a person reads this');
    return error.message;
  }

  it('shows a demo and the set-up link on its first start, of which every line works as it is printed, and none afterwards', async function () {
    this.timeout(60_000);
    const service = await spawn();
    await until('the demo is shown', () => shown(service).join().includes('only this once'));
    const text = shown(service).join('\n');
    const valueOf = (name: string) => new RegExp(`^  ${name} {2,}(.+)$`, 'm').exec(text)?.[1] ?? '';

    const page = await fetch(valueOf('Its hosted page'), { headers: browser });
    assert.match(await page.text(), /Unsubscribe from <bdi>The Demo Gazette<\/bdi>/);
    const link = await fetch(valueOf('A direct link'), { headers: browser });
    assert.match(await link.text(), /<bdi>ann@example\.com<\/bdi>/);
    const src =
      /<img src="([^"]+)" width="1" height="1" alt="">/.exec(valueOf("The pixel's HTML"))?.[1] ?? '';
    const pixel = await fetch(src);
    assert.deepEqual([pixel.status, pixel.headers.get('content-type')], [200, 'image/gif']);
    const output = async (line: string) => (await run('bash', ['-c', `${line} --silent`])).stdout;
    const notified = JSON.parse(await output(valueOf('Server to server'))) as {
      status: string;
      taken: number;
    };
    assert.deepEqual([notified.status, notified.taken], ['opted-out', 1]);
    const file = await output(valueOf('The download'));
    assert.deepEqual(file.split('\n').sort(), ['', 'ann@example.com', 'bob@example.com']);

    const setUp = /^ {2}(http\S+\/console\/set-up\/[\w-]{43})$/m.exec(text)?.[1] ?? '';
    assert.match(await (await fetch(setUp)).text(), /admin of this installation/);
    const admin = { name: 'Olive', email: 'olive@example.com', password: goodPassword, again: goodPassword };
    const made = await fetch(setUp, {
      ...{ method: 'POST', redirect: 'manual', body: new URLSearchParams(admin) },
      headers: { 'Sec-Fetch-Site': 'same-origin' },
    });
    assert.equal(made.status, 303);

    const key = /so_[\w-]{43}/.exec(text)?.[0] ?? 'none';
    assert.equal(await service.stop(), 0);
    for (const secret of [key, setUp.slice(-43)]) {
      const isLogged = service.lines.some((line) => line.startsWith('{') && line.includes(secret));
      assert.ok(!isLogged, 'it is not logged');
    }
    const second = await spawn();
    assert.equal((await fetch(`${second.url}/readyz`)).status, 200);
    const ended = once(second.process, 'close');
    second.process.kill('SIGINT');
    assert.deepEqual(await ended, [0, null]);
    assert.deepEqual(shown(second), []);
    assert.match(second.lines.join('\n'), /"msg":"stopped"/);
  });

  it('reads .env of the folder that it is started in, and the environment wins', async () => {
    writeFileSync(path.join(folder, '.env'), 'BASE_URL=http://from.file.test\nLOG_LEVEL=silent\n');
    const { lines } = await spawn({ LOG_LEVEL: 'info' });
    assert.match(lines.join('\n'), /"base_url":"http:\/\/from\.file\.test"/);
  });

  it('says everything that is wrong with its configuration, touches nothing, and ends with code 1', async () => {
    const failed = await spawnService({ ...env, NODE_ENV: 'production', PORT: '1' }, folder);
    assert.ok('said' in failed);
    assert.equal(failed.code, 1);
    assert.match(
      failed.said,
      /SIGNOFF_SECRET is needed in production[\s\S]*BASE_URL is needed in production/,
    );
    assert.doesNotMatch(failed.said, /\n\s+at /);
    assert.equal(existsSync(path.join(folder, 'data')), false);
  });

  it('starts in an empty folder, and keeps a secret there that only its owner can read', async () => {
    const { port, demo } = await start();
    assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
    assert.notEqual(demo, null);
    assert.equal(statSync(secretFile()).mode & 0o777, 0o600);
    assert.equal(statSync(path.dirname(secretFile())).mode & 0o777, 0o700);
    assert.match(readFileSync(secretFile(), 'utf8'), /^[\w-]{43}\n$/);
  });

  if (engine === 'sqlite') {
    it('keeps its database in the same folder, where no other is named', async () => {
      await start({ DATABASE_URL: '' });
      assert.equal(existsSync(path.join(folder, 'data', 'signoff.db')), true);
    });
  }

  it('makes neither a demo nor a secret in production', async () => {
    const { demo, deps } = await start(production);
    assert.equal(demo, null);
    assert.deepEqual(await deps.db('accounts'), []);
    assert.equal(existsSync(secretFile()), false);
    assert.equal(deps.baseUrl, 'https://out.example.com');
  });

  it('refuses another secret than the one that its database was set up with', async () => {
    await (await start(production)).stop();
    const said = await refusalOf({ ...production, SIGNOFF_SECRET: 'another secret of 32 characters!' });
    assert.match(said, /SIGNOFF_SECRET .*not the one this database was set up with/);
    assert.doesNotMatch(said, /another secret/);
    assert.match(await refusalOf({}), /SIGNOFF_SECRET \(or the secret file/, 'nor one of its own making');
    await start(production);
  });

  it('refuses a secret file that holds none', async () => {
    await (await start()).stop();
    writeFileSync(secretFile(), '\n');
    assert.match(await refusalOf({}), /secret holds no secret/);
  });

  it('says so where it cannot listen, and keeps the demo for the start that can', async () => {
    const other = createServer();
    await once(other.listen(0, '127.0.0.1'), 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      const said = await refusalOf({ PORT: String(port) });
      assert.match(said, new RegExp(`PORT ${port} cannot be listened on: something listens there already`));
      assert.match(
        await refusalOf({ HOST: '203.0.113.7' }),
        /HOST 203\.0\.113\.7, PORT 0 cannot be listened on/,
      );
    } finally {
      other.close();
    }
    assert.notEqual((await start()).demo, null);
  });

  it('says what is wrong with a database that it cannot use, and no password', async () => {
    const closed = createServer();
    await once(closed.listen(0, '127.0.0.1'), 'listening');
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    writeFileSync(path.join(folder, 'text.db'), 'no database '.repeat(1000));
    const urls: [string, RegExp][] = [
      [`mysql://ann:secretpass@127.0.0.1:${port}/x`, /DATABASE_URL cannot be used: connect ECONNREFUSED/],
      ['mysql://ann:secret pass@[x/y', /DATABASE_URL must be mysql:/],
      ['mysql://ann:secretpass@127.0.0.1/', /DATABASE_URL must be mysql:.*\/database/],
      [`sqlite://${path.join(folder, 'text.db')}`, /DATABASE_URL cannot be used: file is not a database/],
      [`sqlite://${path.join(folder, 'text.db', 'x.db')}`, /DATABASE_URL cannot be used: E/],
    ];
    for (const [url, told] of urls) {
      const said = await refusalOf({ DATABASE_URL: url });
      assert.match(said, told);
      assert.doesNotMatch(said, /secret ?pass/);
    }
  });

  if (engine === 'mysql') {
    it('says what the database server says of a wrong password or a wrong name', async () => {
      const [password, name] = [new URL(database.url), new URL(database.url)];
      password.password = 'secretpass';
      name.pathname = '/signoff_test_none';
      const said = await refusalOf({ DATABASE_URL: password.href });
      assert.match(said, /DATABASE_URL cannot be used: Access denied/);
      assert.doesNotMatch(said, /secretpass/);
      assert.match(await refusalOf({ DATABASE_URL: name.href }), /Unknown database 'signoff_test_none'/);
    });
  }

  for (const [when, readsUntil] of [
    ['any more', 'listening'],
    ['to its end', 'stopping'],
  ] as const) {
    it(`ends in order where nobody reads its log ${when}`, async () => {
      const service = await spawn();
      const ended = once(service.process, 'exit');
      const has = (word: string) => service.lines.some((line) => line.includes(`"msg":"${word}`));
      if (readsUntil === 'stopping') service.process.kill('SIGTERM');
      try {
        await until(`it is ${readsUntil}`, () => has(readsUntil));
        service.process.stdout?.destroy();
        service.process.kill('SIGTERM');
        assert.deepEqual(await ended, [0, null]);
      } finally {
        service.process.kill('SIGKILL');
      }
    });
  }
});
