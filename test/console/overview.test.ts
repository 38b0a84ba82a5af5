import assert from 'node:assert/strict';
import { noteBursts } from '../../src/core/bursts.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { slotOf } from '../../src/core/opt-out-figures.js';
import { createAccount } from '../../src/core/accounts.js';
import { editAccount } from '../../src/core/account-settings.js';
import { chartsOf, ticksFor } from '../../src/console/chart.js';
import type { List } from '../../src/core/lists.js';
import type { Source } from '../../src/core/opt-outs.js';
import { optOutOf } from '../support/core.js';
import { signInAs } from '../support/console.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const day = 24 * 3_600_000;

describe('The overview of a list', () => {
  let service: TestService;
  let list: List;
  let path: string;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
    path = `/console/lists/${list.publicId}`;
  });

  let people = 0;
  async function leave(count: number, daysAgo: number, source: Source = 'page', on = list): Promise<void> {
    const recordedAt = Date.now() - daysAgo * day;
    const optOuts = Array.from({ length: count }, () =>
      optOutOf(on.id, `p${people++}@example.com`, { recordedAt, source }),
    );
    await service.deps.recorder.record(optOuts);
    await untilNumbered(service, on);
  }
  const barsIn = (html: string) => [...html.matchAll(/<rect class="bar"/g)].length;

  it('shows the sums, the days by source as a picture, and all figures as a table', async () => {
    await leave(3, 0, 'page');
    await leave(2, 0, 'one-click');
    await leave(4, 5, 'page');
    await leave(8, 20, 'import');
    const olive = await signInAs(service, 'owner');
    const page = await olive.get(path);
    assert.equal(page.status, 200);
    assert.match(page.text, /Today 5 7 days 9 30 days 17 On the list now 17/);
    // Two pictures, for wide screens and narrow ones, of four pieces each.
    assert.equal(barsIn(page.html), 8);
    assert.match(
      page.html,
      /<svg class="chart chart-wide"[^>]* role="img" aria-labelledby="chart-wide-title chart-wide-desc"/,
    );
    assert.match(page.text, /17 opt-outs\. Most on .*: 8\. The table below/);
    assert.deepEqual(
      [...page.html.matchAll(/<th scope="col" class="number">([^<]*)</g)].map(([, text]) => text),
      ['All', 'Opt-out page', 'One-click', 'Import'],
    );
    const rows = [...page.html.matchAll(/<tr><th scope="row" class="day">[^]*?<\/tr>/g)].map(([row]) =>
      [...row.matchAll(/<td class="number">(\d+)</g)].map(([, n]) => Number(n)),
    );
    assert.equal(rows.length, 30);
    assert.deepEqual(
      [rows[0], rows[5], rows[20]],
      [
        [5, 3, 2, 0],
        [4, 4, 0, 0],
        [8, 0, 0, 8],
      ],
    );
    assert.deepEqual(rows[1], [0, 0, 0, 0]);
  });

  it('shows 7, 30, 90 or 365 days, the last by weeks', async () => {
    await leave(2, 0);
    await leave(3, 80);
    await leave(4, 350);
    const olive = await signInAs(service, 'owner');
    for (const [days, rows, sum] of [
      ['7', 7, 2],
      ['30', 30, 2],
      ['90', 90, 5],
      ['365', 52, 9],
      ['8', 30, 2],
      ['x', 30, 2],
    ] as const) {
      const page = await olive.get(`${path}?days=${days}`);
      assert.equal([...page.html.matchAll(/<th scope="row" class="day">/g)].length, rows, days);
      assert.match(page.text, new RegExp(`: ${sum} opt-outs\\. Most`), days);
    }
    assert.match((await olive.get(`${path}?days=365`)).text, /Opt-outs by week/);
  });

  it('says so where nobody has left, and where no mailer has the list', async () => {
    const olive = await signInAs(service, 'owner');
    const { text, html } = await olive.get(path);
    assert.match(text, /Nobody has left this list in this period\./);
    assert.match(text, /granted to no mailer yet/);
    assert.match(text, /Nobody has left again/);
    assert.equal(html.includes('<svg class="chart '), false);
  });

  it('marks bursts on the time line, for owners', async () => {
    await leave(1, 0);
    const { mailer } = await makeMailer(service, list);
    const burst = {
      ...{ accountId: list.accountId, network: '203.0.113.9', source: 'pixel' as const, recipients: 1200 },
      ...{ from: Date.now() - 3 * day, to: Date.now() - 3 * day + 1000 },
    };
    await noteBursts(service.deps.db, [burst], 1000);
    try {
      const page = await (await signInAs(service, 'owner')).get(path);
      assert.equal([...page.html.matchAll(/<path class="burst" d="M[\d.]+ 223l/g)].length, 1);
      assert.match(page.text, /1,200 people, by Pixel/);
      const of = await (await signInAs(service, { mailer })).get(path);
      assert.doesNotMatch(of.html, /class="burst"|1,200 people|203\.0\.113/);
    } finally {
      await service.deps.db('bursts').delete();
    }
  });

  it('shows how each mailer keeps up: its state, what waits and since when', async () => {
    const { mailer } = await makeMailer(service, list);
    const actor = 'test';
    const other = await createMailer(service.deps.db, list.accountId, { name: '<b>Late & Co' }, { actor });
    await grantList(service.deps.db, other, list, { actor });
    await service.deps.db('grants').where({ list_id: list.id }).update({ created_at: 1 });
    await leave(7, 30);
    const { n } = await service.deps
      .db('opt_outs')
      .where({ list_id: list.id })
      .max('feed_number as n')
      .first<{ n: number }>();
    const at = Date.now();
    await service.deps
      .db('fetches')
      .insert({ list_id: list.id, mailer_id: mailer.id, reached: n, reached_at: at, whole_at: at });
    const page = await (await signInAs(service, 'owner')).get(path);
    assert.match(page.text, /<b>Late & Co Late 10 business days are over 7 /);
    assert.match(page.text, /Mailer Up to date 0 Nothing waits/);
    assert.doesNotMatch(page.html, /<b>Late/);
    assert.match(page.html, /<span class="badge bad">Late<\/span>/);
  });

  it('shows a mailer’s own people their own mailer alone', async () => {
    const { mailer } = await makeMailer(service, list);
    const actor = 'test';
    const other = await createMailer(service.deps.db, list.accountId, { name: 'Rival' }, { actor });
    await grantList(service.deps.db, other, list, { actor });
    const finding = (mailer_id: number, n: number) => ({
      ...{ list_id: list.id, address_key: Buffer.alloc(16, n), tag: Buffer.from('*'), mailer_id },
      ...{ fetched_at: 1, left_again_at: 2, found_at: 3 },
    });
    await service.deps.db('not_honoured').insert([finding(mailer.id, 0xaa), finding(other.id, 0xbb)]);
    const theirs = await (await signInAs(service, { mailer })).get(path);
    assert.equal(theirs.status, 200);
    assert.match(theirs.text, /aaaaaaaaaaaa/);
    assert.doesNotMatch(theirs.html, /Rival|bbbbbbbbbbbb|\/opt-outs\/q/);
    const all = await (await signInAs(service, 'owner')).get(path);
    assert.match(all.text, /aaaaaaaaaaaa/);
    assert.match(all.text, /bbbbbbbbbbbb/);
    assert.match(all.html, new RegExp(`href="${path}/opt-outs/[\\w-]{23}"`));
    assert.equal((await (await signInAs(service, { mailer })).get(`${path}/alerts`)).status, 403);
  });

  it('is nobody else’s', async () => {
    const stranger = await createAccount(service.deps.db, 'Stranger');
    const otto = await signInAs(service, { owner: stranger });
    for (const page of [path, `${path}/alerts`]) assert.equal((await otto.get(page)).status, 404);
  });

  it('has the days of the account’s time zone, and speaks Japanese', async () => {
    const account = { id: list.accountId } as Parameters<typeof editAccount>[2];
    const { deps } = service;
    await editAccount(deps.db, deps.secret, account, { timeZone: 'Asia/Tokyo' }, { actor: 'test' });
    try {
      await leave(1, 0);
      const askedAt = Date.now();
      const page = await (await signInAs(service, 'owner', { language: 'ja' })).get(path);
      assert.match(page.text, /日別の配信停止/);
      assert.match(page.text, /Asia\/Tokyo/);
      assert.doesNotMatch(page.text, /overview\./);
      const today = new Intl.DateTimeFormat('ja-JP', { dateStyle: 'medium', timeZone: 'Asia/Tokyo' });
      // Either day, where midnight has come in between.
      const days = [askedAt, Date.now()].map((at) => `<th scope="row" class="day">${today.format(at)}</th>`);
      assert.ok(days.some((day) => page.html.includes(day)));
    } finally {
      await editAccount(deps.db, deps.secret, account, { timeZone: null }, { actor: 'test' });
    }
  });

  it('answers in time for a list that is never quiet', async () => {
    const now = Date.now();
    const rows = Array.from({ length: 48 * 400 * 2 }, (_, n) => ({
      ...{ list_id: list.id, slot: slotOf(now) - Math.floor(n / 2) * 1_800_000 },
      ...{ source: n % 2 === 0 ? 'page' : 'api', opt_outs: 5 },
    }));
    for (let i = 0; i < rows.length; i += 250)
      await service.deps.db('opt_out_figures').insert(rows.slice(i, i + 250));
    const olive = await signInAs(service, 'owner');
    const startedAt = Date.now();
    const page = await olive.get(`${path}?days=365`);
    assert.equal(page.status, 200);
    assert.ok(Date.now() - startedAt < 3000, `${Date.now() - startedAt} ms`);
    await service.deps.db('opt_out_figures').where({ list_id: list.id }).delete();
  }).timeout(60_000);
});

describe('The alerts of a list in the console', () => {
  let service: TestService;
  let list: List;
  let path: string;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
    path = `/console/lists/${list.publicId}/alerts`;
  });
  after(() => service.close());

  it('can be read and set', async () => {
    const olive = await signInAs(service, 'owner');
    const before = await olive.get(path);
    assert.equal(before.status, 200);
    assert.match(before.html, /name="silentDays"[^>]* value="7"/);
    assert.match(before.html, /name="shrinks"[^>]* checked/);
    assert.match(before.text, /SMTP_URL is not set/);
    const saved = await olive.post(path, {
      optOutsADay: '1,000',
      optOutsAnHour: '',
      silentDays: '３',
      notHonoured: 'yes',
    });
    assert.equal(saved.location, `${path}?done=alerts-saved`);
    const after = await olive.get(path);
    assert.match(after.html, /name="optOutsADay"[^>]* value="1000"/);
    assert.match(after.html, /name="silentDays"[^>]* value="3"/);
    assert.doesNotMatch(after.html, /name="shrinks"[^>]* checked/);
    assert.match(after.html, /name="notHonoured"[^>]* checked/);
  });

  it('come back with what was typed where a limit does not pass', async () => {
    const olive = await signInAs(service, 'owner');
    for (const [name, value] of [
      ['optOutsADay', '0'],
      ['optOutsAnHour', 'many'],
      ['silentDays', '366'],
      ['silentDays', '-1'],
    ] as const) {
      const page = await olive.post(path, { [name]: value });
      assert.equal(page.status, 422, name);
      assert.ok(page.html.includes(`value="${value}"`));
      assert.match(page.html, new RegExp(`id="${name}-error">A whole number`));
    }
  });

  it('show what was told last', async () => {
    const row = { list_id: list.id, raised_at: Date.now() };
    await service.deps.db('alerts').insert([
      { ...row, kind: 'silent', details: JSON.stringify({ days: 7, mailers: ['<i>Mail House'] }) },
      { ...row, kind: 'a-day', raised_at: 0, details: '{}' },
    ]);
    const page = await (await signInAs(service, 'owner')).get(path);
    assert.match(page.text, /No download for 7 days while opt-outs wait: <i>Mail House/);
    assert.doesNotMatch(page.html, /<i>Mail/);
    assert.doesNotMatch(page.text, /opt-outs in a day, more than/);
  });
});

