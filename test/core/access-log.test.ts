import assert from 'node:assert/strict';
import { readAccessLog, type Access, type AccessPlace, type AccessScope } from '../../src/core/access-log.js';
import { noteChanges, type Change } from '../../src/core/history.js';
import { readHistory, type HistoryEntry } from '../../src/core/history-read.js';
import type { TimePlace } from '../../src/core/walks-by-time.js';
import type { Db } from '../../src/db/connect.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';
import { plansOf } from '../support/plans.js';

const account = 1;
const [news, digest] = [11, 12];
const [house, other] = [21, 22];

/** In statements that SQLite takes. */
async function noteAll(db: Db, changes: readonly Change[]): Promise<void> {
  for (let i = 0; i < changes.length; i += 200) await noteChanges(db, changes.slice(i, i + 200));
}

describe('The access log', () => {
  let test: TestDatabase;
  let db: Db;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
    // Many at the same milliseconds, of both kinds.
    await db('downloads').insert(
      Array.from({ length: 60 }, (_, n) => ({
        ...{ list_id: n % 3 === 0 ? digest : news, mailer_id: n % 2 === 0 ? house : other },
        ...{
          access_key_id: 1,
          at: 1000 + Math.floor(n / 4),
          ip: '',
          extent: 'all',
          format: 'md5',
          status: 200,
        },
      })),
    );
    await noteAll(
      db,
      Array.from({ length: 60 }, (_, n) => ({
        ...{ accountId: account, listId: n % 5 === 0 ? digest : news, actor: 'credential 1' },
        ...{ action: n % 4 === 0 ? 'list.downloaded' : 'list.edited', at: 1000 + Math.floor(n / 6) },
      })),
    );
  });
  after(() => test.close());

  async function allPages(scope: AccessScope, limit: number, mostRows?: number): Promise<Access[]> {
    const all: Access[] = [];
    for (let before: AccessPlace | null = null, pages = 0; ; pages++) {
      assert.ok(pages < 500, 'the pages come to an end');
      const options = { before, limit, ...(mostRows === undefined ? {} : { mostRows }) };
      const page = await readAccessLog(db, scope, options);
      assert.ok(page.entries.length <= limit);
      all.push(...page.entries);
      if (page.next === null) return all;
      before = page.next;
    }
  }

  const nameOf = (one: Access) => `${one.at} ${one.kind} ${one.id}`;

  for (const limit of [1, 3, 7, 200]) {
    it(`has each download of a list once, newest first, by mailers and by others: ${limit} a page`, async () => {
      const all = await allPages({ accountId: account, listId: news }, limit);
      const expected = [
        ...(await db('downloads').where({ list_id: news })).map(({ id }: { id: number }) => `mailer ${id}`),
        ...(await db('history').where({ list_id: news, action: 'list.downloaded' })).map(
          ({ id }: { id: number }) => `noted ${id}`,
        ),
      ];
      assert.deepEqual(all.map(({ kind, id }) => `${kind} ${id}`).sort(), expected.sort());
      assert.deepEqual(
        all.map(({ at }) => at),
        all.map(({ at }) => at).sort((one, two) => two - one),
      );
      assert.equal(new Set(all.map(nameOf)).size, all.length);
    });
  }

  it('gives a page up where too much lies between, and goes on there without leaving anything out', async () => {
    await noteAll(
      db,
      Array.from({ length: 1200 }, () => ({
        ...{ accountId: 2, listId: 31, actor: 'keeper', action: 'opt-out.evicted', at: 5000 },
      })),
    );
    await noteChanges(db, [
      { accountId: 2, listId: 31, actor: 'credential 2', action: 'list.downloaded', at: 4000 },
    ]);
    await db('downloads').insert({
      ...{ list_id: 31, mailer_id: house, access_key_id: 1, at: 4500, ip: '' },
      ...{ extent: 'all', format: 'md5', status: 200 },
    });
    const first = await readAccessLog(db, { accountId: 2, listId: 31 }, { limit: 50, mostRows: 500 });
    assert.deepEqual([first.entries, first.isCut], [[], true]);
    const found = await allPages({ accountId: 2, listId: 31 }, 50, 500);
    assert.deepEqual(
      found.map(({ kind }) => kind),
      ['mailer', 'noted'],
    );
  });

  it("is a mailer's own, of one list or of all", async () => {
    const own = await allPages({ accountId: account, mailerId: house }, 7);
    assert.equal(own.length, 31);
    assert.ok(own.every((one) => one.kind === 'mailer' && one.mailerId === house));
    const ofNews = await allPages({ accountId: account, mailerId: house, listId: news }, 7);
    assert.deepEqual(ofNews.map(nameOf), own.filter(({ listId }) => listId === news).map(nameOf));
    const noted = await allPages({ accountId: account, listId: news, isNotedOnly: true }, 7);
    assert.ok(noted.length > 0 && noted.every(({ kind }) => kind === 'noted'));
  });

  it('is read by its indexes alone', async () => {
    const before = { at: 1005, id: 20, kind: 'mailer' as const };
    const plans = await plansOf(db, async () => {
      await readAccessLog(db, { accountId: account, listId: news }, { before, limit: 5 });
      await readAccessLog(db, { accountId: account, mailerId: house }, { before, limit: 5 });
    });
    const used = plans.filter(({ table }) => ['downloads', 'history'].includes(table));
    // Named in the statements: left alone, MariaDB reads all that is newer anew with each slice.
    for (const { index, sql } of used.filter((plan) => plan.index !== 'PRIMARY')) {
      assert.ok(sql.includes(index), sql);
    }
    assert.deepEqual([...new Set(used.map(({ index }) => index))].sort(), [
      ...['PRIMARY', 'downloads_list', 'downloads_mailer', 'history_account'],
    ]);
    assert.deepEqual(
      plans.filter(({ isScan, isSorted }) => isScan || isSorted),
      [],
    );
  });
});

