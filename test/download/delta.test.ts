import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Response } from 'supertest';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { download, listOf, type Downloadable } from '../support/downloads.js';
import { problemIn } from '../support/records.js';
import { startTestService, untilNumbered, type TestService } from '../support/service.js';

const md5 = (text: string) => createHash('md5').update(text).digest('hex');

describe('A delta', () => {
  let service: TestService;
  let ours: Downloadable;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    ours = await listOf(service, ['ann@example.com']);
  });

  const get = (query: Record<string, string> = {}) => download(service, ours, { format: 'plain', ...query });
  const cursorOf = (answer: Response) => String(answer.get('Signoff-Cursor'));
  const linesOf = (answer: Response) => {
    assert.equal(answer.status, 200, answer.text);
    return answer.text.split('\n').filter(Boolean).sort();
  };
  async function optOut(email: string, more = {}): Promise<void> {
    await service.deps.recorder.record([optOutOf(ours.list.id, email, more)]);
    await untilNumbered(service, ours.list);
  }
  async function remove(email: string, tag?: string): Promise<void> {
    await removeOptOuts(service.deps.db, ours.list.id, email, tag === undefined ? {} : { tag });
    await untilNumbered(service, ours.list);
  }

  it('begins where the last download ended, and brings what was added and removed since', async () => {
    const whole = await get();
    assert.deepEqual(linesOf(whole), ['ann@example.com']);
    await optOut('bob@example.com');
    const first = await get({ cursor: cursorOf(whole) });
    assert.deepEqual(linesOf(first), ['+bob@example.com']);
    assert.equal((await get({ cursor: cursorOf(first) })).text, '', 'nothing has changed since');

    await remove('ann@example.com');
    await optOut('cat@example.com');
    const second = await get({ cursor: cursorOf(first) });
    assert.deepEqual(linesOf(second), ['+cat@example.com', '-ann@example.com']);
    assert.deepEqual(linesOf(await get({ cursor: cursorOf(whole) })), [
      '+bob@example.com',
      '+cat@example.com',
      '-ann@example.com',
    ]);
  });

  it('says what holds now, however often it changed meanwhile', async () => {
    const cursor = cursorOf(await get());
    await optOut('bob@example.com');
    await remove('bob@example.com');
    await optOut('bob@example.com');
    await remove('ann@example.com');
    assert.deepEqual(linesOf(await get({ cursor })), ['+bob@example.com', '-ann@example.com']);
  });

  it('never gives an address as removed that another tag still suppresses', async () => {
    await addTags(service.deps.db, ours.list.id, ['offers']);
    await optOut('ann@example.com', { tag: 'offers' });
    const cursor = cursorOf(await get());
    await remove('ann@example.com', 'offers');
    assert.deepEqual(
      linesOf(await get({ cursor })).filter((line) => line.startsWith('-')),
      [],
    );
    await remove('ann@example.com');
    assert.ok(linesOf(await get({ cursor })).includes('-ann@example.com'));
  });

  it('brings an opt-out whose time has run out as removed', async () => {
    const { db } = service.deps;
    const expires_at = Date.now() + 3_600_000;
    await plant(db, ours.list.id, [{ ...rowKinds.plain('bob@example.com'), expires_at }]);
    await untilNumbered(service, ours.list);
    const cursor = cursorOf(await get());
    for (const table of ['opt_outs', 'expiries']) {
      await db(table).where({ list_id: ours.list.id, expires_at }).update({ expires_at: 2000 });
    }
    await untilNumbered(service, ours.list);
    assert.deepEqual(linesOf(await get({ cursor })), ['-bob@example.com']);
  });

  it('comes in every format, with what happened in front', async () => {
    const cursor = cursorOf(await get());
    await optOut('"bob,"@example.com');
    await remove('ann@example.com');
    const bob = '"bob,"@example.com';
    const ann = 'ann@example.com';
    assert.equal((await get({ cursor })).text, `+${bob}\n-${ann}\n`);
    assert.equal((await get({ cursor, format: 'md5' })).text, `+${md5(bob)}\n-${md5(ann)}\n`);
    assert.equal(
      (await get({ cursor, as: 'csv' })).text,
      `change,email\r\nadd,"""bob,""@example.com"\r\nremove,${ann}\r\n`,
    );
    assert.equal(
      (await get({ cursor, as: 'csv', format: 'md5' })).text,
      `change,md5\r\nadd,${md5(bob)}\r\nremove,${md5(ann)}\r\n`,
    );
  });

  it('adds up to the whole list, page after page of many changes', async () => {
    const emails = Array.from({ length: 2500 }, (_, i) => `ann${i}@example.com`);
    const start = cursorOf(await get());
    for (let i = 0; i < emails.length; i += 500) {
      const batch = emails.slice(i, i + 500).map((email) => optOutOf(ours.list.id, email));
      await service.deps.recorder.record(batch);
    }
    await untilNumbered(service, ours.list);
    assert.deepEqual(linesOf(await get({ cursor: start })), emails.map((email) => `+${email}`).sort());
  });

  it('is 410 for a cursor that can be served no more: the whole list is due then', async () => {
    const cursor = cursorOf(await get());
    const [epoch = '', number = ''] = cursor.split('.');
    for (const gone of [`another.${number}`, `${epoch}.${Number(number) + 1000}`]) {
      const answer = await get({ cursor: gone });
      assert.equal(answer.status, 410, gone);
      assert.equal(problemIn(answer).code, 'cursor-gone');
      assert.match(problemIn(answer).title, /whole list/);
    }
  });

  it('is 410 where the tombstones behind the cursor were purged', async () => {
    const cursor = cursorOf(await get());
    await optOut('bob@example.com');
    const later = cursorOf(await get());
    const feed = service.deps.db('feed').where({ id: 1 });
    await feed.clone().update({ purged_number: Number(later.split('.')[1]) });
    try {
      assert.equal((await get({ cursor })).status, 410);
      assert.equal((await get({ cursor: later })).status, 200);
    } finally {
      await feed.clone().update({ purged_number: 0 });
    }
  });

  it('is 400 for what was never a cursor', async () => {
    const junk = [
      '',
      '0',
      'x',
      '.1',
      'a.',
      'a.-1',
      'a.1e3',
      'a.1.2',
      `a.${'9'.repeat(20)}`,
      '<b>.1',
      'a.1\n',
      "' OR 1",
    ];
    for (const cursor of junk) {
      const answer = await get({ cursor });
      assert.equal(answer.status, 400, cursor);
      assert.deepEqual([problemIn(answer).field, problemIn(answer).code], ['cursor', 'malformed']);
    }
  });
});
