import assert from 'node:assert/strict';
import { editAlertSettings, getAlertSettings, type AlertSettings } from '../../src/core/alert-settings.js';
import { lastAlerts } from '../../src/core/alerts.js';
import { readMailSender, readMailServer } from '../../src/core/mail-server.js';
import { claimMail, type Mail } from '../../src/core/mails.js';
import { consoleTexts } from '../../src/console/texts.js';
import { createList, getListById, type List } from '../../src/core/lists.js';
import { createMailer, grantList, type Mailer } from '../../src/core/mailers.js';
import { noteScrub } from '../../src/core/fetches.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf } from '../../src/core/opt-outs.js';
import type { Db } from '../../src/db/connect.js';
import { createAlertSweep } from '../../src/keeper/alert-sweep.js';
import { createLog } from '../../src/log.js';
import { migratedDatabase, numberAll, optOutOf, type TestDatabase } from '../support/core.js';

const hour = 3_600_000;
const day = 24 * hour;
const noon = Date.parse('2026-03-05T12:10:00Z');
const secret = 'a secret of at least 32 characters';
const settings = {
  server: readMailServer('smtp://localhost:25') ?? assert.fail(),
  sender: readMailSender('out@acme.example') ?? assert.fail(),
};

describe('The alerts of a list', () => {
  let test: TestDatabase;
  let db: Db;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
    db = test.db;
    const user = { role: 'owner', account_id: 1, created_at: 1, password_hash: 'x' };
    await db('users').insert([
      { ...user, email: 'olive@acme.example', name: 'Olive' },
      { ...user, email: 'ryo@acme.example', name: 'Ryo', language: 'ja' },
      { ...user, email: 'invited@acme.example', name: 'Ina', password_hash: null },
      { ...user, email: 'gone@acme.example', name: 'Gus', ended_at: 2 },
      { ...user, email: 'mail@acme.example', name: 'Mel', role: 'mailer', mailer_id: 1 },
      { ...user, email: 'other@other.example', name: 'Otto', account_id: 2 },
      { ...user, email: 'admin@acme.example', name: 'Ada', role: 'admin', account_id: null },
    ]);
  });
  after(() => test.close('users and figures are planted'));
  beforeEach(async () => {
    await test.clear();
    const tables = ['passes', 'mails', 'alerts', 'alert_settings', 'list_sizes', 'not_honoured', 'grants'];
    for (const table of tables) await db(table).delete();
    await db('tags').delete();
    await db('lists').delete();
    list = await createList(db, 1, { name: 'Acme News' }, { actor: 'test' });
  });

  const log = createLog('silent');
  const post = { settings, secret, texts: consoleTexts, baseUrl: 'http://signoff.test', log };
  /** One whole pass, by a keeper that has just started. */
  async function watch(now: number, by = createAlertSweep(post), on = db): Promise<void> {
    await on('passes').where({ name: 'alerts' }).delete();
    for (let calls = 0; calls < 50; calls++) {
      await by.run(on, now, { ipMs: 1, tombstonesMs: 1, historyMs: 1 });
      const pass = await on('passes')
        .where({ name: 'alerts' })
        .first<{ ended_at: number | null }>('ended_at');
      if (pass.ended_at !== null) return;
    }
    throw new Error('the pass comes to no end');
  }
  /** Takes all mails out of the queue. */
  async function mails(now: number): Promise<Mail[]> {
    const taken: Mail[] = [];
    for (;;) {
      const claimed = await claimMail(db, secret, now, () => undefined);
      if (claimed === null || claimed === 'again') break;
      taken.push(claimed.mail);
    }
    await db('mails').delete();
    return taken;
  }
  const subjects = async (now: number) =>
    (await mails(now)).filter(({ to }) => to.startsWith('olive')).map(({ subject }) => subject);
  const set = (edits: Partial<AlertSettings>, of = list) =>
    editAlertSettings(db, of, edits, { actor: 'test' });
  let people = 0;
  async function leave(count: number, at: number, of = list): Promise<void> {
    const rows = Array.from({ length: count }, () =>
      rowOf(optOutOf(of.id, `p${people++}@example.com`, { recordedAt: at })),
    );
    await writeOptOuts(db, rows.sort(compareRows));
    await numberAll(db, [of.id]);
  }
  async function mailerOf(since: number): Promise<Mailer> {
    const mailer = await createMailer(db, 1, { name: 'Mail House' }, { actor: 'test' });
    await grantList(db, mailer, list, { actor: 'test' });
    await db('grants').where({ mailer_id: mailer.id }).update({ created_at: since });
    return mailer;
  }

  it('tell the owners of the account, each in their language, and nobody else', async () => {
    await set({ optOutsADay: 2 });
    await leave(2, noon);
    await watch(noon);
    assert.deepEqual(await mails(noon), []);
    await leave(1, noon + 1);
    await watch(noon + 2);
    const [first, second, ...others] = (await mails(noon + 2)).sort((a, b) => (a.to < b.to ? -1 : 1));
    assert.deepEqual([first?.to, second?.to, others], ['olive@acme.example', 'ryo@acme.example', []]);
    assert.equal(first?.subject, 'Acme News: 3 opt-outs in a day');
    assert.match(first.text, /more than 2 in a day/);
    assert.ok(first.text.includes(`http://signoff.test/console/lists/${list.publicId}\n`));
    assert.ok(first.text.endsWith(`http://signoff.test/console/lists/${list.publicId}/alerts`));
    assert.equal(second?.subject, 'Acme News：1日の配信停止が 3 件になりました');
    assert.doesNotMatch(JSON.stringify([first, second]), /alerts\.|\{\{|@example\.com/);
  });

  it('come once a day of each kind and list, however many keepers look, and again the next day', async () => {
    const other = await createList(db, 1, { name: 'Acme Offers' }, { actor: 'test' });
    for (const one of [list, other]) {
      await set({ optOutsADay: 1, optOutsAnHour: 1 }, one);
      await leave(3, noon, one);
    }
    const pools = [db, test.another(), test.another()];
    await Promise.allSettled(pools.map((on) => watch(noon, createAlertSweep(post), on)));
    await watch(noon);
    assert.equal((await subjects(noon)).length, 4);
    await watch(noon + 11 * hour);
    assert.deepEqual(await subjects(noon + 11 * hour), []);
    await leave(3, noon + day);
    await watch(noon + day - 1);
    assert.deepEqual(await subjects(noon + day), []);
    await watch(noon + day);
    assert.deepEqual((await subjects(noon + day)).sort(), [
      'Acme News: 3 opt-outs in a day',
      'Acme News: 3 opt-outs in an hour',
    ]);
  });

  it('count a day of the account’s time zone, and an hour by its halves', async () => {
    await db('accounts').where({ id: 1 }).update({ time_zone: 'Asia/Tokyo' });
    try {
      await set({ optOutsADay: 2, optOutsAnHour: 4 });
      await leave(2, Date.parse('2026-03-05T14:59:00Z'));
      await leave(2, Date.parse('2026-03-05T15:00:00Z'));
      await watch(Date.parse('2026-03-05T15:29:00Z'));
      assert.deepEqual(await subjects(noon + day), []);
      await leave(1, Date.parse('2026-03-05T15:29:00Z'));
      await watch(Date.parse('2026-03-05T15:29:30Z'));
      assert.equal((await subjects(noon + day)).length, 2);
    } finally {
      await db('accounts').where({ id: 1 }).update({ time_zone: null });
    }
  });

  it('tell of a list that shrinks by a tenth within a day, once', async () => {
    await leave(200, noon);
    const rows = await db('opt_outs').where({ list_id: list.id }).pluck('address');
    const remove = async (count: number, at: number) => {
      for (const address of rows.splice(0, count) as Buffer[]) {
        await removeOptOuts(db, list.id, address.toString(), { at });
      }
      await numberAll(db, [list.id]);
    };
    for (let at = noon; at <= noon + day; at += 3 * hour) await watch(at);
    await remove(19, noon + day + 1);
    await watch(noon + day + 2);
    assert.deepEqual(await subjects(noon + 2 * day), []);
    await remove(1, noon + day + 3);
    for (let at = noon + day + 4; at < noon + 3 * day; at += hour) await watch(at);
    assert.equal((await db('mails')).length, 2, 'one to each owner');
    const told = await mails(noon + 2 * day);
    assert.match(
      told.find(({ to }) => to.startsWith('olive'))?.text ?? '',
      /held 200 entries a day ago, and holds 180 now/,
    );
    await remove(18, noon + 3 * day);
    await watch(noon + 3 * day + 1);
    assert.deepEqual(await subjects(noon + 4 * day), ['Acme News: the list has shrunk']);
  });

  it('do not tell of a short list of which a few go', async () => {
    await leave(20, noon);
    await watch(noon);
    const rows = (await db('opt_outs').where({ list_id: list.id }).pluck('address')) as Buffer[];
    for (const address of rows.slice(0, 9))
      await removeOptOuts(db, list.id, address.toString(), { at: noon + 1 });
    await numberAll(db, [list.id]);
    await watch(noon + day);
    assert.deepEqual(await subjects(noon + day), []);
    await removeOptOuts(db, list.id, rows[9]?.toString() ?? '', { at: noon + 1 });
    await numberAll(db, [list.id]);
    await watch(noon + day + 1);
    assert.equal((await subjects(noon + day + 1)).length, 1);
  });

  it('tell of a mailer that does not download while opt-outs wait', async () => {
    const mailer = await mailerOf(noon - 100 * day);
    await watch(noon);
    assert.deepEqual(await subjects(noon), [], 'nothing waits');
    await leave(1, noon);
    await watch(noon + 7 * day);
    assert.deepEqual(await subjects(noon + 7 * day), []);
    await watch(noon + 7 * day + 1);
    const [mail] = await mails(noon + 7 * day + 1);
    assert.match(mail?.text ?? '', /more than 7 days.*\nMail House\n/);
    await db('alerts').delete();
    await noteScrub(db, { listId: list.id, mailerId: mailer.id }, noon + 5 * day);
    await watch(noon + 8 * day);
    assert.deepEqual(await subjects(noon + 8 * day), [], 'it scrubs its files');
  });

  it('tell of opt-outs that were not honoured, those that were found since', async () => {
    const mailer = await mailerOf(1);
    const found = (found_at: number, n: number) => ({
      ...{ list_id: list.id, address_key: Buffer.alloc(16, n), tag: Buffer.from('*'), mailer_id: mailer.id },
      ...{ fetched_at: 1, left_again_at: 2, found_at },
    });
    await db('not_honoured').insert([found(noon, 1), found(noon, 2)]);
    await watch(noon + 1);
    const [mail] = await mails(noon + 1);
    assert.match(mail?.text ?? '', /opt-outs: 2\.\n.*: Mail House/);
    await watch(noon + 2 * day);
    assert.deepEqual(await subjects(noon + 2 * day), []);
    await db('not_honoured').insert(found(noon + 2 * day, 3));
    await watch(noon + 2 * day + 1);
    assert.match((await mails(noon + 2 * day + 1))[0]?.text ?? '', /opt-outs: 1\.\n/);
  });

  it('are raised where no mail is sent, to be seen in the console', async () => {
    await set({ optOutsADay: 1 });
    await leave(2, noon);
    await watch(noon, createAlertSweep({ ...post, settings: null }));
    assert.deepEqual(await db('mails'), []);
    const [alert] = await lastAlerts(db, [list.id]);
    assert.deepEqual(alert, {
      ...{ listId: list.id, kind: 'a-day', raisedAt: noon, details: { opt_outs: 2, limit: 1 } },
    });
  });

  it('can be set: by default for what nobody wants to go unnoticed, within limits, and the history notes it', async () => {
    assert.deepEqual(await getAlertSettings(db, list.id), {
      ...{ optOutsADay: null, optOutsAnHour: null, shrinks: true, silentDays: 7, notHonoured: true },
    });
    for (const [field, value] of [
      ['optOutsADay', 0],
      ['optOutsADay', 10_000_001],
      ['optOutsAnHour', 1.5],
      ['silentDays', 366],
      ['silentDays', Number.NaN],
    ] as const) {
      await assert.rejects(set({ [field]: value }), { name: 'Invalid', field, problem: 'out-of-range' });
    }
    await set({ optOutsADay: 10_000_000, shrinks: false, silentDays: null, notHonoured: false });
    const after = {
      optOutsADay: 10_000_000,
      optOutsAnHour: null,
      shrinks: false,
      silentDays: null,
      notHonoured: false,
    };
    assert.deepEqual(await getAlertSettings(db, list.id), after);
    assert.deepEqual(await set({}), after);
    const [noted] = await db<{ list_id: number; action: string; actor: string }>('history').where({
      list_id: list.id,
      action: 'alerts.edited',
    });
    assert.equal(noted?.actor, 'test');
    await leave(1, noon);
    await mailerOf(1);
    await watch(noon + 50 * day);
    assert.deepEqual(await subjects(noon + 50 * day), []);
  });

  it('are looked for in all lists, some at a time', async () => {
    const lists: List[] = [];
    for (let n = 0; n < 45; n++)
      lists.push(await createList(db, 1, { name: `List ${n}` }, { actor: 'test' }));
    const last = await getListById(db, lists.at(-1)?.id ?? 0);
    await set({ optOutsADay: 1 }, last);
    await leave(2, noon, last);
    await watch(noon);
    assert.deepEqual(await subjects(noon), ['List 44: 2 opt-outs in a day']);
  });
});
