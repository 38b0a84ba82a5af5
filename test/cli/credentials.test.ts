import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { environmentOf, signoff } from './signoff.js';

describe('The commands signoff credential and signoff list name', function () {
  this.timeout(60_000);
  let service: TestService;
  let list: List;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'signoff-keys-'));
    service = await startTestService();
    list = await makeList(service);
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await service.close();
  });

  const run = (...args: string[]) => signoff(environmentOf(service.databaseUrl), args);
  const done = async (...args: string[]) => {
    const ran = await run(...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  };
  const lists = async (apiUser: string, apiKey: string) => {
    const answer = await request(service.url)
      .get('/apiv2/unsubscribe/list')
      .query({ apiUser, apiKey, days: '1' });
    return (answer.body as { statusCode: number }).statusCode;
  };

  it('name a list, and tell its names', async () => {
    await done('list', 'name', list.publicId, '--surface', 'sendcloud', '--name', 'Acme_Shop');
    const { names } = (await done('list', 'name', list.publicId, '--json')).json<{ names: unknown }>();
    assert.deepEqual(names, [{ surface: 'sendcloud', name: 'Acme_Shop' }]);
    const other = await makeList(service);
    const taken = await run('list', 'name', other.publicId, '--surface', 'sendcloud', '--name', 'ACME_shop');
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, /Another list of this account/);
  });

  it('make a key that works, shown once, with a call to try', async () => {
    const made = await done(
      'credential',
      'create',
      '--surface',
      'sendcloud',
      '--name',
      'Shop',
      '--login',
      'acme_shop',
    );
    const [, key = ''] = /^ {2}(so_\S+)$/m.exec(made.stdout) ?? [];
    assert.match(made.stdout, /curl ".*\/apiv2\/unsubscribe\/list/);
    assert.equal(await lists('acme_shop', key), 200);
    const [shown] = (await done('credential', 'list', '--json')).json<Record<string, unknown>[]>();
    assert.deepEqual(
      [shown?.login, shown?.key_ending, shown?.rights],
      ['acme_shop', key.slice(-4), ['read', 'record', 'remove']],
    );
    assert.equal((await done('credential', 'list')).stdout.includes(key), false);

    await done('credential', 'end', String(shown?.id));
    assert.equal(await lists('acme_shop', key), 40005);
  });

  it('take a key that programs hold already, from a file alone', async () => {
    const file = path.join(folder, 'key');
    writeFileSync(file, 'the-key-that-the-shop-has-had-for-years\n');
    const create = [
      'credential',
      'create',
      '--surface',
      'sendcloud',
      '--name',
      'Old shop',
      '--login',
      'acme_shop',
    ];
    await done(...create, '--key-file', file, '--rights', 'read');
    assert.equal(await lists('acme_shop', 'the-key-that-the-shop-has-had-for-years'), 200);
    const again = await run(...create, '--key-file', file);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /another credential already/);
  });

  it('tell in one line each from where they may be used', async () => {
    const networks = ['--ip-whitelist', '203.0.113.7, 198.51.100.0/24'];
    await done('credential', 'create', '--surface', 'mailgun', '--name', 'Fenced', ...networks);
    const { stdout } = await done('credential', 'list');
    const [line = ''] = stdout.split('\n').filter((one) => one.includes('Fenced'));
    assert.match(line, / {2}203\.0\.113\.7, 198\.51\.100\.0\/24 *$/);
    const { length } = (await done('credential', 'list', '--json')).json<unknown[]>();
    assert.equal(stdout.trimEnd().split('\n').length, 1 + length);
  });

  it('say what is missing or unknown', async () => {
    const create = ['credential', 'create', '--surface', 'sendcloud', '--name', 'Shop'];
    const wrong: [RegExp, string[]][] = [
      [/needs --login: its apiUser/, create],
      [/There is no right "write"/, [...create, '--login', 'a', '--rights', 'read,write']],
      [/knows these roles: "apiUser"/, [...create, '--login', 'a', '--role', 'boss']],
      [/^\/nowhere cannot be read \(ENOENT\)\.\n$/, [...create, '--login', 'a', '--key-file', '/nowhere']],
      [/There is no credential 999/, ['credential', 'end', '999']],
    ];
    for (const [why, args] of wrong) {
      const ran = await run(...args);
      assert.deepEqual([ran.code, ran.stdout], [1, '']);
      assert.match(ran.stderr, why);
    }
  });
});
