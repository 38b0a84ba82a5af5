import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Secret, TOTP } from 'otpauth';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { launchBrowser } from '../support/browser.js';
import { goodPassword } from '../support/console.js';
import { startTestService, type TestService } from '../support/service.js';
import { sevenZip, unzip } from '../support/seven-zip.js';

const email = 'olive@console.example';
const importedRows = 100_000;

/** One person's day, from the first start on: each test goes on where the one before has ended. */
describe('The console in a browser', function () {
  this.timeout(120_000);
  let service: TestService;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let origin: string;
  let recoveryCodes: string[];
  let listPath: string;
  const faults: string[] = [];

  before(async function () {
    browser = await launchBrowser(this);
    // As it is started on one's own machine.
    service = await startTestService({ NODE_ENV: 'test', BASE_URL: '' });
    origin = service.deps.baseUrl;
    await newContext();
  });
  after(async () => {
    await browser?.close();
    await service?.close();
  });

  async function newContext(options: Parameters<Browser['newContext']>[0] = {}): Promise<void> {
    await context?.close();
    context = await browser.newContext({ acceptDownloads: true, ...options });
    page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      const isBlocked = /Content Security Policy|Refused to/.test(message.text());
      if (isBlocked) faults.push(message.text());
    });
  }

  const go = (path: string) => page.goto(`${origin}${path}`);
  const press = (name: string | RegExp) => page.getByRole('button', { name, exact: true }).click();
  const follow = (name: string | RegExp) => page.getByRole('link', { name, exact: true }).first().click();
  const type = (label: string, text: string) => page.getByLabel(label, { exact: true }).fill(text);
  const sees = (text: string | RegExp) => page.getByText(text).first().waitFor();
  const signIn = async () => {
    await go('/console');
    await type('E-mail address', email);
    await type('Password', goodPassword);
    await press('Sign in');
  };
  const signOut = async () => {
    await page.locator('details.me summary').click();
    await press('Sign out');
    await sees('You are signed out.');
  };

  it('begins with the link that the first start prints, which makes the admin, once', async () => {
    const link = service.setUpLink ?? '';
    assert.match(link, /\/console\/set-up\/[\w-]{43}$/);
    await page.goto(link);
    await type('Your name', 'Olive Owner');
    await type('E-mail address', email);
    await type('Password', 'short');
    await type('The same password again', 'short');
    await press('Create the admin');
    await sees('At least 12 characters.');
    assert.equal(await page.getByLabel('Your name').inputValue(), 'Olive Owner', 'what was typed is kept');
    await type('Password', goodPassword);
    await type('The same password again', goodPassword);
    await press('Create the admin');
    await page.waitForURL('**/console/accounts?done=set-up');
    await sees('You are the admin of this installation');
    assert.equal((await page.goto(link))?.status(), 404);
  });

  it('lets her make an account and a list, whose links are there at once', async () => {
    await go('/console/accounts');
    await type('Name', 'Olive & Sons');
    await press('Create account');
    await page.waitForURL('**/lists?done=account-created');
    await go(`${new URL(page.url()).pathname}/new`);
    await page.getByLabel('Public name').fill('Olive <News>');
    await press('Create list');
    await page.waitForURL('**/service?done=list-created');
    listPath = /\/console\/lists\/\w+/.exec(page.url())?.[0] ?? '';
    await sees('The list is ready.');
  });

  it('tries each snippet by its button, truly', async () => {
    const { db } = service.deps;
    const said: string[] = [];
    await go(`${listPath}/service`);
    await page.getByLabel('Test address').fill('try@example.com');
    await press('Use this address');
    const tries = page.locator('button[name="what"]');
    const whats = await tries.evaluateAll((buttons) =>
      (buttons as unknown as { value: string }[]).map(({ value }) => value),
    );
    const doors = [...new Set(whats)].filter((what) => what !== 'address' && what !== 'take-back');
    assert.ok(doors.length >= 5, doors.join());
    for (const what of doors) {
      await page.locator(`button[name="what"][value="${what}"]`).first().click();
      await page.locator('#tried').waitFor();
      said.push(`${what}: ${await page.locator('#tried .badge').innerText()}`);
      const takeBack = page.locator('button[value="take-back"]').first();
      if ((await takeBack.count()) > 0) {
        const rows = await db('opt_outs').whereNull('removed_at').where({ source: 'console' });
        assert.equal(rows.length, 1, what);
        await takeBack.click();
        await page.waitForLoadState();
      }
    }
    // A new list lets nobody download: the door says so, as it would to a mailer.
    assert.equal(new Set(said).size, doors.length, said.join());
    assert.ok(said.filter((text) => !/download|scrub/.test(text)).length >= 3, said.join());
    const left: unknown = await db('opt_outs').whereNull('removed_at').first('list_id');
    assert.equal(left, undefined, 'every test is taken back');
  });

  it('copies a snippet', async () => {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await go(`${listPath}/service`);
    const snippet = page.locator('.snippet').first();
    await snippet.getByRole('button').click();
    await snippet.getByText('Copied').waitFor();
    const copied = await page.evaluate<string>('navigator.clipboard.readText()');
    assert.equal(copied, await snippet.locator('code').innerText());
  });

  it('asks for a one-time code once she has scanned one', async () => {
    await go('/console/profile/codes');
    const secret = (await page.locator('#secret').innerText()).replace(/\s/g, '');
    const totp = new TOTP({ issuer: 'Signoff', label: email, secret: Secret.fromBase32(secret) });
    await page.getByLabel('Code', { exact: true }).fill(totp.generate());
    await page.getByLabel('Your password').fill(goodPassword);
    await press('Switch on');
    await sees('They are shown only now');
    const shown = await page.locator('main').innerText();
    recoveryCodes = shown.match(/\b[0-9a-z]{4,}(-[0-9a-z]{4,})+\b/gi) ?? [];
    assert.equal(recoveryCodes.length, 8, shown);
    await signOut();
    await signIn();
    await page.waitForURL('**/sign-in**');
    await type('Code', '000000');
    await press('Sign in');
    await sees('This code is not right, or was used already');
    // The code of now was taken when it was switched on: the next one's turn may come already.
    await type('Code', totp.generate({ timestamp: Date.now() + 30_000 }));
    await press('Sign in');
    await page.waitForURL('**/console/accounts');
  });

  it('shows a recipient who opts out on the hosted page', async () => {
    const recipient = await browser.newContext();
    try {
      const one = await recipient.newPage();
      const publicId = listPath.split('/').at(-1) ?? '';
      await one.goto(`${origin}/l/${publicId}`);
      await one.locator('#email').fill('Rita+news@Example.com');
      await one.getByRole('button').first().click();
      await one.locator('.done').waitFor();
      assert.deepEqual(await recipient.cookies(), []);
    } finally {
      await recipient.close();
    }
    await go(`${listPath}/opt-outs`);
    await page.getByRole('searchbox').fill('rita');
    await press('Search');
    await follow('rita+news@example.com');
    await sees('Opt-out page');
  });

  it('removes what is ticked, after the password is typed again, and takes it back', async () => {
    await go(`${listPath}/opt-outs`);
    await page.locator('input[name="optOut"]').first().check();
    await press('Remove the selected ones');
    await sees('Remove 1 opt-out?');
    await page.getByLabel('Your password').fill('not my password');
    await press('Remove');
    await sees('This is not your password.');
    await page.getByLabel('Your password').fill(goodPassword);
    await press('Remove');
    await page.waitForURL(/done=|removals/);
    const { db } = service.deps;
    assert.equal(await db('opt_outs').whereNull('removed_at').first('list_id'), undefined);
  });

  it('imports a hundred thousand rows, with a bar that moves and is true', async () => {
    await go(`${listPath}/imports`);
    const rows = Array.from({ length: importedRows }, (_, i) => `person${i}@example.com`);
    rows.splice(500, 0, 'not an address');
    await page.locator('#file').setInputFiles({
      ...{ name: 'old.csv', mimeType: 'text/csv' },
      buffer: Buffer.from(`email\n${rows.join('\n')}\n`),
    });
    await press('Upload and check');
    await press('Start import');
    const seen: number[] = [];
    const deadline = Date.now() + 100_000;
    for (let reloads = 0; Date.now() < deadline;) {
      const value = await page
        .evaluate<number | null>('document.querySelector("progress")?.value ?? null')
        .catch(() => undefined);
      // Between two pages there is nothing to read.
      if (value === undefined) continue;
      if (value === null) break;
      if (seen.at(-1) !== value) seen.push(value);
      // The bar keeps true where the page is loaded anew.
      if (seen.length === 4 && reloads++ === 0) await page.reload();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(seen.length >= 4, `it moved: ${seen.join()}`);
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
      'forwards only',
    );
    await sees(importedRows.toLocaleString('en'));
    await follow(/refused/i);
  });

  it('gives what a search finds as an encrypted ZIP file', async function () {
    if (sevenZip === null) throw new Error('7-Zip is not here');
    await go(`${listPath}/opt-outs`);
    await page.getByRole('searchbox').fill('person9999');
    await press('Search');
    await follow('Download');
    await page.getByLabel('Password for the ZIP file').fill('sesame street');
    const [download] = await Promise.all([page.waitForEvent('download'), press('Download')]);
    const file = unzip(await readFile(await download.path()), 'sesame street');
    assert.equal(file.code, 0);
    assert.match(file.method, /AES-256/);
    const [head, ...lines] = file.content
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .trim()
      .split('\r\n');
    assert.equal(head, 'created,email,filtername');
    // person9999, and person99990 to person99999.
    assert.equal(lines.length, 11);
    assert.notEqual(unzip(await readFile(await download.path()), 'sesame').code, 0);
  });

  it('gives a mailer a new key, shown once, while the old one goes on', async () => {
    const account = /\/console\/accounts\/\d+/.exec(
      (await page.locator('a.where').getAttribute('href')) ?? '',
    )?.[0];
    await go(`${account}/mailers/new`);
    await page.getByLabel('Name', { exact: true }).fill('Post House');
    await press('Create mailer');
    await page.waitForURL(/\/mailers\/\d+/);
    await go(/\/console\/accounts\/\d+\/mailers\/\d+/.exec(page.url())?.[0] ?? '');
    const keys: string[] = [];
    for (let i = 0; i < 2; i++) {
      await follow('New key');
      await page.getByLabel('Your password').fill(goodPassword);
      await press('Make the key');
      keys.push(await page.locator('#key').innerText());
      await follow('I have copied the key');
      await page.waitForURL(/\/mailers\/\d+$/);
    }
    assert.ok(keys.every((key) => /^so_[\w-]{43}$/.test(key)) && keys[0] !== keys[1], 'two keys');
    const html = await page.content();
    for (const key of keys) {
      assert.ok(!html.includes(key), 'never shown again');
      assert.ok(html.includes(key.slice(-4)), 'told by its ending');
    }
  });

  it('is served by keyboard alone: from the sign-in to a new list', async () => {
    await newContext({ javaScriptEnabled: false });
    await go('/console/sign-in');
    await page.waitForSelector('#email:focus');
    await page.keyboard.type(email);
    await page.keyboard.press('Tab');
    await page.keyboard.type(goodPassword);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#code:focus');
    await page.keyboard.type(recoveryCodes[0] ?? '');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/console/accounts');
    // The first stop leads past what stands on every page.
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.className'), 'skip');
    await page.keyboard.press('Enter');
    await tabTo('Olive & Sons');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/lists');
    await tabTo('New list');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/lists/new');
    await page.waitForSelector('#name:focus');
    await page.keyboard.type('Keys only');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/service?done=list-created');
  });

  it('signs out everywhere, and leaves nothing behind', async () => {
    await page.locator('details.me summary').click();
    await press('Sign out');
    await sees('You are signed out.');
    await go(`${listPath}/opt-outs`);
    assert.match(page.url(), /\/console\/sign-in\?next=/);
    assert.deepEqual(await context.cookies(), []);
  });

  it('has broken no rule of its own policy, and no script', () => {
    assert.deepEqual(faults, []);
  });

  async function tabTo(text: string): Promise<void> {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const here = await page.evaluate<string>('document.activeElement?.textContent?.trim() ?? ""');
      if (here === text) return;
    }
    assert.fail(`Tab does not lead to ${text}`);
  }
});
