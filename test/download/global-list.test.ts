import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Response } from 'supertest';
import { createAccount, getAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import type { List } from '../../src/core/lists.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf, plant, rowKinds, type PlantedRow } from '../support/core.js';
import { download, listOf, octetsOf, type Downloadable } from '../support/downloads.js';
import { problemIn } from '../support/records.js';
import { startTestService, until, untilNumbered, type TestService } from '../support/service.js';

const md5 = (text: string) => createHash('md5').update(text).digest('hex');
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const actor = 'test';
const [ann, bob, cat, dan, eve] = ['ann', 'bob', 'cat', 'dan', 'eve'].map(
  (name) => `${name}@example.com`,
) as [string, string, string, string, string];

describe('A download where the account has a global list', () => {
  let service: TestService;
  let ours: Downloadable;
  let global: Downloadable;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    await mark(null);
    ours = await listOf(service, [ann]);
    global = await listOf(service, [bob]);
    await mark(global.list);
  });

  async function mark(list: List | null): Promise<void> {
    const { db } = service.deps;
    await setGlobalList(db, await getAccount(db, service.accountId), list, { actor });
  }
  async function change(change: () => Promise<unknown>): Promise<void> {
    await change();
    for (const { list } of [ours, global]) await untilNumbered(service, list);
  }
  const optOut = ({ list }: Downloadable, email: string, tag = '*') =>
    change(() => service.deps.recorder.record([optOutOf(list.id, email, { tag })]));
  const remove = ({ list }: Downloadable, email: string) =>
    change(() => removeOptOuts(service.deps.db, list.id, email));
  const put = ({ list }: Downloadable, rows: readonly PlantedRow[]) =>
    change(() => plant(service.deps.db, list.id, rows));
  const get = (query: Record<string, string> = {}, of = ours) =>
    download(service, of, { format: 'plain', ...query });
  const linesOf = (answer: Response) => {
    assert.equal(answer.status, 200, answer.text);
    return answer.text.split('\n').filter(Boolean).sort();
  };
  const cursorOf = (answer: Response) => String(answer.get('Signoff-Cursor'));

  it('brings whom either suppresses, each address once, whole and since a date', async () => {
    await optOut(ours, bob);
    await optOut(global, cat);
    for (const query of [{}, { since: '1970-01-01' }]) {
      assert.deepEqual(linesOf(await get(query)), [ann, bob, cat]);
      assert.deepEqual(linesOf(await get({ ...query, format: 'md5' })), [ann, bob, cat].map(md5).sort());
    }
    assert.equal((await get({ as: 'csv' })).text.split('\r\n').length, 5);
    const { body } = await octetsOf(service, ours, { format: 'plain', gzip: 'yes' });
    assert.deepEqual([...body.subarray(0, 2)], [0x1f, 0x8b]);
  });

  it('tells of each what any list knows, and counts what the format cannot express on both', async () => {
    await put(ours, [rowKinds.md5Only(bob), rowKinds.md5Only(cat), rowKinds.erased(dan)]);
    await put(global, [rowKinds.erased(cat), rowKinds.sha256Only(eve)]);
    const expected = { md5: [ann, bob, cat, dan].map(md5), sha256: [ann, bob, cat, dan, eve].map(sha256) };
    for (const query of [{}, { since: '1970-01-01' }]) {
      assert.deepEqual(linesOf(await get(query)), [ann, bob], 'an MD5 here is an address there');
      for (const [format, lines] of Object.entries(expected)) {
        assert.deepEqual(linesOf(await get({ ...query, format })), lines.sort(), format);
      }
    }
    const uncounted = async (format: string) => (await get({ format })).get('Signoff-Entries-Not-Expressed');
    assert.deepEqual(
      [await uncounted('md5'), await uncounted('sha256'), await uncounted('plain')],
      ['1', '2', '5'],
    );
  });

  it('takes tags of the global list as if its rows stood on the list', async () => {
    const { db } = service.deps;
    await addTags(db, ours.list.id, ['sale']);
    await addTags(db, global.list.id, ['events']);
    await optOut(global, cat, 'sale');
    await optOut(global, dan, 'events');
    await optOut(ours, eve, 'sale');
    await until('the list knows its tags', async () => (await get({ tag: 'sale' })).status === 200);
    assert.deepEqual(linesOf(await get()), [ann, bob, cat, dan, eve]);
    assert.deepEqual(linesOf(await get({ tag: 'sale' })), [ann, bob, cat, eve]);
    assert.deepEqual(linesOf(await get({ tag: 'events' })), [ann, bob, dan]);
    assert.equal((await get({ tag: 'other' })).status, 400);
    assert.equal(
      (await get({ tag: 'sale' }, global)).status,
      400,
      'the list’s tags are not the global one’s',
    );
    await mark(null);
    assert.equal((await get({ tag: 'events' })).status, 400);
  });

  it('brings changes of both in their order, and removes nobody whom the other suppresses', async () => {
    await optOut(global, ann);
    let cursor = cursorOf(await get());
    const delta = async (format = 'plain') => {
      const answer = await get({ cursor, format });
      assert.equal(answer.status, 200, answer.text);
      return answer.text.split('\n').filter(Boolean);
    };
    await optOut(global, cat);
    await optOut(ours, dan);
    await optOut(global, eve);
    assert.deepEqual(await delta(), [`+${cat}`, `+${dan}`, `+${eve}`]);

    cursor = cursorOf(await get());
    await remove(ours, ann);
    assert.deepEqual(await delta(), [`+${ann}`]);
    await remove(global, ann);
    assert.deepEqual([...new Set(await delta())], [`-${ann}`]);
    assert.deepEqual([...new Set(await delta('sha256'))], [`-${sha256(ann)}`]);
  });

  it('removes nobody whom the other knows by a hash alone, whichever hash it is', async () => {
    await put(ours, [rowKinds.plain(cat), rowKinds.plain(dan), rowKinds.sha256Only(bob)]);
    await put(global, [rowKinds.sha256Only(cat), rowKinds.md5Only(dan)]);
    let cursor = cursorOf(await get());
    const removed = async (format: string) =>
      linesOf(await get({ cursor, format })).filter((line) => line.startsWith('-'));
    for (const who of [bob, cat, dan]) await remove(ours, who);
    for (const format of ['plain', 'md5', 'sha256']) assert.deepEqual(await removed(format), [], format);
    cursor = cursorOf(await get());
    for (const who of [bob, cat, dan]) await remove(global, who);
    assert.deepEqual(await removed('sha256'), [bob, cat, dan].map((who) => `-${sha256(who)}`).sort());
    assert.deepEqual(await removed('md5'), [bob, dan].map((who) => `-${md5(who)}`).sort());
    assert.deepEqual(await removed('plain'), [`-${bob}`, `-${dan}`]);
  });

  it('is whole over many slices of both lists, that never end at the same address', async function () {
    this.timeout(60_000);
    const emails = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => `p${from + i}@example.com`);
    const start = cursorOf(await get());
    await put(ours, emails(0, 2600).map(rowKinds.plain));
    await put(global, emails(1300, 3700).map(rowKinds.plain));
    const everyone = [ann, bob, ...emails(0, 3700)].sort();
    assert.deepEqual(linesOf(await get()), everyone);
    assert.deepEqual(linesOf(await get({ since: '1970-01-01' })), everyone);
    const added = linesOf(await get({ cursor: start }));
    assert.deepEqual([added.length, new Set(added).size], [5000, 3700]);
    await change(() =>
      service.deps
        .db('opt_outs')
        .where({ list_id: ours.list.id })
        .update({ removed_at: 5000, feed_number: null }),
    );
    const whole = await get();
    assert.deepEqual(linesOf(whole), [bob, ...emails(1300, 3700)].sort());
    const gone = linesOf(await get({ cursor: start })).filter((line) => line.startsWith('-'));
    assert.deepEqual(gone, [ann, ...emails(0, 1300)].map((who) => `-${who}`).sort());
  });

  it('answers 410 to every cursor from before the list was marked or unmarked', async () => {
    for (const list of [null, ours.list, global.list]) {
      const before = cursorOf(await get());
      const other = cursorOf(await get({}, global));
      await mark(list);
      for (const [cursor, of] of [
        [before, ours],
        [other, global],
      ] as const) {
        const answer = await get({ cursor }, of);
        assert.equal(answer.status, 410);
        assert.equal(problemIn(answer).code, 'cursor-gone');
      }
      const after = cursorOf(await get());
      assert.notEqual(after, before);
      assert.deepEqual(linesOf(await get({ cursor: after })), []);
    }
  });

  it('counts from the moment of the mark on, whatever the service remembers of the list', async () => {
    await mark(null);
    assert.deepEqual(linesOf(await get()), [ann]);
    await mark(global.list);
    assert.deepEqual(linesOf(await get()), [ann, bob]);
    await mark(null);
    assert.deepEqual(linesOf(await get()), [ann]);
  });

  it('is 304 until either list changes, or another one is marked', async () => {
    const ask = (etag: string) => get().set('If-None-Match', etag);
    let etag = String((await get()).get('ETag'));
    const changes: [what: string, change: () => Promise<unknown>][] = [
      ['an opt-out on the global list', () => optOut(global, cat)],
      ['one on the list', () => optOut(ours, cat)],
      ['a removal that changes nothing', () => remove(global, cat)],
      ['unmarked', () => mark(null)],
      ['marked again', () => mark(global.list)],
    ];
    for (const [what, carryOut] of changes) {
      assert.equal((await ask(etag)).status, 304, `before: ${what}`);
      await carryOut();
      const answer = await ask(etag);
      assert.equal(answer.status, 200, what);
      etag = String(answer.get('ETag'));
    }
  });

  it('is sent anew while rows of the global list wait for their numbers', async () => {
    const etag = String((await get()).get('ETag'));
    assert.equal((await get().set('If-None-Match', etag)).status, 304);
    await service.keeper.stop();
    try {
      await plant(service.deps.db, global.list.id, [rowKinds.plain(cat)]);
      assert.equal((await get().set('If-None-Match', etag)).status, 200);
    } finally {
      await service.close();
      service = await startTestService();
    }
  });

  it('is of the global list itself, that alone, and needs no grant of the global list elsewhere', async () => {
    assert.deepEqual(linesOf(await get({}, global)), [bob]);
    const answer = await download(service, { list: global.list, key: ours.key });
    assert.equal(answer.status, 403, 'the key of the list opens the global one to nobody');
    assert.deepEqual(linesOf(await get()), [ann, bob]);
  });

  it('changes nothing for another account', async () => {
    const { db } = service.deps;
    const theirs = await createAccount(db, 'Other');
    const stranger = await listOf({ ...service, accountId: theirs.id }, [dan]);
    assert.equal(stranger.list.accountId, theirs.id);
    const first = await get({}, stranger);
    assert.deepEqual(linesOf(first), [dan]);
    await mark(null);
    assert.equal((await get({ cursor: cursorOf(first) }, stranger)).status, 200);
    assert.equal((await get({}, stranger).set('If-None-Match', String(first.get('ETag')))).status, 304);
  });
});
