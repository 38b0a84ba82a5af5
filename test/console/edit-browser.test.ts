import assert from 'node:assert/strict';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { getListById, type List } from '../../src/core/lists.js';
import { launchBrowser } from '../support/browser.js';
import { signInAs } from '../support/console.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';

describe('The settings of a list in a browser', function () {
  this.timeout(60_000);
  let service: TestService;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let list: List;
  const asked: string[] = [];

  before(async function () {
    browser = await launchBrowser(this);
    service = await startTestService();
  });
  after(async () => {
    await browser?.close();
    await service?.close();
  });
  beforeEach(async () => {
    list = await makeList(service, { name: 'Acme News', contact: 'help@acme.example', ipWhitelist: '' });
    await openAs({ javaScriptEnabled: true });
  });
  afterEach(() => context.close());

  async function openAs({ javaScriptEnabled }: { javaScriptEnabled: boolean }): Promise<void> {
    context = await browser.newContext({ javaScriptEnabled, viewport: { width: 1280, height: 900 } });
    const olive = await signInAs(service, 'owner');
    const [name = '', value = ''] = olive.cookie.split('=');
    await context.addCookies([{ name, value, url: service.url }]);
    page = await context.newPage();
    asked.length = 0;
    page.on('request', (request) => asked.push(`${request.method()} ${new URL(request.url()).pathname}`));
    await page.goto(urlOf());
  }
  const urlOf = () => `${service.url}/console/lists/${list.publicId}/edit`;
  const previewed = () => page.frameLocator('iframe:not(.coming)').locator('body');
  const shows = (text: string) =>
    until(`the preview shows ${text}`, async () => ((await previewed().textContent()) ?? '').includes(text));

  it('show what is typed in the preview, in the language that is chosen, and Back leaves the page', async () => {
    await page.goto(`${service.url}/console`);
    await page.goto(urlOf());
    await page.fill('#name', 'Acme Weekly');
    await shows('Acme Weekly');
    await page.selectOption('[name=previewLanguage]', 'de');
    await shows('abmelden');
    await page.selectOption('[name=previewPage]', 'link');
    await shows('ann@example.com');
    await page.fill('[name="thankYou.en"]', '# Bye bye');
    await shows('Bye bye');
    assert.equal(await page.inputValue('[name=previewPage]'), 'thanks', 'whoever writes it sees it');
    assert.equal((await getListById(service.deps.db, list.id)).name, 'Acme News');

    let isAsked = false;
    page.on('dialog', (dialog) => {
      isAsked = dialog.type() === 'beforeunload';
      void dialog.accept();
    });
    await page.goBack();
    assert.ok(isAsked, 'what is typed is not thrown away unasked');
    assert.doesNotMatch(page.url(), /\/edit$/, 'the preview is no step on the way back');
  });

  it('have a preview in which nothing can be done', async () => {
    for (const [shown, text] of [
      ['link', 'ann@example.com'],
      ['thanks', 'Receipt'],
      ['form', 'Your e-mail address'],
    ] as const) {
      await page.selectOption('[name=previewPage]', shown);
      await shows(text);
      const before = await previewed().innerHTML();
      asked.length = 0;
      const frame = page.frameLocator('iframe:not(.coming)');
      for (const element of await frame.locator('main a, main button, footer dl a').all())
        await element.click();
      const input = frame.locator('#email');
      if ((await input.count()) > 0) {
        await input.fill('ann@example.com');
        await input.press('Enter');
      }
      assert.equal(await previewed().innerHTML(), before);
      assert.deepEqual(asked, []);
    }
    const [row] = await service.deps.db('opt_outs').where({ list_id: list.id }).count('* as n');
    assert.equal(Number(row?.n), 0);
  });

  it('explain whitelist and redirect while they are typed, and save all of it at once', async () => {
    await page.fill('#ipWhitelist', '203.0.113.0/24 10.0.0.0/8');
    await page.locator('#whitelist-read').getByText('256 addresses').waitFor();
    await page.fill('#redirectTemplate', 'https://acme.example/?m={email}');
    await page.locator('#redirect-tried').getByText('m=ann%2Bnews%40example.com').waitFor();
    assert.ok(await page.getByText('Not saved yet').isVisible());
    await page.check('[name=confirmPrivate]');
    await page.check('[name=confirmWide]');
    await page.click('.edit-save button');
    await page.getByText('Saved.', { exact: true }).waitFor();
    const saved = await getListById(service.deps.db, list.id);
    assert.equal(saved.ipWhitelist.length, 2);
    assert.equal(saved.redirect?.text, 'https://acme.example/?m={email}');
  });

  it('are saved by Enter in a field', async () => {
    await page.fill('#name', 'By Enter');
    await page.press('#name', 'Enter');
    await page.getByText('Saved.', { exact: true }).waitFor();
    assert.equal((await getListById(service.deps.db, list.id)).name, 'By Enter');
  });

  it('work without scripts', async () => {
    await context.close();
    await openAs({ javaScriptEnabled: false });
    await page.fill('#name', 'Acme Weekly');
    await page.getByText('Show what is typed').click();
    await shows('Acme Weekly');
    assert.equal(await page.inputValue('#name'), 'Acme Weekly');
    await page.fill('#ipWhitelist', '203.0.113.*');
    await page.getByText('Check the entries').click();
    await page.getByText('Did you mean 203.0.113.0/24?').waitFor();
    assert.match(page.url(), /#ipWhitelist$/);
    assert.equal(await page.inputValue('#name'), 'Acme Weekly');
    await page.fill('#ipWhitelist', '203.0.113.0/24');
    await page.click('.edit-save button');
    await page.getByText('Saved.', { exact: true }).waitFor();
    assert.equal((await getListById(service.deps.db, list.id)).name, 'Acme Weekly');
  });
});
