import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { audit } from '../../src/core/audit.js';
import { erasePerson } from '../../src/core/erasure.js';
import { countOldOptOuts } from '../../src/core/figures-backfill.js';
import { takeLease } from '../../src/core/leases.js';
import { expireOptOuts, numberChanges } from '../../src/core/numbering.js';
import { forgetFigures, optOutsByDay, slotMs, slotOf, sumsOfLists } from '../../src/core/opt-out-figures.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf, type OptOut } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import { migratedDatabase, newList, numberAll, optOutOf, type TestDatabase } from '../support/core.js';
import { plansOf } from '../support/plans.js';

const hour = 3_600_000;
const day = 24 * hour;
const at = (text: string) => Date.parse(text);

describe('The figures of a list', () => {
  let test: TestDatabase;
  let db: Db;
  let list: number;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
  });
  after(() => test.close('breaches are planted'));
  beforeEach(async () => {
    await test.clear();
    for (const table of ['passes', 'installation']) await db(table).delete();
    await takeLease(db, 'keeper', 'test', 1000);
    list = await newList(db);
  });

  const record = (...optOuts: OptOut[]) => writeOptOuts(db, optOuts.map(rowOf).sort(compareRows));
  const left = (email: string, time: string, more: Partial<OptOut> = {}) =>
    optOutOf(list, email, { recordedAt: at(time), ...more });
  const figures = async (listId = list) =>
    (
      await db<{ list_id: number; slot: number; source: string; opt_outs: number }>('opt_out_figures')
        .where({ list_id: listId })
        .orderBy(['slot', 'source'])
    ).map(
      ({ slot, source, opt_outs }) => `${new Date(slot).toISOString().slice(0, 16)} ${source} ${opt_outs}`,
    );
  const breaches = async () => {
    const found: string[] = [];
    for await (const { description } of audit(db)) found.push(description);
    return found;
  };
  const noon = '2026-03-05T12:00:00Z';

  it('count what is recorded, by half hour and source, once it is numbered', async () => {
    await record(
      left('ann@example.com', '2026-03-05T12:00:00Z', { source: 'page' }),
      left('ann@example.com', '2026-03-05T12:29:59.999Z', { source: 'page', tag: 'sale' }),
      left('bob@example.com', '2026-03-05T12:10:00Z', { source: 'one-click' }),
      left('cyd@example.com', '2026-03-05T12:30:00Z', { source: 'page' }),
      optOutOf(await newList(db), 'ann@example.com', { recordedAt: at(noon) }),
    );
    assert.deepEqual(await figures(), []);
    await numberAll(db, [list]);
    assert.deepEqual(await figures(), [
      '2026-03-05T12:00 one-click 1',
      '2026-03-05T12:00 page 2',
      '2026-03-05T12:30 page 1',
    ]);
    await record(left('dan@example.com', noon, { source: 'page' }));
    await numberAll(db, [list]);
    assert.equal((await figures())[1], '2026-03-05T12:00 page 3');
    assert.deepEqual(await breaches(), []);
  });

  it('count what people did: nothing twice that is repeated, prolonged, removed or brought back', async () => {
    await record(left('ann@example.com', noon, { expiresAt: at(noon) + day }), left('bob@example.com', noon));
    await numberAll(db, [list]);
    const once = ['2026-03-05T12:00 server 2'];
    assert.deepEqual(await figures(), once);
    await record(
      left('ann@example.com', '2026-03-05T14:00:00Z', { source: 'page', expiresAt: at(noon) + 2 * day }),
    );
    await removeOptOuts(db, list, 'bob@example.com', { at: at(noon) + hour });
    await numberAll(db, [list]);
    assert.deepEqual(await figures(), once);
    await db('opt_outs').whereNotNull('removed_at').update({ removed_at: null, feed_number: null });
    await numberAll(db, [list]);
    await expireOptOuts(db, at(noon) + 3 * day);
    await numberAll(db, [list]);
    assert.deepEqual(await figures(), once);
    assert.deepEqual(await breaches(), []);
  });

  it('count who leaves anew after a removal, removed in between or not numbered by then', async () => {
    await record(left('ann@example.com', noon), left('bob@example.com', noon));
    await numberAll(db, [list]);
    for (const who of ['ann@example.com', 'bob@example.com'])
      await removeOptOuts(db, list, who, { at: at(noon) + 1 });
    await record(left('ann@example.com', '2026-03-05T13:00:00Z', { source: 'page' }));
    await numberAll(db, [list]);
    await record(left('bob@example.com', '2026-03-05T13:00:00Z', { source: 'page' }));
    await numberAll(db, [list]);
    assert.deepEqual(await figures(), ['2026-03-05T12:00 server 2', '2026-03-05T13:00 page 2']);
    await record(left('cyd@example.com', noon));
    await removeOptOuts(db, list, 'cyd@example.com', { at: at(noon) + 1 });
    await numberAll(db, [list]);
    assert.deepEqual((await figures())[0], '2026-03-05T12:00 server 2', 'what was undone at once is none');
    assert.deepEqual(await breaches(), []);
  });

  it('do not count the other form of an erased person’s address', async () => {
    await record(left('ann@bücher.example', noon));
    await numberAll(db, [list]);
    for await (const _ of erasePerson(db, 1, 'ann@xn--bcher-kva.example', { actor: 'test', retryMs: 1000 }));
    await numberAll(db, [list]);
    assert.equal((await db('opt_outs').where({ list_id: list })).length, 2);
    assert.deepEqual(await figures(), ['2026-03-05T12:00 server 1']);
    assert.deepEqual(await breaches(), []);
  });

  it('are right when a row changes while it is being numbered, and when two keepers are at it', async () => {
    const others = [test.another(), test.another()];
    for (let n = 0; n < 15; n++) {
      await record(left('ann@example.com', noon, { recordedAt: at(noon) + n * slotMs }));
      // Each of the two may fail on what the other does; what is left is numbered afterwards.
      await Promise.allSettled([
        ...others.map((other) => numberChanges(other, 1)),
        removeOptOuts(db, list, 'ann@example.com', { at: at(noon) + n * slotMs + 1 }),
      ]);
      await numberAll(db, [list]);
      await removeOptOuts(db, list, 'ann@example.com', { at: at(noon) + n * slotMs + 1 });
      await numberAll(db, [list]);
    }
    const counted = (await figures()).map((line) => line.split(' ').at(-1));
    assert.ok(counted.length <= 15 && counted.every((count) => count === '1'), counted.join());
    assert.deepEqual(await breaches(), []);
  }).timeout(60_000);

  it('sum up today, 7 and 30 days of any number of lists, in days of a time zone', async () => {
    const now = at('2026-03-05T14:59:00Z');
    const times = [
      '2026-03-05T14:30',
      '2026-03-04T15:00',
      '2026-03-04T14:59',
      '2026-02-26T15:00',
      '2026-02-26T14:59',
    ];
    const old = ['2026-02-03T15:00', '2026-02-03T14:59'];
    await record(...[...times, ...old].map((time, n) => left(`p${n}@example.com`, `${time}:00Z`)));
    const quiet = await newList(db);
    await numberAll(db, [list]);
    const lists = [quiet, ...Array.from({ length: 60 }, (_, n) => 1000 + n), list];
    const tokyo = await sumsOfLists(db, lists, 'Asia/Tokyo', now);
    assert.equal(tokyo.size, 62);
    assert.deepEqual(tokyo.get(list), { today: 2, week: 4, month: 6 });
    assert.deepEqual(tokyo.get(quiet), { today: 0, week: 0, month: 0 });
    assert.deepEqual((await sumsOfLists(db, [list], 'UTC', now)).get(list), { today: 1, week: 3, month: 5 });
    // Nepal is at +05:45, so its day begins at 18:15 UTC: here 15 minutes early, with the half hour.
    const nepalese = ['2026-03-05T17:59:59Z', '2026-03-05T18:00:00Z'].map((time, n) =>
      optOutOf(quiet, `n${n}@example.com`, { recordedAt: at(time) }),
    );
    await record(...nepalese);
    await numberAll(db, [quiet]);
    const nepal = await sumsOfLists(db, [quiet], 'Asia/Kathmandu', at('2026-03-05T18:20:00Z'));
    assert.equal(nepal.get(quiet)?.today, 1);
  });

  it('tell days by source, every day, through the change to summer time', async () => {
    await record(
      left('ann@example.com', '2026-03-28T22:59:00Z', { source: 'page' }),
      left('bob@example.com', '2026-03-28T23:00:00Z', { source: 'page' }),
      left('cyd@example.com', '2026-03-29T21:59:00Z', { source: 'import' }),
      left('dan@example.com', '2026-03-29T22:00:00Z', { source: 'page' }),
      left('eve@example.com', '2026-02-20T22:00:00Z', { source: 'page' }),
    );
    await numberAll(db, [list]);
    const days = await optOutsByDay(db, list, 40, 'Europe/Berlin', at('2026-03-30T10:00:00Z'));
    assert.equal(days.length, 40);
    assert.deepEqual([days[0]?.day, days.at(-1)?.day], ['2026-02-19', '2026-03-30']);
    assert.deepEqual(
      days.filter(({ total }) => total > 0).map(({ day, total, bySource }) => [day, total, bySource]),
      [
        ['2026-02-20', 1, { page: 1 }],
        ['2026-03-28', 1, { page: 1 }],
        ['2026-03-29', 2, { page: 1, import: 1 }],
        ['2026-03-30', 1, { page: 1 }],
      ],
    );
    assert.equal(new Set(days.map(({ day }) => day)).size, 40);
    assert.equal((await optOutsByDay(db, list, 10_000, 'UTC', Date.now())).length, 400);
  });

  it('take in what was there before them, once, however often they are broken off', async () => {
    const people = Array.from({ length: 25 }, (_, n) => left(`p${n}@example.com`, noon));
    await record(...people, left('gone@example.com', noon));
    await removeOptOuts(db, list, 'gone@example.com', { at: at(noon) + 1 });
    await numberAll(db, [list]);
    await db('opt_out_figures').delete();
    await db('opt_outs').update({ figured: 0 });
    // Another tag of somebody's, which is counted already.
    await record(left('p5@example.com', noon, { tag: 'sale' }));
    await numberAll(db, [list]);
    // A place that was not kept: some rows are looked at again.
    for (let call = 0, isMore = true; isMore; call++) {
      const pass = await db('passes').where({ name: 'figures' }).first<object | undefined>();
      isMore = await countOldOptOuts(db, 1, 7);
      if (call === 2)
        await db('passes')
          .where({ name: 'figures' })
          .update(pass ?? {});
      if (call === 1)
        await db('opt_outs')
          .where({ address_key: md5Of('p3@example.com') })
          .update({ feed_number: null });
      assert.ok(call < 50);
    }
    await numberAll(db, [list]);
    assert.deepEqual(await figures(), ['2026-03-05T12:00 server 26']);
    assert.equal(await countOldOptOuts(db, 1 + 10 * day, 7), false);
    assert.deepEqual(await figures(), ['2026-03-05T12:00 server 26']);
    assert.deepEqual(await breaches(), []);
  });

  it('are read by the key, and nothing else is gone through', async () => {
    await record(left('ann@example.com', noon));
    await numberAll(db, [list]);
    const plans = await plansOf(db, async () => {
      await sumsOfLists(db, [list, list + 1, list + 2], 'UTC', at(noon));
      await optOutsByDay(db, list, 30, 'UTC', at(noon));
    });
    assert.deepEqual(
      [...new Set(plans.map(({ table, index, isScan }) => `${table} ${index} ${isScan}`))],
      ['opt_out_figures PRIMARY false'],
    );
  });

  it('are forgotten with the history, never before they can be asked for', async () => {
    const now = at(noon);
    const ago = (days: number) => new Date(now - days * day).toISOString();
    await record(...[1, 399, 410, 500, 800].map((days) => left(`p${days}@example.com`, ago(days))));
    await numberAll(db, [list]);
    assert.equal(await forgetFigures(db, now, null), false);
    assert.equal((await figures()).length, 5);
    await forgetFigures(db, now, 450 * day);
    assert.equal((await figures()).length, 3);
    await forgetFigures(db, now, day);
    assert.equal((await figures()).length, 2);
    assert.deepEqual(await breaches(), []);
  });

  it('are audited: one that is too low, lost, or no half hour is a breach', async () => {
    await record(
      left('ann@example.com', noon),
      left('bob@example.com', noon),
      left('cyd@example.com', ago(2)),
    );
    await numberAll(db, [list]);
    assert.deepEqual(await breaches(), []);
    const ofNoon = () => db('opt_out_figures').where({ slot: slotOf(at(noon)) });
    await ofNoon().update({ opt_outs: 1 });
    assert.match((await breaches()).join(), /opt_outs is 1, and 2 stand/);
    await ofNoon().update({ opt_outs: 2, slot: slotOf(at(noon)) + 1 });
    assert.match(
      (await breaches()).join('; '),
      /no half hour.*2 stand that were counted, and there is no figure/,
    );
    await db('opt_out_figures').update({ opt_outs: 100 });
    assert.match((await breaches()).join('; '), /200 opt-outs are counted, and only 3 feed numbers/);
  });
  const ago = (days: number) => new Date(at(noon) - days * day).toISOString();
});