describe('A chart', () => {
  it('has an axis of round numbers that nothing stands out of', () => {
    assert.deepEqual(ticksFor(1), [0, 1]);
    assert.deepEqual(ticksFor(3), [0, 1, 2, 3]);
    assert.deepEqual(ticksFor(7), [0, 2, 4, 6, 8]);
    assert.deepEqual(ticksFor(17), [0, 5, 10, 15, 20]);
    assert.deepEqual(ticksFor(100), [0, 50, 100]);
    for (let n = 1; n < 100_000; n = Math.ceil(n * 1.3)) {
      const ticks = ticksFor(n);
      assert.ok((ticks.at(-1) ?? 0) >= n && ticks.length <= 6 && ticks.length >= 2, String(n));
    }
  });

  it('keeps its bars inside, side by side, with the layers on top of each other', () => {
    for (const count of [1, 7, 30, 90]) {
      const bars = Array.from({ length: count }, (_, n) => ({
        label: `${n}`,
        title: '',
        values: [n, 2, 0],
        mark: null,
      }));
      for (const chart of chartsOf(bars, String)) {
        let end = chart.left;
        for (const { x, width, parts } of chart.bars) {
          assert.ok(
            x >= end - 0.01 && x + width <= chart.right + 0.01 && width > 0.5,
            `${count} ${chart.id}`,
          );
          end = x + width;
          let floor = chart.bottom;
          for (const { y, height } of parts) {
            assert.ok(Math.abs(y + height - floor) < 0.02 && y >= 9.9 && height > 0);
            floor = y;
          }
        }
        assert.ok(chart.labels.length <= 7 && chart.labels.every(({ x }) => x >= 0 && x <= chart.width));
      }
    }
  });
});
