import assert from 'node:assert/strict';
import request from 'supertest';
import { getCounts } from '../../src/core/feed.js';
import { editList } from '../../src/core/lists.js';
import { optOutOf } from '../support/core.js';
import { download } from '../support/downloads.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';
import { environmentOf, signoff } from '../cli/signoff.js';

describe('The keeper, with a list that has a cap', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('lets the oldest leave, and the mailer’s delta says so', async function () {
    this.timeout(30_000);
    const list = await makeList(service, { cap: 1000 });
    const { key } = await makeMailer(service, list);
    const { recorder, db } = service.deps;
    const record = async (from: number, to: number) => {
      const emails = Array.from({ length: to - from }, (_, i) => `p${from + i}@example.com`);
      await recorder.record(emails.map((email) => optOutOf(list.id, email)));
      await untilNumbered(service, list);
    };
    await record(0, 900);
    const first = await download(service, { list, key }, { format: 'plain' });
    const lines = (answer: { text: string }) => answer.text.split('\n').filter(Boolean);
    assert.equal(lines(first).length, 900);
    await record(900, 1500);
    await until('it is back to its cap', async () => (await getCounts(db, list.id)).addresses === 1000);
    await untilNumbered(service, list);
    const cursor = first.get('Signoff-Cursor') ?? '';
    const delta = lines(await download(service, { list, key }, { format: 'plain', cursor }));
    const held = new Set(lines(first));
    for (const line of delta) {
      if (line.startsWith('-')) held.delete(line.slice(1));
      else held.add(line.slice(1));
    }
    const now = lines(await download(service, { list, key }, { format: 'plain' }));
    assert.equal(now.length, 1000);
    assert.deepEqual([...held].sort(), [...now].sort());
    assert.equal(delta.filter((line) => line.startsWith('-')).length, 500);

    // Whoever left can leave again.
    const [gone = ''] = delta.filter((line) => line.startsWith('-'));
    const email = gone.slice(1);
    await request(service.url).post(`/l/${list.publicId}/opt-out`).type('form').send({ email }).expect(200);
    await untilNumbered(service, list);
    assert.ok(lines(await download(service, { list, key }, { format: 'plain' })).includes(email));
  });

  it('takes nobody off a list whose owner has set none', async () => {
    const [capped, free] = [await makeList(service, { cap: 1000 }), await makeList(service)];
    const { recorder, db } = service.deps;
    for (const { id } of [capped, free]) {
      for (const from of [0, 600]) {
        const emails = Array.from({ length: 600 }, (_, i) => `p${from + i}@example.com`);
        await recorder.record(emails.map((email) => optOutOf(id, email)));
      }
    }
    await until(
      'the one is back to its cap',
      async () => (await getCounts(db, capped.id)).addresses === 1000,
    );
    await untilNumbered(service, free);
    assert.equal((await getCounts(db, free.id)).addresses, 1200);
    await editList(db, free, { cap: 1100 }, { actor: 'test' });
    await until('so is the other', async () => (await getCounts(db, free.id)).addresses === 1100);
  });
});

describe('signoff list, with a cap', () => {
  it('warns where one is set, says who leaves now, and shows it', async function () {
    this.timeout(60_000);
    const service = await startTestService();
    try {
      const list = await makeList(service);
      // Nobody may leave while this looks.
      await service.keeper.stop();
      const { deps } = service;
      await deps.db('list_counts').insert({ list_id: list.id, addresses: 2000, md5_only: 300, erased: 50 });
      const run = (...args: string[]) => signoff(environmentOf(service.databaseUrl), ['list', ...args]);
      const edited = await run('edit', list.publicId, '--cap', '1000', '--json');
      assert.equal(edited.code, 0, edited.stderr);
      assert.match(
        edited.stderr,
        /can be mailed again although they opted out.*\n?.*1,300 entries leave by this one now/,
      );
      assert.equal(edited.json<{ cap: number }>().cap, 1000);
      assert.match((await run('show', list.publicId)).stdout, /^Cap +1,000 entries, one a tag$/m);
      const roomy = await run('edit', list.publicId, '--cap', '5000');
      assert.match(roomy.stderr, /can be mailed again .*Nobody leaves by this one now/);
      const off = await run('edit', list.publicId, '--cap', 'off');
      assert.deepEqual([off.code, off.stderr], [0, '']);
      assert.match((await run('show', list.publicId)).stdout, /^Cap +off$/m);
      for (const [cap, code] of [
        ['999', 1],
        ['1000000000', 1],
        ['many', 2],
        ['-5', 2],
      ] as const) {
        const refused = await run('edit', list.publicId, `--cap=${cap}`);
        assert.equal(refused.code, code, refused.stderr);
        assert.match(refused.stderr, /cap/i);
      }
      const created = await run('create', '--name', 'Acme Offers', '--cap', '1000');
      assert.match(created.stderr, /can be mailed again/);
    } finally {
      await service.close();
    }
  });
});
