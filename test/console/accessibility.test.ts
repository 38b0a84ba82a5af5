import assert from 'node:assert/strict';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { getAccount } from '../../src/core/accounts.js';
import { createLink } from '../../src/core/one-time-links.js';
import { routes } from '../../src/console/routes.js';
import { axeSource, lookedAt } from '../support/axe.js';
import { signInAs, type Visitor } from '../support/console.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import { launchBrowser } from '../support/browser.js';
import { neededBy, samplesOf, type Samples } from './samples.js';

/** What can be looked at: a file is none of it. */
const pages = routes.filter(({ screen, path }) => screen.show !== undefined && !/\.csv$/.test(path));

describe("The console's pages in a browser", function () {
  this.timeout(300_000);
  let service: TestService;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let admin: Visitor;
  let ofMailer: Visitor;
  let publicId: string;
  let samples: Samples;
  let tokens: Record<string, string>;
  let setUpPage: string;

  before(async function () {
    browser = await launchBrowser(this);
    service = await startTestService();
    const { db } = service.deps;
    // Lists that recipients, mailers and owners have used.
    const list = await makeList(service, { name: 'Acme News' });
    const { mailer } = await makeMailer(service, list);
    publicId = list.publicId;
    // There is no set-up any more once there is an admin: its page is made before.
    const setUp = await fetch(service.setUpLink?.replace(/^.*(?=\/console)/, service.url) ?? '');
    setUpPage = await setUp.text();
    samples = await samplesOf(service, await getAccount(db, service.accountId), list, mailer);
    const invited = await signInAs(service, 'owner');
    tokens = {
      invitation: await createLink(db, 'invitation', invited.user),
      password: await createLink(db, 'password', invited.user),
    };
    admin = await signInAs(service, 'admin');
    tokens.profile = await createLink(db, 'email', admin.user, { email: 'ada.new@example.com' });
    ofMailer = await signInAs(service, { mailer });
    // The console's own policy would keep axe out; nothing else is let in by this.
    context = await browser.newContext({ bypassCSP: true, reducedMotion: 'reduce' });
    page = await context.newPage();
  });
  after(async () => {
    await browser?.close();
    await service?.close();
  });

  function pathOf(route: string): string {
    const [, kind = ''] = /^\/console\/([\w-]+)/.exec(route) ?? [];
    const path = route.replace(/:(\w+)/g, (_all, name: string) => {
      if (name === 'account') return String(service.accountId);
      if (name === 'list') return publicId;
      return (name === 'token' ? (tokens[kind] ?? 'x') : samples[name]) ?? '';
    });
    const needed = new URLSearchParams(neededBy(route, samples)).toString();
    return needed === '' ? path : `${path}?${needed}`;
  }

  /** Of an admin, where there is no page that is for others alone. */
  function cookieFor(may: readonly string[]) {
    const [name = '', value = ''] = (may.includes('admin') ? admin : ofMailer).cookie.split('=');
    return { name, value, url: service.url };
  }

  for (const route of pages) {
    it(`have no fault that axe can find, light or dark, and fit 320 px: ${route.path}`, async () => {
      await context.clearCookies();
      if (route.may !== 'anyone') await context.addCookies([cookieFor(route.may)]);
      await page.setViewportSize({ width: 320, height: 900 });
      if (route.path.includes('/set-up/')) {
        await page.route('**/set-up/*', (it) => it.fulfill({ body: setUpPage, contentType: 'text/html' }));
      }
      const response = await page.goto(`${service.url}${pathOf(route.path)}`);
      assert.ok(response !== null && response.status() < 400, `${route.path}: ${response?.status()}`);
      for (const width of [320, 1280]) {
        await page.setViewportSize({ width, height: 900 });
        const [needed, seen] = await page.evaluate<[number, number]>(
          '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
        );
        assert.ok(needed <= seen, `${needed} > ${seen} at ${width} px`);
      }
      await page.evaluate(axeSource);
      // What is folded is looked at as well.
      await page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))");
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme });
        const colours = { runOnly: ['color-contrast'] };
        const { faults } = await lookedAt(page, colorScheme === 'dark' ? colours : {});
        assert.deepEqual(faults, [], colorScheme);
      }
    });
  }

  it('load nothing from elsewhere, and have no fault in their scripts', async () => {
    const wrong: string[] = [];
    const strict = await browser.newContext();
    try {
      const one = await strict.newPage();
      one.on('request', (request) => {
        if (!/^(data|about):/.test(request.url()) && !request.url().startsWith(service.url)) {
          wrong.push(request.url());
        }
      });
      one.on('pageerror', (error) => wrong.push(error.message));
      one.on('console', (message) => {
        if (message.type() === 'error') wrong.push(`${one.url()}: ${message.text()}`);
      });
      for (const route of pages) {
        if (route.may === 'anyone') continue;
        await strict.addCookies([cookieFor(route.may)]);
        await one.goto(`${service.url}${pathOf(route.path)}`);
      }
    } finally {
      await strict.close();
    }
    assert.deepEqual(wrong, []);
  });
});
