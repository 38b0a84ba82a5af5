import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { linksOf } from '../src/core/links.js';
import type { List } from '../src/core/lists.js';
import type { ListSettings } from '../src/core/list-settings.js';
import { mintToken, newestLinkKey } from '../src/core/signed-links.js';
import { executablePath, quiet } from '../test/support/browser.js';
import { makeList, startTestService, type TestService } from '../test/support/service.js';
import { browser, imageOfBrowser, prefetches, scanners, type Headers } from '../test/support/visitors.js';
import type { Finding, Proof } from './proof.js';

const recipient = 'ann@example.com';
/** How far the robot goes from a mail's link: its page, what that links to, and what that does. */
const deepest = 3;
const mostFetched = 60;

/** Promise 4: robots that open a mail's every link, and all that these lead to, opt nobody out. */
export const machines: Proof = {
  promise: 4,
  name: 'machines',
  says: 'Machines opt nobody out',
  engines: ['sqlite', 'mysql'],
  isQuickToo: true,
  async prove({ size, say }) {
    // Without a base URL of its own, so that the links lead to this service.
    const service = await startTestService({ NODE_ENV: 'test', BASE_URL: '' });
    try {
      const findings: Finding[] = [];
      const visitors = { ...scanners, ...prefetches, 'a browser that loads images': imageOfBrowser };
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        say(method);
        findings.push(await robots(service, method, visitors));
      }
      findings.push(await instantControl(service), await pixelControl(service));
      if (size === 'long') findings.push(...(await inChromium(service)));
      return findings;
    } finally {
      await service.close();
    }
  },
};

/** As a mail has them: the links in its text, those of its headers, and as a program that guesses would write them. */
async function linksOfMail(service: TestService, list: List): Promise<string[]> {
  const { baseUrl, db, secret } = service.deps;
  const { page, directLink } = linksOf(baseUrl, list, encodeURIComponent(recipient));
  const key = await newestLinkKey(db, secret, list);
  const signed = [recipient, 'ben@example.com'].map((email) => `${baseUrl}/o/${mintToken(key, email, '*')}`);
  return [page, directLink, `${directLink}&tag=offers&mailer=1`, `${page}?item=${recipient}`, ...signed];
}

async function robots(
  service: TestService,
  method: string,
  visitors: Readonly<Record<string, Headers>>,
): Promise<Finding> {
  let sent = 0;
  let succeeded = 0;
  let rows = 0;
  for (const headers of Object.values(visitors)) {
    // What loads an image has found a pixel, which mails do not hold: on the list's link, it is turned off.
    const settings = headers['Sec-Fetch-Dest'] === 'image' ? { pixel: false } : {};
    const list = await newList(service, settings);
    for (const link of await linksOfMail(service, list)) {
      const statuses = await crawl(service, method, link, headers);
      sent += statuses.length;
      succeeded += statuses.filter((status) => status < 400).length;
    }
    rows += await rowsOf(service, list);
  }
  return {
    what: `${method} of every link of a mail, and of all that its pages lead to, by ${Object.keys(visitors).length} kinds of robots`,
    sent,
    figure: `${succeeded} answered below 400; opt-outs: ${rows}`,
    holds: rows === 0 && succeeded > 0,
  };
}

/** Opens a link, follows its redirects, and goes on with all that the page names: links, files, forms' addresses. */
async function crawl(
  service: TestService,
  method: string,
  link: string,
  headers: Headers,
): Promise<number[]> {
  const statuses: number[] = [];
  const known = new Set<string>([link]);
  let next = [link];
  for (let depth = 0; depth < deepest; depth++) {
    const found: string[] = [];
    for (const url of next) {
      const answer = await fetch(url, { method, headers, redirect: 'manual' });
      statuses.push(answer.status);
      const text = await answer.text();
      const named = [...text.matchAll(/\b(?:href|src|action)="([^"]+)"/g)].map(([, one = '']) => one);
      for (const one of [...named, answer.headers.get('location') ?? '']) {
        const at = new URL(one.replaceAll('&amp;', '&'), url);
        const isHere = at.origin === service.deps.baseUrl;
        // A robot that looks at a form's address takes its fields along in the query.
        for (const target of isHere
          ? [at.href, `${at.href}${at.search === '' ? '?' : '&'}email=${recipient}`]
          : []) {
          if (one === '' || known.has(target) || known.size >= mostFetched) continue;
          known.add(target);
          found.push(target);
        }
      }
    }
    next = found;
  }
  return statuses;
}

/** The same robot, where the owner chose links that opt out at once. */
async function instantControl(service: TestService): Promise<Finding> {
  const list = await newList(service, { directLink: 'instant' });
  let sent = 0;
  for (const link of await linksOfMail(service, list)) {
    sent += (await crawl(service, 'GET', link, browser)).length;
  }
  const rows = await rowsOf(service, list);
  const what = 'the same robot where the owner chose `instant` links';
  return { what, sent, figure: `opt-outs: ${rows}`, holds: rows > 0, isControl: true };
}

async function pixelControl(service: TestService): Promise<Finding> {
  const list = await newList(service);
  const { pixel } = linksOf(service.deps.baseUrl, list, recipient);
  const { length: sent } = await crawl(service, 'GET', pixel, imageOfBrowser);
  const rows = await rowsOf(service, list);
  const what = "the same robot at a pixel, which stands on mailers' pages";
  return { what, sent, figure: `opt-outs: ${rows}`, holds: rows > 0, isControl: true };
}

/** A real browser opens each link, moves over all that can be pressed, and closes it again. */
async function inChromium(service: TestService): Promise<Finding[]> {
  const what = 'Chromium that opens every link, scrolls, hovers, and presses nothing';
  if (!existsSync(executablePath)) return [{ what, notRun: `${executablePath} is missing`, holds: true }];
  const running = await chromium.launch({ executablePath, args: quiet.split(' ') });
  try {
    const open = async (list: List) => {
      let requests = 0;
      for (const link of await linksOfMail(service, list)) {
        const page = await running.newPage();
        page.on('request', () => requests++);
        await page.goto(link, { waitUntil: 'load' });
        for (const one of await page.locator('a, button, input').all()) {
          const box = await one.boundingBox();
          if (box !== null) await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
        }
        await page.mouse.wheel(0, 2000);
        await page.close();
      }
      return { requests, rows: await rowsOf(service, list) };
    };
    const seen = await open(await newList(service));
    const instant = await open(await newList(service, { directLink: 'instant' }));
    return [
      {
        what,
        sent: seen.requests,
        figure: `opt-outs: ${seen.rows}`,
        holds: seen.rows === 0 && seen.requests > 0,
      },
      {
        what: 'the same, where the owner chose `instant` links',
        sent: instant.requests,
        figure: `opt-outs: ${instant.rows}`,
        holds: instant.rows > 0,
        isControl: true,
      },
    ];
  } finally {
    await running.close();
  }
}

/** In its default settings, but for what is said. */
function newList(service: TestService, settings: Partial<ListSettings> = {}): Promise<List> {
  return makeList(service, { ipWhitelist: '', ...settings });
}

async function rowsOf({ deps }: TestService, { id }: List): Promise<number> {
  return (await deps.db('opt_outs').where({ list_id: id }).select('tag')).length;
}
