import assert from 'node:assert/strict';
import { createList, type List } from '../../src/core/lists.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, rowOf } from '../../src/core/opt-outs.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { migratedDatabase, numberAll, optOutOf, type TestDatabase } from '../support/core.js';
import { environmentOf, signoff } from './signoff.js';

describe('The commands signoff list clear and signoff removals', function () {
  this.timeout(120_000);
  let test: TestDatabase;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
    const emails = ['ann@example.com', 'bob@example.com', 'eve@example.com'];
    await writeOptOuts(test.db, emails.map((email) => rowOf(optOutOf(list.id, email))).sort(compareRows));
    await numberAll(test.db, [list.id], 0);
  });
  after(() => test.close());

  const run = (...args: string[]) => signoff(environmentOf(test.url), args);
  const done = async (...args: string[]) => {
    const ran = await run(...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  };

  it('say what would go, and remove nothing unless that is confirmed', async () => {
    const unsure = await run('list', 'clear', 'Acme News');
    assert.equal(unsure.code, 1);
    assert.match(unsure.stderr, /^List \S+, Acme News, holds 3 entries: .* add --confirm to do so\.$/m);
    assert.equal(await isSuppressed(test.db, list.id, 'ann@example.com'), true);
    assert.match((await done('removals', 'list')).stdout, /^There is no removal of many opt-outs\.$/m);
  });

  it('clear a list, show the removal, and take it back, once', async () => {
    const cleared = await done('list', 'clear', 'Acme News', '--confirm');
    assert.match(cleared.stdout, /^List \S+, Acme News, is empty: 3 opt-outs were removed\.\n.* restore 1$/m);
    assert.equal(await isSuppressed(test.db, list.id, 'ann@example.com'), false);
    const [removal] = (await done('removals', 'list', '--list', 'Acme News', '--json')).json<
      Record<string, unknown>[]
    >();
    const { at, until, finished_at: finishedAt, ...rest } = removal ?? {};
    assert.equal(Date.parse(String(until)) - Date.parse(String(at)), 30 * 24 * 3_600_000);
    assert.ok(Date.parse(String(finishedAt)) > 0);
    assert.deepEqual(rest, {
      ...{ id: 1, account_id: 1, list: list.publicId, kind: 'all', actor: 'cli', state: 'removed' },
      ...{ opt_outs: 3, restored: 0, restored_at: null, restored_by: null },
    });
    assert.match((await done('removals', 'list', '1')).stdout, /^1 +\S+ +all +\S+ +cli +removed +3 +0$/m);

    const restored = await done('removals', 'restore', '1');
    assert.match(restored.stdout, /^3 opt-outs suppress again on list \S+\.$/m);
    assert.equal(await isSuppressed(test.db, list.id, 'ann@example.com'), true);
    const again = await run('removals', 'restore', '1');
    assert.deepEqual([again.code, again.stderr], [1, 'Removal 1 has been taken back already.\n']);
    assert.match((await run('removals', 'restore', '9')).stderr, /^There is no removal 9 /);
    assert.equal((await run('removals', 'restore', 'x')).code, 2);
    assert.equal((await run('audit')).code, 0);
  });
});
