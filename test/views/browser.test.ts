import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { languages } from '../../src/core/languages.js';
import { stylesheet } from '../../src/http/view-frame.js';
import { renderThankYouPage } from '../../src/http/views.js';
import { axeSource, lookedAt } from '../support/axe.js';
import { list, optOutPage, pageStates, payloads } from './pages.js';

const executablePath = process.env.SIGNOFF_CHROMIUM ?? '/usr/bin/chromium';
const quiet =
  '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'";
const phone = { width: 390, height: 844 };
/** A window of 640 px is 320 CSS px wide at 200 %; type alone can be doubled in a window of 640. */
const windows = [
  { width: phone.width, type: 1 },
  { width: 1440, type: 1 },
  { width: 320, type: 1 },
  { width: 640, type: 2 },
];
const all = { rules: { 'target-size': { enabled: true } } };
const colours = { runOnly: ['color-contrast'] };
const inFull = ['en', 'ar', 'ja', 'de'];

describe('The hosted pages in a browser', function () {
  this.timeout(300_000);
  let server: Server;
  let browser: Browser;
  let origin: string;
  const pages = new Map<string, string>();
  const requests: string[] = [];
  const posted: string[] = [];

  before(async function () {
    if (!existsSync(executablePath)) {
      assert.notEqual(process.env.CI, 'true', `${executablePath} is missing`);
      this.skip();
    }
    server = createServer((req, res) => {
      const path = (req.url ?? '').split('?')[0] ?? '';
      requests.push(path);
      if (!path.startsWith('/frames/')) res.setHeader('Content-Security-Policy', policy);
      if (path === '/axe.js') {
        res
          .writeHead(200, { 'Content-Type': 'text/javascript', 'Cache-Control': 'max-age=600' })
          .end(axeSource);
      } else if (path === stylesheet.path) {
        res.writeHead(200, { 'Content-Type': 'text/css' }).end(stylesheet.css);
      } else if (req.method === 'POST') {
        let body = '';
        req.setEncoding('utf8').on('data', (part: string) => (body += part));
        req.on('end', () => {
          posted.push(body);
          res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(pages.get('/en/thank-you'));
        });
      } else {
        const html = pages.get(decodeURIComponent(path));
        res.writeHead(html ? 200 : 404, { 'Content-Type': 'text/html; charset=utf-8' }).end(html);
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const { code } of languages) {
      for (const [state, html] of Object.entries(pageStates(code, origin)))
        pages.set(`/${code}/${state}`, html);
    }
    browser = await chromium.launch({ executablePath, args: quiet.split(' ') });
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });

  for (const { code } of languages) {
    it(`have no accessibility fault that axe can find, unfolded, light or dark: ${code}`, async () => {
      // The pages' own policy would keep axe out; nothing else is let in by this.
      await visitEach(pathsOf(code), { bypassCSP: true, viewport: phone }, async (page, path) => {
        await page.addScriptTag({ url: `${origin}/axe.js` });
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          const { faults, hasContrast } = await lookedAt(page, colorScheme === 'dark' ? colours : all);
          assert.deepEqual(faults, [], `${path}, ${colorScheme}`);
          assert.ok(hasContrast);
        }
      });
    });

    it(`need no scrolling sideways at 320 px or at 200 %, and are easy to press: ${code}`, async () => {
      const paths = pathsOf(code);
      const inFrames = paths.flatMap((path) => windows.map((one) => ({ ...one, path })));
      const frame = ({ path, width, type }: (typeof inFrames)[number]) =>
        `<iframe src="${encodeURI(path)}" width="${width}" height="600" name="${type * 106.25}%"></iframe>`;
      pages.set(`/frames/${code}`, `<!doctype html>${inFrames.map(frame).join('')}`);
      await visit({ viewport: phone }, async (page) => {
        await page.goto(`${origin}/frames/${code}`);
        const measured = await page.evaluate<Measured[]>(measureFrames);
        assert.deepEqual(
          measured.map(({ path }) => decodeURI(path)),
          inFrames.map(({ path }) => path),
        );
        for (const { path, width, needed, seen, targets } of measured) {
          assert.ok(needed <= seen, `${path}: ${needed} > ${seen} at ${width} px`);
          for (const [html, height] of targets) {
            assert.ok(height >= 44, `${path}: ${html} is ${height} px high at ${width} px`);
          }
        }
      });
    });
  }

  it('are served by keyboard alone and without script: type, Enter', async () => {
    await visit({ javaScriptEnabled: false }, async (page) => {
      await page.goto(`${origin}/ja/form`);
      await page.waitForSelector('#email:focus');
      await page.keyboard.type('mai+a@example.com');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.done');
      assert.equal(posted.pop(), 'lang=ja&email=mai%2Ba%40example.com');
    });
  });

  it('are served by keyboard alone and without script: a tag or everything, and the button', async () => {
    await visit({ javaScriptEnabled: false }, async (page) => {
      await page.goto(`${origin}/en/form with a tag`);
      await page.waitForSelector('#email:focus');
      await page.keyboard.type('mai@example.com');
      await page.keyboard.press('Tab');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Space');
      await page.waitForSelector('.done');
      assert.equal(posted.pop(), 'lang=en&tag=offers&email=mai%40example.com&scope=all');
    });
  });

  it('are served by keyboard alone and without script: confirm is the first thing to press', async () => {
    await visit({ javaScriptEnabled: false }, async (page) => {
      await page.goto(`${origin}/ar/confirm`);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.done');
      assert.equal(posted.pop(), 'lang=ar&email=mai%40example.com');
    });
  });

  it('change language by keyboard alone', async () => {
    await visit({ javaScriptEnabled: false }, async (page) => {
      pages.set(`/l/${list.publicId}`, pages.get('/ja/form') ?? '');
      await page.goto(`${origin}/en/form`);
      const summary = page.locator('summary');
      for (let tabs = 0; tabs < 10 && !(await summary.evaluate(isFocused)); tabs++)
        await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      for (const { code } of languages) {
        await page.keyboard.press('Tab');
        if (code === 'ja') break;
      }
      await page.keyboard.press('Enter');
      await page.waitForSelector('html[lang=ja]');
    });
  });

  it('take the full-width @ and the double dots that type=email would not', async () => {
    await visit({}, async (page) => {
      for (const address of ['mai＠example.com', 'mai..x.@docomo.ne.jp', '"a b"@example.com']) {
        await page.goto(`${origin}/ja/form`);
        await page.fill('#email', address);
        await page.click('button');
        await page.waitForSelector('.done');
        assert.equal(new URLSearchParams(posted.pop()).get('email'), address);
      }
    });
  });

  it('load one stylesheet, nothing else, and set no cookie', async () => {
    await visit({}, async (page, context) => {
      requests.length = 0;
      await page.goto(`${origin}/en/thank-you`);
      const loaded = new Set(requests.filter((path) => path !== '/favicon.ico'));
      assert.deepEqual(loaded, new Set(['/en/thank-you', stylesheet.path]));
      assert.deepEqual(await context.cookies(), []);
    });
  });

  it('run nothing that anybody typed, even without a policy', async () => {
    const typed = new Map<string, string>();
    for (const [place, text] of payloads.entries()) {
      const hostile = { ...list, name: text, operatorName: text, postalAddress: text, contact: text };
      const changes = { list: hostile, baseUrl: origin, email: text, tag: text, redirectHost: text };
      const own = { markdown: `# ${text}\n\n${text}\n\n[${text}](${text})`, language: 'en' };
      const shown = {
        a: optOutPage('en', { ...changes, errorCode: 'no-at' }),
        b: optOutPage('ar', { ...changes, mode: 'confirm' }),
        c: renderThankYouPage({ list: hostile, language: 'en', baseUrl: origin, email: text, text: own }),
      };
      for (const [kind, html] of Object.entries(shown)) {
        pages.set(`/${kind}${place}`, html);
        typed.set(`/${kind}${place}`, text);
      }
    }
    await visitEach([...typed.keys()], { bypassCSP: true }, async (page, path) => {
      const text = typed.get(path);
      assert.equal(await page.evaluate('window.broken'), undefined, `${path}: ${text}`);
      const foreign = page.locator('main > :is(script, img, iframe, svg:not(.done), b)');
      assert.equal(await foreign.count(), 0, text);
      const links = await page
        .locator('a')
        .evaluateAll((found) => found.map((a) => (a as { href?: string }).href));
      for (const href of links) assert.match(href ?? '', /^(?:https?|mailto):/, text);
    });
  });

  /** Every state where the scripts differ most; elsewhere those with the most text in them. */
  function pathsOf(code: string): string[] {
    const states = [...pages.keys()].filter((path) => path.startsWith(`/${code}/`));
    return inFull.includes(code)
      ? states
      : states.filter((path) => /\/(?:form with a tag|thank-you)$/.test(path));
  }

  /** Opens each path, unfolded, in one of four tabs. */
  async function visitEach(
    paths: string[],
    options: Parameters<Browser['newContext']>[0],
    look: (page: Page, path: string) => Promise<void>,
  ): Promise<void> {
    const left = [...paths];
    await visit(options, async (_, context) => {
      const tabs = Array.from({ length: 4 }, async () => {
        const page = await context.newPage();
        for (let path = left.shift(); path !== undefined; path = left.shift()) {
          await page.goto(origin + path);
          await unfold(page);
          await look(page, path);
        }
      });
      await Promise.all(tabs);
    });
  }

  async function visit(
    options: Parameters<Browser['newContext']>[0],
    look: (page: Page, context: BrowserContext) => Promise<void>,
  ): Promise<void> {
    const context = await browser.newContext(options);
    try {
      await look(await context.newPage(), context);
    } finally {
      await context.close();
    }
  }
});

async function unfold(page: Page): Promise<void> {
  await page.locator('details').evaluateAll((found: { open: boolean }[]) => {
    for (const details of found) details.open = true;
  });
}

interface Measured {
  readonly path: string;
  readonly width: number;
  /** How wide the page would be, and what is seen of it. */
  readonly needed: number;
  readonly seen: number;
  /** What can be pressed, and its height: 44 px, but for links inside an owner's text (WCAG 2.5.8 leaves these out). */
  readonly targets: [html: string, height: number][];
}

/** Runs in the browser: each frame is a window of its own width, with the size of type that its name says. */
const measureFrames = `[...document.querySelectorAll('iframe')].map(({ contentDocument: page, width, name }) => {
  for (const details of page.querySelectorAll('details')) details.open = true;
  const { documentElement: root } = page;
  root.style.setProperty('font-size', name, 'important');
  const pressed = [...page.querySelectorAll('a, button, summary, #email, fieldset label')];
  return {
    path: page.location.pathname,
    width: Number(width),
    needed: root.scrollWidth,
    seen: root.clientWidth,
    targets: pressed
      .filter((element) => element.closest('.text') === null)
      .map((element) => [element.outerHTML, element.getBoundingClientRect().height]),
  };
})`;

function isFocused(element: { ownerDocument: { activeElement: unknown } }): boolean {
  return element.ownerDocument.activeElement === element;
}
