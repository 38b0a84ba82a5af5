import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { md5Of } from '../../src/core/address.js';
import { findKeyHolder } from '../../src/core/access-keys.js';
import { findList } from '../../src/core/lists.js';
import { connect, type Db } from '../../src/db/connect.js';
import { sqlitePath } from '../../src/db/sqlite.js';
import { engine, freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';
import { emptyFolder, environmentOf, signoff, signoffAlone, type Ran } from './signoff.js';

interface ListJson {
  id: string;
  name: string;
  internal_name: string;
  ip_whitelist: string[];
  tags: string[];
  thank_you: Record<string, string>;
  archived_at: string | null;
  mailer_ids: number[];
  [setting: string]: unknown;
}

describe('The command signoff, from an empty database to an audit', function () {
  this.timeout(120_000);
  let database: FreshDatabase;
  let db: Db;
  let listId: string;
  let accessKey: string;
  before(async () => {
    database = await freshDatabaseUrl();
    db = connect(database.url, { timeoutMs: 10_000, poolSize: 2 });
  });
  after(async () => {
    await db.destroy();
    await database.drop();
  });

  /** On one of the engines as people run it: each in a process of its own. */
  const run = (...args: string[]) =>
    (engine === 'sqlite' ? signoffAlone : signoff)(environmentOf(database.url), args);
  const done = async (...args: string[]): Promise<Ran> => {
    const ran = await run(...args);
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(ran.stderr, '');
    return ran;
  };

  it('says what to run where there are no tables yet, and makes none', async () => {
    const ran = await run('list', 'list');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /^This database has no tables yet: run signoff migrate first\.$/m);
    if (database.url.startsWith('sqlite:')) assert.equal(existsSync(sqlitePath(database.url)), false);
  });

  it('makes the tables, once', async () => {
    assert.match((await done('migrate')).stdout, /0001-the-core/);
    assert.deepEqual((await done('migrate', '--json')).json(), { migrations: [] });
  });

  it('adds an account', async () => {
    assert.match(
      (await done('account', 'create', '--name', 'Acme')).stdout,
      /^Account 1, Acme, is ready\.$/m,
    );
    const [account] = (await done('account', 'list', '--json')).json<Record<string, unknown>[]>();
    assert.deepEqual(Object.keys(account ?? {}), ['id', 'name', 'created_at', 'global_list']);
    assert.match(String(account?.created_at), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  it('adds a list to the only account, and says how its whitelist was understood', async () => {
    const created = await done(
      ...['list', 'create', '--name', 'Acme News', '--ip-whitelist', '203.0.113.7, 198.51.100.0/24'],
      ...['--tag', 'sale', '--tag', 'events', '--postal-address', '1 Example Street\\nExample Town'],
    );
    assert.match(created.stdout, /203\.0\.113\.7: 1 address\n {2}198\.51\.100\.0\/24: 256 addresses/);
    const [list] = (await done('list', 'list', '--json')).json<ListJson[]>();
    listId = list?.id ?? '';
    assert.match(listId, /^[a-z2-9]{20}$/);
    assert.deepEqual(list?.tags, ['events', 'sale']);
    assert.equal(list?.postal_address, '1 Example Street\nExample Town');
    assert.match((await done('list', 'list')).stdout, new RegExp(`^${listId}  Acme News`, 'm'));
  });

  it('changes settings, all of those that are given', async () => {
    const file = path.join(emptyFolder(), 'thanks.md');
    writeFileSync(file, '# Goodbye\n');
    const edited = await done(
      ...['list', 'edit', 'Acme News', '--internal-name', 'news', '--pixel', 'off', '--state', 'closed'],
      ...[
        '--direct-link',
        'instant',
        '--thank-you',
        `en=@${file}`,
        '--redirect',
        'https://acme.example/{list}',
      ],
      ...[
        '--ip-whitelist',
        '10.0.0.0/8',
        '--confirm-wide',
        '--confirm-private',
        '--contact',
        'a@acme.example',
      ],
      ...[
        '--downloads-from-any-address',
        'yes',
        '--operator-name',
        'Acme Ltd',
        '--language',
        'ja',
        '--archive',
      ],
      ...['--privacy-url', 'https://acme.example/privacy', '--tag', 'other', '--json'],
    );
    const { archived_at, ...list } = edited.json<ListJson>();
    assert.match(String(archived_at), /Z$/);
    assert.deepEqual(
      { ...list, created_at: '' },
      {
        ...{ id: listId, account_id: 1, internal_name: 'news', name: 'Acme News', state: 'closed' },
        ...{
          direct_link: 'instant',
          pixel: false,
          signed_links_only: false,
          cap: null,
          thank_you: { en: '# Goodbye\n' },
        },
        ...{ redirect: 'https://acme.example/{list}', ip_whitelist: ['10.0.0.0/8'] },
        ...{ downloads_from_any_address: true, operator_name: 'Acme Ltd' },
        ...{ postal_address: '1 Example Street\nExample Town', contact: 'a@acme.example' },
        ...{ privacy_url: 'https://acme.example/privacy', language: 'ja' },
        ...{ tags: ['events', 'other', 'sale'], mailer_ids: [], created_at: '' },
      },
    );
    const back = await done(
      ...['list', 'edit', 'news', '--thank-you', 'en=', '--redirect', '', '--state', 'open', '--unarchive'],
      ...['--ip-whitelist', '', '--json'],
    );
    const { archived_at: archivedAt, thank_you, redirect, ip_whitelist } = back.json<ListJson>();
    assert.deepEqual([archivedAt, thank_you, redirect, ip_whitelist], [null, {}, null, []]);
  });

  it('gives a mailer a list and a key that opens it', async () => {
    await done('mailer', 'create', '--name', 'Mail House', '--ip-whitelist', '192.0.2.1');
    await done('mailer', 'edit', 'Mail House', '--plain-allowed', 'yes', '--name', 'The Mail House');
    await done('mailer', 'grant', 'The Mail House', 'news');
    const rotated = (await done('mailer', 'rotate-key', '1', '--json')).json<Record<string, string>>();
    assert.deepEqual(Object.keys(rotated), ['mailer_id', 'access_key', 'older_keys_until']);
    accessKey = rotated.access_key ?? '';
    const list = await findList(db, listId);
    assert.ok(list);
    assert.equal((await findKeyHolder(db, list, accessKey))?.mailer.name, 'The Mail House');

    const shown = (await done('mailer', 'list', '--json')).json<Record<string, unknown>[]>();
    assert.deepEqual(shown[0]?.lists, [listId]);
    assert.equal((shown[0].keys as { ending: string }[])[0]?.ending, accessKey.slice(-4));
    assert.equal(JSON.stringify(shown).includes(accessKey), false);
  });

  it('rotates the key at once where there is no overlap, and ends all keys', async () => {
    const list = await findList(db, listId);
    assert.ok(list);
    const newKey = /^ {2}(so_\S+)$/m.exec(
      (await done('mailer', 'rotate-key', 'The Mail House', '--overlap', '0')).stdout,
    )?.[1];
    assert.equal(await findKeyHolder(db, list, accessKey), null);
    assert.notEqual(await findKeyHolder(db, list, newKey ?? ''), null);
    assert.deepEqual((await done('mailer', 'revoke-keys', '1', '--json')).json(), {
      mailer_id: 1,
      revoked: 1,
    });
    assert.equal(await findKeyHolder(db, list, newKey ?? ''), null);
    assert.match((await done('mailer', 'revoke', '1', listId)).stdout, /may no longer notify or download/);
    assert.match((await done('mailer', 'revoke', '1', listId)).stdout, /had no grant/);
  });

  it('prints links that are ready to paste', async () => {
    const { stdout } = await done('list', 'links', 'news', '--merge-tag', '*|EMAIL|*');
    const link = `https://out.example.com/l/${listId}`;
    for (const snippet of [
      `<a href="${link}">Unsubscribe</a>`,
      `<a href="${link}?email=*|EMAIL|*">Unsubscribe</a>`,
      `<img src="${link}/pixel.gif?email=*|EMAIL|*" width="1" height="1" alt="">`,
      `List-Unsubscribe: <${link}?email=*|EMAIL|*>`,
      'List-Unsubscribe-Post: List-Unsubscribe=One-Click',
      `curl --data-urlencode email=ann@example.com '${link}/notify'`,
      `${link}/download?key=YOUR_ACCESS_KEY`,
      `curl -H 'Authorization: Bearer YOUR_ACCESS_KEY' -F file=@FILE -o CLEAN_FILE '${link}/scrub?return=white'`,
    ]) {
      assert.ok(stdout.includes(snippet), snippet);
    }
    const links = (await done('list', 'links', 'news', '--json')).json<Record<string, string>>();
    assert.equal(links.direct_link, `${link}?email={{email}}`);
  });

  it('records, looks up and removes an opt-out', async () => {
    const check = async (...more: string[]) => {
      const ran = await done('opt-out', 'check', 'news', 'ann@example.com', '--json', ...more);
      return ran.json<{ suppressed: boolean; opt_outs: Record<string, unknown>[] }>();
    };
    assert.deepEqual((await check()).opt_outs, []);
    await done('opt-out', 'add', 'news', 'Ann@Example.com', '--tag', 'sale');
    assert.equal((await check()).suppressed, false);
    assert.equal((await check('--tag', 'sale')).suppressed, true);
    assert.deepEqual((await done('opt-out', 'add', 'news', 'ann@example.com', '--json')).json(), {
      ...{ list: listId, address: 'ann@example.com', tag: '*', recorded: 1, refused: 0 },
    });
    const both = await check();
    assert.equal(both.suppressed, true);
    assert.deepEqual(
      both.opt_outs.map(({ tag, source, kind, given }) => ({ tag, source, kind, given })),
      [
        { tag: '*', source: 'console', kind: 'address', given: 'ann@example.com' },
        { tag: 'sale', source: 'console', kind: 'address', given: 'Ann@Example.com' },
      ],
    );

    const some = await done('opt-out', 'remove', 'news', 'ann@example.com', '--tag', 'sale');
    assert.match(some.stdout, /still suppressed, by its opt-out from everything/);
    assert.deepEqual((await done('opt-out', 'remove', 'news', 'ann@example.com', '--json')).json(), {
      ...{ list: listId, address: 'ann@example.com', removed: 1 },
      ...{ suppressed: false, suppressed_by: [] },
    });
    const removed = await check();
    assert.equal(removed.suppressed, false);
    assert.match(String(removed.opt_outs[0]?.removed_at), /Z$/);
    assert.match((await done('opt-out', 'remove', 'news', 'ann@example.com')).stdout, /nothing has changed/);
  });

  it('notes who did what, and never an address', async () => {
    const notes = await db<{ actor: string; action: string; subject: Buffer | null; details: string }>(
      'history',
    );
    assert.deepEqual([...new Set(notes.map((note) => note.actor))], ['cli']);
    const removals = notes.filter((note) => note.action === 'opt-out.removed');
    assert.equal(removals.length, 2);
    for (const { subject } of removals) assert.deepEqual(subject, md5Of('ann@example.com'));
    assert.equal(
      notes.some((note) => note.details.includes('@')),
      false,
    );
  });

  it('shows a list whole', async () => {
    const { stdout } = await done('list', 'show', 'news');
    assert.match(stdout, /Operator +Acme Ltd\n.*Postal address +1 Example Street\n +Example Town/s);
    assert.match(stdout, /more waits to be numbered/);
    const shown = (await done('list', 'show', listId, '--json')).json<ListJson>();
    assert.deepEqual(Object.keys(shown.counts as object).includes('addresses'), true);
    assert.deepEqual([shown.is_pending, shown.downloads, shown.global_list], [true, [], null]);
  });

  it('audits: 0 where all is well, 1 and what it is where something is wrong', async () => {
    assert.deepEqual((await done('audit', '--json')).json(), {
      ...{ ok: true, is_complete: true, lists: 1, opt_outs: 2, breaches: [] },
    });
    await db('lists').update({ default_language: 'xx' });
    const ran = await run('audit', '--json');
    assert.equal(ran.code, 1);
    const { ok, breaches } = ran.json<{ ok: boolean; breaches: Record<string, string>[] }>();
    assert.equal(ok, false);
    assert.deepEqual(breaches, [
      { code: 'settings', table: 'lists', description: 'list 1: defaultLanguage does not pass (unknown)' },
    ]);
    const said = await run('audit');
    assert.equal(said.code, 1);
    assert.match(said.stdout, /^settings {2}lists: list 1/);
    assert.match(said.stderr, /^1 breach in 2 opt-outs of 1 list\.\n$/);
    await db('lists').update({ default_language: 'en' });
  });
});