describe('The history, page by page', () => {
  let test: TestDatabase;
  before(async () => {
    test = await migratedDatabase();
    await noteAll(
      test.db,
      Array.from({ length: 1500 }, (_, n) => ({
        ...{ accountId: 7, listId: n % 2 === 0 ? 5 : null, actor: n % 3 === 0 ? 'cli' : 'keeper' },
        ...{ action: n % 100 === 0 ? 'list.edited' : 'opt-out.evicted', details: { n }, at: 1000 + (n >> 3) },
      })),
    );
    await noteChanges(test.db, [{ accountId: 8, actor: 'cli', action: 'list.edited' }]);
  });
  after(() => test.close());

  async function all(filter: Parameters<typeof readHistory>[2], limit: number, mostRows?: number) {
    const entries: HistoryEntry[] = [];
    for (let before: TimePlace | null = null, pages = 0; ; pages++) {
      assert.ok(pages < 2000, 'the pages come to an end');
      const options = { before, limit, ...(mostRows === undefined ? {} : { mostRows }) };
      const page = await readHistory(test.db, 7, filter, options);
      entries.push(...page.entries);
      if (page.next === null) return entries;
      before = page.next;
    }
  }

  it('has every entry of the account once, newest first, though many are of one moment', async () => {
    const entries = await all({}, 50);
    assert.deepEqual(
      entries.map(({ details }) => details.n),
      Array.from({ length: 1500 }, (_, n) => 1499 - n),
    );
  });

  it('is searched by list, by actor and by action, in stretches', async () => {
    const wanted = Array.from({ length: 1500 }, (_, n) => 1499 - n);
    const ns = (entries: readonly HistoryEntry[]) => entries.map(({ details }) => details.n);
    assert.deepEqual(
      ns(await all({ listId: 5 }, 37)),
      wanted.filter((n) => n % 2 === 0),
    );
    assert.deepEqual(
      ns(await all({ isActor: (actor) => actor === 'cli' }, 37)),
      wanted.filter((n) => n % 3 === 0),
    );
    const edited = new Set(['list.edited']);
    for (const mostRows of [500, 1000, undefined]) {
      assert.deepEqual(
        ns(await all({ actions: edited, listId: 5 }, 3, mostRows)),
        wanted.filter((n) => n % 100 === 0),
      );
    }
    const first = await readHistory(test.db, 7, { actions: new Set(['none']) }, { limit: 5, mostRows: 500 });
    assert.deepEqual([first.entries, first.isCut], [[], true]);
  });
});
