import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { cp, mkdir } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { createAccount } from '../../src/core/accounts.js';
import { createList } from '../../src/core/lists.js';
import { createMailer } from '../../src/core/mailers.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

const actor = 'test';

describe('What the command signoff refuses', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  before(async () => {
    database = await migratedDatabase();
    const { db } = database;
    await createAccount(db, 'Other');
    await createList(db, 1, { name: 'Acme News' }, { actor });
    await createList(db, 1, { name: 'Twice' }, { actor });
    await createList(db, 2, { name: 'Twice' }, { actor });
    await createMailer(db, 1, { name: 'Mail House' }, { actor });
    await createMailer(db, 2, { name: 'Stranger' }, { actor });
  });
  after(() => database.close());

  const refused: [args: string[], why: RegExp][] = [
    [['list', 'create', '--name', 'News'], /There are several accounts: say which with --account ID/],
    [['list', 'create', '--account', '9', '--name', 'News'], /There is no account 9\./],
    [['list', 'create', '--account', '1', '--name', ''], /^--name must not be empty\.$/m],
    [['list', 'edit', 'Nobody', '--pixel', 'on'], /There is no list "Nobody"/],
    [
      ['list', 'edit', 'Twice', '--pixel', 'on'],
      /Several lists are called "Twice": name one by its id \(\w+, \w+\)/,
    ],
    [
      ['list', 'edit', 'Acme News', '--ip-whitelist', '203.0.113'],
      /^--ip-whitelist: entry 1, "203\.0\.113",/,
    ],
    [['list', 'edit', 'Acme News', '--ip-whitelist', '10.0.0.1'], /--confirm-private/],
    [['list', 'edit', 'Acme News', '--ip-whitelist', '8.0.0.0/8'], /--confirm-wide/],
    [['list', 'edit', 'Acme News', '--redirect', 'ftp://x.example'], /^--redirect: .*https/],
    [['list', 'edit', 'Acme News', '--language', 'xx'], /^--language: .*"xx"/],
    [
      ['list', 'edit', 'Acme News', '--privacy-url', 'x'],
      /^--privacy-url must be an http or https address\.$/m,
    ],
    [['list', 'edit', 'Acme News', '--thank-you', 'xx=Bye'], /^--thank-you: .*"xx"/],
    [['list', 'edit', 'Acme News', '--tag', '*'], /^--tag: /],
    [['mailer', 'rotate-key', '9'], /There is no mailer 9\./],
    [['mailer', 'grant', 'Stranger', 'Acme News'], /no such list in the account of this mailer/],
    [['mailer', 'edit', 'Mail House', '--ip-whitelist', 'x'], /^--ip-whitelist: entry 1, "x",/],
    [['opt-out', 'add', 'Acme News', 'ann'], /^<address>: the address has no @\.$/m],
    [['opt-out', 'add', 'Acme News', '{{email}}'], /merge tag/],
    [
      ['opt-out', 'check', 'Acme News', 'ann@example.com', '--tag', 'x'],
      /^--tag: list \w+ does not know this tag;/,
    ],
  ];
  for (const [args, why] of refused) {
    it(`signoff ${args.join(' ')}`, async () => {
      const ran = await signoff(environmentOf(database.url), args);
      assert.equal(ran.code, 1, ran.stdout);
      assert.equal(ran.stdout, '');
      assert.match(ran.stderr, why);
      assert.doesNotMatch(ran.stderr, /\n {4}at |Error:/);
    });
  }

  it('changes nothing where one of several settings does not pass', async () => {
    const args = ['list', 'edit', 'Acme News', '--pixel', 'off', '--archive', '--tag', 'sale', '--tag', '*'];
    assert.equal((await signoff(environmentOf(database.url), args)).code, 1);
    const list = (await database.db('lists').where({ id: 1 }).first()) as Record<string, unknown>;
    assert.deepEqual([list.pixel, list.archived_at], [1, null]);
    assert.deepEqual(await database.db('tags').where({ list_id: 1 }), []);
  });
});

describe('A database that the command signoff cannot use', function () {
  this.timeout(120_000);

  it('is away: it says so in a sentence', async () => {
    const ran = await signoff(environmentOf('mysql://signoff:secret@127.0.0.1:1/signoff'), ['list', 'list']);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^The database does not answer: connect ECONNREFUSED 127\.0\.0\.1:1\. /);
    assert.doesNotMatch(ran.stderr, /secret|\n {4}at /);
  });

  it('is wrongly configured: it names the variable', async () => {
    const ran = await signoff({ NODE_ENV: 'production', DATABASE_URL: 'postgres://x' }, ['list', 'list']);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /DATABASE_URL must be.*SIGNOFF_SECRET is needed.*BASE_URL is needed/s);
  });

  it('is the one that .env of the working folder names', async () => {
    const cwd = emptyFolder();
    writeFileSync(path.join(cwd, '.env'), 'DATABASE_URL=sqlite://here/signoff.db\n');
    const ran = await signoff({}, ['migrate'], { cwd });
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(ran.stderr, '');
    assert.equal(existsSync(path.join(cwd, 'here/signoff.db')), true);
  });
});

describe('bin/signoff.js', () => {
  it('says what to run where nothing has been built', async () => {
    const folder = emptyFolder();
    await mkdir(path.join(folder, 'bin'));
    await cp('bin/signoff.js', path.join(folder, 'bin/signoff.mjs'));
    const ended = await promisify(execFile)(process.execPath, [path.join(folder, 'bin/signoff.mjs')]).catch(
      (error: unknown) => error as { code: number; stderr: string },
    );
    assert.equal('code' in ended && ended.code, 1);
    assert.match(ended.stderr, /npm run build/);
  });
});
