import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { createList, type List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { migratedDatabase, numberAll, plant, rowKinds, type TestDatabase } from '../support/core.js';
import { environmentOf, signoff, type Ran } from './signoff.js';

const ann = 'ann@example.com';
const bob = 'bob@example.com';

describe('signoff list global', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  let news: List;
  let never: List;
  before(async () => {
    database = await migratedDatabase();
    const { db } = database;
    news = await createList(db, 1, { name: 'Acme News' }, { actor: 'test' });
    never = await createList(db, 1, { name: 'Never mail' }, { actor: 'test' });
    await createList(db, 1, { name: 'Acme Offers' }, { actor: 'test' });
    await addTags(db, never.id, ['events']);
    await plant(db, news.id, [rowKinds.plain(ann)]);
    await plant(db, never.id, [
      rowKinds.plain(ann),
      rowKinds.md5Only(bob),
      { ...rowKinds.plain('eve@example.com'), tag: Buffer.from('events') },
    ]);
    await numberAll(db, [news.id, never.id], 0);
  });
  after(() => database.close());

  const run = (args: string[], input = '') => signoff(environmentOf(database.url), args, { input });
  const done = async (...args: string[]): Promise<Ran> => {
    const ran = await run(args);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    return ran;
  };
  const check = async (...args: string[]) => (await done('opt-out', 'check', 'Acme News', ...args)).stdout;

  it('says first what would change, and changes nothing without --confirm', async () => {
    const ran = await run(['list', 'global', 'Never mail']);
    assert.deepEqual([ran.code, ran.stdout], [1, '']);
    assert.match(ran.stderr, /its 3 entries would be suppressed on 2 other lists as well\./);
    assert.match(
      ran.stderr,
      /would have to take the whole lists again\.\nNothing has changed: add --confirm/,
    );
    assert.match(await check(bob), /^bob@example\.com is not suppressed on Acme News\.$/m);
  });

  it('marks the list, which list show and account list tell', async () => {
    const { stdout } = await done('list', 'global', 'Never mail', '--confirm');
    assert.match(stdout, /^List \S+, Never mail, is the global list of account 1, Acme: its 3 entries/);
    assert.match(stdout, /their cursors are answered with 410/);
    const again = (await done('list', 'global', 'Never mail', '--json')).json();
    assert.deepEqual(again, {
      ...{ account_id: 1, global_list: never.publicId, before: never.publicId, changed: false },
      ...{ entries: 3, other_lists: 2 },
    });

    assert.match(
      (await done('list', 'show', 'Acme News')).stdout,
      new RegExp(`^Global list +${never.publicId}, Never mail$`, 'm'),
    );
    assert.match((await done('list', 'show', 'Never mail')).stdout, /^Global list +this one/m);
    const shown = (await done('list', 'show', 'Acme News', '--json')).json<Record<string, unknown>>();
    assert.equal(shown.global_list, never.publicId);
    const accounts = (await done('account', 'list', '--json')).json<Record<string, unknown>[]>();
    assert.equal(accounts[0]?.global_list, never.publicId);
    assert.match((await done('account', 'list')).stdout, /GLOBAL LIST\n.*Never mail$/m);
  });

  it('makes opt-out check tell which list suppresses', async () => {
    assert.match(
      await check(bob),
      /^bob@example\.com is suppressed on Acme News, on the global list Never mail\.$/m,
    );
    assert.match(await check(bob), /On the global list Never mail:\n\n {2}Opted out of +everything/);
    assert.match(await check(ann), /is suppressed on Acme News, and on the global list Never mail\.$/m);
    assert.match(await check('joe@example.com'), /is not suppressed on Acme News\.$/m);
    assert.match(await check('eve@example.com'), /is not suppressed on Acme News\.$/m);
    assert.match(
      await check('eve@example.com', '--tag', 'events'),
      /is suppressed on events of Acme News, on the global/,
    );
    const found = (await done('opt-out', 'check', 'Acme News', bob, '--json')).json<{
      opt_outs: unknown[];
      global_opt_outs: { kind: string }[];
      [name: string]: unknown;
    }>();
    assert.deepEqual(
      [found.suppressed, found.suppressed_by, found.global_list, found.opt_outs],
      [true, [never.publicId], never.publicId, []],
    );
    assert.equal(found.global_opt_outs[0]?.kind, 'md5');
    const itself = (await done('opt-out', 'check', 'Never mail', ann, '--json')).json<typeof found>();
    assert.deepEqual([itself.suppressed_by, itself.global_list], [[never.publicId], null]);
  });

  it('makes opt-out check count it for each line', async () => {
    const lines = `${ann}\n${bob}\njoe@example.com\n`;
    const plain = await run(['opt-out', 'check', 'Acme News', '-'], lines);
    assert.equal(plain.stdout, `${ann}\tsuppressed\n${bob}\tsuppressed\njoe@example.com\tnot suppressed\n`);
    const json = await run(['opt-out', 'check', 'Acme Offers', '-', '--json'], lines);
    assert.deepEqual(
      json.stdout
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { on_global_list: boolean }).on_global_list),
      [true, true, false],
    );
  });

  it('is told by opt-out remove, which removes from the named list alone', async () => {
    const removed = await done('opt-out', 'remove', 'Acme News', ann);
    assert.match(
      removed.stdout,
      /1 opt-out removed from Acme News\.\nIt is still suppressed, by the global list \S+, Never mail\.$/m,
    );
    const tag = await run(['opt-out', 'remove', 'Acme News', ann, '--tag', 'events']);
    assert.equal(tag.code, 1);
    assert.match(tag.stderr, /does not know this tag/);
  });

  it('does not let the list be archived', async () => {
    const ran = await run(['list', 'edit', 'Never mail', '--archive', '--name', 'Other']);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /is the global list of its account.*signoff list global \S+ --off/s);
    assert.match((await done('list', 'show', never.publicId)).stdout, /^Name +Never mail$/m);
  });

  it('ends with --off, of the list that it is and of no other', async () => {
    assert.match(
      (await done('list', 'global', 'Acme News', '--off', '--confirm')).stdout,
      /Acme News, is not the global list of account 1, Acme\. Nothing has changed\.$/m,
    );
    const asked = await run(['list', 'global', 'Acme News']);
    assert.match(
      asked.stderr,
      /Never mail, would be the global list no more\. Whom it alone suppresses could be/,
    );
    const off = await run(['list', 'global', 'Never mail', '--off']);
    assert.match(off.stderr, /could be mailed again by the other lists\./);
    const ended = (await done('list', 'global', 'Never mail', '--off', '--confirm', '--json')).json();
    assert.deepEqual(ended, {
      ...{ account_id: 1, global_list: null, before: never.publicId, changed: true },
      ...{ entries: 3, other_lists: 2 },
    });
    assert.match(await check(bob), /is not suppressed on Acme News\.$/m);
    assert.deepEqual((await done('audit', '--json')).json<{ breaches: unknown[] }>().breaches, []);
  });

  it('is of the account of its list', async () => {
    const other = await createAccount(database.db, 'Other');
    await createList(database.db, other.id, { name: 'Theirs' }, { actor: 'test' });
    const { stdout } = await done('list', 'global', 'Theirs', '--confirm');
    assert.match(
      stdout,
      /is the global list of account 2, Other: its 0 entries are suppressed on 0 other lists/,
    );
  });
});
