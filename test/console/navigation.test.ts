import assert from 'node:assert/strict';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { createAccount } from '../../src/core/accounts.js';
import type { List } from '../../src/core/lists.js';
import { launchBrowser } from '../support/browser.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { optOutOf } from '../support/core.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

/** The links of a page's navigation, by its name. */
function linksOf({ html }: ConsolePage, name: string): string[] {
  const [, inside = ''] = new RegExp(`<nav[^>]* aria-label="${name}">([^]*?)</nav>`).exec(html) ?? [];
  return [...inside.matchAll(/<a href="([^"]*)"/g)].map(([, href = '']) => href);
}

describe("The console's navigation", () => {
  let service: TestService;
  let list: List;
  let olive: Visitor;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());

  it('stays where there is nothing to see: that of what the path names, else of the own account', async () => {
    const other = await createAccount(service.deps.db, 'Other');
    const own = `/console/accounts/${service.accountId}`;
    for (const path of [
      ...['/console/nothing', `${own}/nothing`, `${own}/mailers/999999`, '/console/%zz'],
      ...[`/console/accounts/${other.id}/lists`, '/console/lists/aaaaaaaaaaaaaaaaaaaa'],
    ]) {
      const page = await olive.get(path);
      assert.ok(page.status === 404 || page.status === 400, `${path}: ${page.status}`);
      assert.ok(linksOf(page, 'Account').includes(`${own}/lists`), path);
      assert.ok(!page.html.includes('Other'), path);
    }
    const ofList = await olive.get(`/console/lists/${list.publicId}/imports/aaaaaaaaaaaaaaaaaaaa`);
    assert.equal(ofList.status, 404);
    assert.ok(linksOf(ofList, 'List').includes(`/console/lists/${list.publicId}/imports`));
  });

  it('stays where a role may not go, and shows what it may', async () => {
    const { mailer } = await makeMailer(service, list);
    const max = await signInAs(service, { mailer });
    const refused = await max.get(`/console/lists/${list.publicId}/edit`);
    assert.equal(refused.status, 403);
    assert.deepEqual(linksOf(refused, 'Account'), [
      `/console/accounts/${service.accountId}/lists`,
      `/console/accounts/${service.accountId}/mailers`,
    ]);
    assert.ok(!linksOf(refused, 'List').some((href) => /\/(?:edit|imports|alerts)$/.test(href)));
    const admins = await olive.get('/console/accounts');
    assert.equal(admins.status, 403);
    assert.ok(linksOf(admins, 'Account').includes(`/console/accounts/${service.accountId}/people`));
    const posted = await olive.fetch('/console/accounts', { method: 'POST' });
    assert.equal(posted.status, 403);
    const mei = await signInAs(service, { mailer }, { language: 'ja' });
    const inJapanese = await mei.get(`/console/lists/${list.publicId}/edit`);
    assert.match(inJapanese.text, /権限がありません/);
    assert.doesNotMatch(inJapanese.text, /This is for other users/);
  });

  it('says of pages that stand elsewhere what they are a part of', async () => {
    for (const part of ['service', 'links', 'scrub']) {
      const { html } = await olive.get(`/console/lists/${list.publicId}/${part}`);
      const [, tabs = ''] = /<nav aria-label="List">([^]*?)<\/nav>/.exec(html) ?? [];
      const current = [...tabs.matchAll(/href="([^"]*)" aria-current="page"/g)].map(([, href]) => href);
      assert.deepEqual(current, [`/console/lists/${list.publicId}/service`], part);
    }
  });

  it('is that of the installation for an admin, and none for a stranger', async () => {
    const ada = await signInAs(service, 'admin');
    const links = ['/console/accounts', '/console/admins', '/console/history'];
    for (const path of ['/console/accounts', '/console/profile', '/console/nothing']) {
      const page = await ada.get(path);
      assert.deepEqual(linksOf(page, 'Installation'), links, path);
      assert.deepEqual(linksOf(page, 'Account'), [], path);
    }
    const inAccount = await ada.get(`/console/accounts/${service.accountId}/mailers/999999`);
    assert.ok(linksOf(inAccount, 'Account').includes(`/console/accounts/${service.accountId}/lists`));
    const stranger = await (await fetch(`${service.url}/console/nothing`)).text();
    assert.doesNotMatch(stranger, /<nav|<header/);
  });

  describe('in a browser without scripts', function () {
    this.timeout(60_000);
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    before(async function () {
      browser = await launchBrowser(this);
      context = await browser.newContext({ javaScriptEnabled: false });
      const [name = '', value = ''] = olive.cookie.split('=');
      await context.addCookies([{ name, value, url: service.url }]);
      page = await context.newPage();
    });
    after(() => browser?.close());

    const base = () => `${service.url}/console/lists/${list.publicId}`;
    const link = (name: string) =>
      page
        .getByRole('navigation', { name })
        .getByRole('link', { name: name === 'List' ? 'Import' : 'Mailers' });

    it('is folded on a phone, and opened by the keyboard', async () => {
      await page.setViewportSize({ width: 320, height: 640 });
      await page.goto(`${base()}/opt-outs`);
      for (const name of ['Account', 'List']) {
        assert.equal(await link(name).isVisible(), false);
        const summary = page.getByRole('navigation', { name }).locator('summary');
        await summary.focus();
        await page.keyboard.press('Enter');
        assert.equal(await link(name).isVisible(), true, name);
        await page.keyboard.press('Tab');
        const focused = page.getByRole('navigation', { name }).locator('a:focus');
        assert.equal(await focused.count(), 1, 'the first link comes next');
      }
    });

    it('stands open where there is room, and each link is reached by the keyboard', async () => {
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.goto(base());
      for (const name of ['Account', 'List']) {
        assert.equal(await link(name).isVisible(), true, name);
        assert.equal(await page.getByRole('navigation', { name }).locator('summary').isVisible(), false);
        await link(name).focus();
        await page.keyboard.press('Tab');
        assert.equal(await page.getByRole('navigation', { name }).locator('a:focus').count(), 1);
      }
      await link('List').click();
      assert.equal(page.url(), `${base()}/imports`);
    });

    it('stays beside a table of names that have no blank to break at', async () => {
      const long = await makeList(service, { name: 'Long'.repeat(50), internalName: 'Long'.repeat(50) });
      await makeMailer(service, long);
      await service.deps.db('mailers').update({ name: 'Mailer'.repeat(30) });
      for (const width of [800, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        for (const part of ['lists', 'mailers', 'history']) {
          await page.goto(`${service.url}/console/accounts/${service.accountId}/${part}`);
          const hidden = await page
            .locator('.table-box')
            .evaluateAll((boxes) =>
              (boxes as unknown as { scrollWidth: number; clientWidth: number }[]).map(
                (box) => box.scrollWidth - box.clientWidth,
              ),
            );
          assert.deepEqual(hidden, [0], `${part} at ${width} px is all to be seen`);
        }
      }
    });

    it('keeps what is done with selected opt-outs in reach, and covers no row for good', async () => {
      const emails = Array.from({ length: 30 }, (_, i) => `p${i}@example.com`);
      await service.deps.recorder.record(emails.map((email) => optOutOf(list.id, email)));
      await untilNumbered(service, list);
      await page.setViewportSize({ width: 320, height: 640 });
      await page.goto(`${base()}/opt-outs`);
      const bar = page.locator('.tick-bar');
      const boxes = page.locator('input[name=optOut]');
      const place = async () => (await bar.boundingBox()) ?? { y: -1, height: 0 };
      await boxes.nth(3).focus();
      const { y, height } = await place();
      assert.ok(Math.abs(y + height - 640) < 1, 'it stands at the lower edge');
      assert.ok(height < 120);
      await boxes.nth(9).focus();
      const box = await boxes.nth(9).boundingBox();
      assert.ok(
        box !== null && box.y + box.height <= (await place()).y,
        'what has the focus is not behind it',
      );
      const last = boxes.last();
      await page.keyboard.press('End');
      await last.scrollIntoViewIfNeeded();
      await last.check();
      await boxes.first().check();
      await page.getByRole('button', { name: 'Remove the selected ones' }).click();
      assert.match((await page.textContent('main')) ?? '', /Remove 2 opt-outs\?/);
    });
  });
});
