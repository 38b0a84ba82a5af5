import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { getAccountSettings, getZipEncryption } from '../../src/core/account-settings.js';
import { connect, type Db } from '../../src/db/connect.js';
import { freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';
import { emptyFolder, environmentOf, signoff, signoffAlone } from './signoff.js';

describe('The commands signoff account edit and show', function () {
  this.timeout(120_000);
  let database: FreshDatabase;
  let db: Db;
  before(async () => {
    database = await freshDatabaseUrl();
    db = connect(database.url, { timeoutMs: 10_000, poolSize: 2 });
    await done(['migrate']);
    await done(['account', 'create', '--name', 'Acme']);
  });
  after(async () => {
    await db.destroy();
    await database.drop();
  });

  // A password is read from the file descriptor of standard input, which only a process of its own has.
  const run = (args: string[], input = '', env = environmentOf(database.url)) =>
    input === '' ? signoff(env, args) : signoffAlone(env, args, { input });
  const done = async (args: string[], input = '') => {
    const ran = await run(args, input);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  };
  const secret = environmentOf('').SIGNOFF_SECRET ?? '';
  const settings = async () => {
    const { time_zone, zip_password, zip_cipher } = (await done(['account', 'show', '--json'])).json<
      Record<string, unknown>
    >();
    return [time_zone, zip_password, zip_cipher];
  };

  it('set a password from standard input or a file, and show only that there is one', async () => {
    assert.deepEqual(await settings(), [null, false, 'aes-256']);
    const saved = await done(['account', 'edit', '--zip-password-file', '-'], 'correct horse\nand more\n');
    assert.equal(saved.stdout, 'Account 1, Acme: saved.\n');
    assert.deepEqual(await getZipEncryption(db, secret, 1), { password: 'correct horse', cipher: 'aes-256' });
    const file = path.join(emptyFolder(), 'password.txt');
    writeFileSync(file, 'another horse\r\n');
    const json = await done(['account', 'edit', '--zip-password-file', file, '--json']);
    assert.equal((await getZipEncryption(db, secret, 1))?.password, 'another horse');
    assert.equal(json.json<Record<string, unknown>>().zip_password, true);
    assert.deepEqual(await settings(), [null, true, 'aes-256']);
    const { stdout } = await done(['account', 'show']);
    assert.match(stdout, /ZIP files +encrypted, aes-256/);
    assert.doesNotMatch(stdout + json.stdout, /horse/);
  });

  it('set the time zone, and warn of ZipCrypto', async () => {
    const edited = await done([
      'account',
      'edit',
      '--time-zone',
      'Europe/Berlin',
      '--zip-cipher',
      'zipcrypto',
    ]);
    assert.match(edited.stderr, /ZipCrypto is weak/);
    assert.deepEqual(await settings(), ['Europe/Berlin', true, 'zipcrypto']);
    assert.deepEqual((await run(['audit', '--json'])).code, 0);
  });

  it('rename the account', async () => {
    const renamed = await done(['account', 'edit', '--name', 'Acme & Co']);
    assert.equal(renamed.stdout, 'Account 1, Acme & Co: saved.\n');
    assert.equal((await run(['account', 'edit', '--name', ' '])).code, 1);
    assert.match((await done(['account', 'show'])).stdout, /Name +Acme & Co/);
    await done(['account', 'edit', '--name', 'Acme']);
  });

  it('take back what was set', async () => {
    await done(['account', 'edit', '--no-zip-password', '--no-time-zone', '--zip-cipher', 'aes-256']);
    assert.deepEqual(await settings(), [null, false, 'aes-256']);
    assert.match((await done(['account', 'show'])).stdout, /ZIP files +not encrypted/);
  });

  const refused: [what: string, args: string[], input: string, code: number, said: RegExp][] = [
    [
      'a short password',
      ['--zip-password-file', '-'],
      'short',
      1,
      /zipPassword must be 8 to 128 characters long/i,
    ],
    ['no password', ['--zip-password-file', '-'], '', 1, /zipPassword must be 8 to 128/i],
    [
      'a file that is not there',
      ['--zip-password-file', '/nowhere'],
      '',
      1,
      /\/nowhere cannot be read \(ENOENT\)/,
    ],
    ['an unknown zone', ['--time-zone', 'Berlin'], '', 1, /timeZone must be a time zone/i],
    ['an unknown cipher', ['--zip-cipher', 'rot13'], '', 2, /Allowed choices are aes-256, zipcrypto/],
    ['nothing to change', [], '', 2, /nothing to change/],
    ['both', ['--no-zip-password', '--zip-password-file', '-'], 'x', 2, /not both/],
  ];
  const asBefore = { timeZone: null, hasZipPassword: false, zipCipher: 'aes-256' };
  for (const [what, args, input, code, said] of refused) {
    it(`refuse ${what}`, async () => {
      const ran = await run(['account', 'edit', ...args], input);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, said);
      assert.deepEqual(await getAccountSettings(db, 1), asBefore);
    });
  }

  it('set no password under a secret that is not this database’s', async () => {
    const env = {
      ...environmentOf(database.url),
      SIGNOFF_SECRET: 'another secret of at least 32 characters',
    };
    const ran = await run(['account', 'edit', '--zip-password-file', '-'], 'correct horse', env);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /is not the one this database was set up with/);
  });

  it('survive a backup, which brings its password back where it goes', async () => {
    await done(['account', 'edit', '--zip-password-file', '-', '--time-zone', 'Asia/Tokyo'], 'correct horse');
    const file = path.join(emptyFolder(), 'backup.gz');
    await done(['backup', file]);
    const other = await freshDatabaseUrl();
    const restored = connect(other.url, { timeoutMs: 10_000, poolSize: 2 });
    try {
      const ran = await signoff(environmentOf(other.url), ['restore', file]);
      assert.equal(ran.code, 0, ran.stderr);
      assert.deepEqual(await getZipEncryption(restored, secret, 1), {
        ...{ password: 'correct horse', cipher: 'aes-256' },
      });
    } finally {
      await restored.destroy();
      await other.drop();
    }
  });
});
