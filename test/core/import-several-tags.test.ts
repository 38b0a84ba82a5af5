import assert from 'node:assert/strict';
import { createList, getListById, type List } from '../../src/core/lists.js';
import { addTags } from '../../src/core/tags.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { imported, keptRefusals } from '../support/import-jobs.js';

/** Mailgun's files: `address`, `tags` or `tag`, `created_at`, written by all sorts of programs and people. */
describe('An import of a file whose cells name several tags', () => {
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
    await addTags(test.db, list.id, ['news', 'sale', 'Summer Sale']);
    list = await getListById(test.db, list.id);
  });

  const at = Date.UTC(2026, 2, 26, 12, 59, 22);
  /** The tags and the times of one row, `now` for a time that is none of the file's. */
  async function taken(header: string, row: string, more: { addsTags?: boolean } = {}) {
    const fresh = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
    await addTags(test.db, fresh.id, ['news', 'sale', 'Summer Sale']);
    const startedAt = Date.now();
    const job = await imported(test.db, await getListById(test.db, fresh.id), `${header}\n${row}\n`, {
      severalTags: true,
      ...more,
    });
    assert.deepEqual([job.state, job.refused], ['done', 0], row);
    const rows = await rowsOfList(test.db, fresh.id);
    assert.ok(
      rows.every(({ address }) => String(address) === 'ann@example.com'),
      row,
    );
    const times = rows.map(({ created_at }) => (created_at >= startedAt ? 'now' : created_at));
    return {
      tags: rows.map(({ tag }) => tag.toString()).sort(),
      time: [...new Set(times)],
      warnings: job.warnings,
    };
  }

  it('records each of them, whichever sign stands in between, and what the list knows as it stands', async () => {
    const cells: [cell: string, tags: string[]][] = [
      ['news', ['news']],
      ['"news,sale"', ['news', 'sale']],
      [' "news, sale"', ['news', 'sale']],
      ['news;sale', ['news', 'sale']],
      ['news sale', ['news', 'sale']],
      ['"news; sale,"', ['news', 'sale']],
      ['Summer Sale', ['Summer Sale']],
      ['"Summer Sale, news"', ['Summer Sale', 'news']],
      ['"news,news"', ['news']],
      ['*', ['*']],
      ['', ['*']],
      ['   ', ['*']],
      ['" , ;"', ['*']],
    ];
    for (const [cell, tags] of cells) {
      assert.deepEqual((await taken('address,tags', `ann@example.com,${cell}`)).tags, tags, cell);
    }
    assert.deepEqual((await taken('email,tag', 'ann@example.com,news;sale')).tags, ['news', 'sale']);
    assert.deepEqual((await taken('address', 'ann@example.com')).tags, ['*']);
  });

  it('takes those that the list does not know as all of its mail, or adds each', async () => {
    const { tags, warnings } = await taken('address,tags', 'ann@example.com,"news,a,b"');
    assert.deepEqual([tags, warnings], [['*', 'news'], { tag: 2 }]);
    assert.deepEqual((await taken('address,tags', 'ann@example.com,"news,a b"', { addsTags: true })).tags, [
      ...['a', 'b', 'news'],
    ]);
  });

  it('takes a cell that names more than anybody means as all of the mail', async () => {
    const many = Array.from({ length: 101 }, (_, i) => `t${i}`).join(' ');
    const { tags, warnings } = await taken('address,tags', `ann@example.com,${many}`, { addsTags: true });
    assert.deepEqual([tags, warnings], [['*'], { tag: 1 }]);
  });

  it('reads the times as they come, and the year 0001 as none', async () => {
    const cells: [cell: string, time: number | 'now'][] = [
      ['"Thu, 26 Mar 2026 12:59:22 UTC"', at],
      ['"Thu, 26 Mar 2026 12:59:22 GMT"', at],
      ['"Thu, 26 Mar 2026 12:59:22 +0000"', at],
      ['"Thu, 26 Mar 2026 12:59:22 +0000 (UTC)"', at],
      ['"Thu, 26 Mar 2026 14:59:22 +0200"', at],
      ['Thu, 26 Mar 2026 12:59:22 UTC', at],
      [' "Thu, 26 Mar 2026 12:59:22 UTC"', at],
      ['26 Mar 2026 12:59:22 UTC', at],
      ['2026-03-26T12:59:22Z', at],
      ['2026-03-26 12:59:22', at],
      ['"Mon, 01 Jan 0001 00:00:00 UTC"', 'now'],
      ['Mon, 01 Jan 0001 00:00:00 UTC', 'now'],
      ['0001-01-01T00:00:00Z', 'now'],
      ['', 'now'],
      [' ', 'now'],
    ];
    for (const [cell, time] of cells) {
      assert.deepEqual(
        await taken('address, tags, created_at', `ann@example.com, news, ${cell}`),
        { tags: ['news'], time: [time], warnings: {} },
        cell,
      );
    }
    assert.deepEqual(
      await taken('created_at,address,tags', 'Thu, 26 Mar 2026 12:59:22 UTC,ann@example.com,news'),
      {
        ...{ tags: ['news'], time: [at], warnings: {} },
      },
    );
    const { time, warnings } = await taken('address,created_at', 'ann@example.com,26/03/2026');
    assert.deepEqual([time, warnings], [['now'], { date: 1 }]);
  });

  it('counts rows, not tags, and a bad row loses none of the good ones', async () => {
    const text =
      'address, tags\nann@example.com, "news,sale"\nnobody, news\n"bob\n, sale\ncyd@example.com, news sale\n';
    const job = await imported(test.db, list, text, { severalTags: true });
    assert.deepEqual([job.taken, job.refused], [2, 3]);
    assert.deepEqual(
      (await keptRefusals(test.db, job)).map(({ line, problem }) => `${line} ${problem}`),
      ['3 no-at', '4 quotes', '5 missing'],
    );
    assert.equal((await rowsOfList(test.db, list.id)).length, 4);
  });

  it('is one that was asked for: elsewhere a column of that name is another program’s', async () => {
    const text = 'Email Address,TAGS\nann@example.com,"news,sale"\n';
    assert.deepEqual((await imported(test.db, list, text)).warnings, {});
    assert.deepEqual(
      (await rowsOfList(test.db, list.id)).map(({ tag }) => tag.toString()),
      ['*'],
    );
  });
});
