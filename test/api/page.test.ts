import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { chromium, type Browser } from 'playwright-core';
import request from 'supertest';
import { api } from '../../src/api/index.js';
import { operations } from '../../src/api/operations.js';
import { isUpload, type AnyOperation } from '../../src/api/operation.js';
import { curlOf } from '../../src/api/page-model.js';
import { problemTypes } from '../../src/api/problem-types.js';
import type { List } from '../../src/core/lists.js';
import { axeSource, lookedAt } from '../support/axe.js';
import { optOutOf } from '../support/core.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { clientOf, type Client } from './client.js';

const executablePath = process.env.SIGNOFF_CHROMIUM ?? '/usr/bin/chromium';
const run = promisify(execFile);

describe("The API's page", function () {
  this.timeout(120_000);
  let service: TestService;
  let html: string;
  before(async () => {
    service = await startTestService();
    html = (await request(service.url).get('/api/v1')).text;
  });
  after(() => service.close());

  it('is served to everyone under a policy that lets in one origin, and no script', async () => {
    const answer = await request(service.url).get('/api/v1');
    assert.deepEqual([answer.status, answer.type], [200, 'text/html']);
    const policy = String(answer.headers['content-security-policy']);
    assert.match(policy, /default-src 'none'; style-src 'self'/);
    assert.doesNotMatch(policy, /unsafe|script/);
    assert.equal(answer.headers['set-cookie'], undefined);
    assert.doesNotMatch(html, /<script|\son\w+=|style=/);
    for (const [, url = ''] of html.matchAll(/(?:href|src)="([^"]*)"/g)) {
      assert.match(url, /^(#|http:\/\/signoff\.test\/)/);
    }
    const head = await request(service.url).head('/api/v1');
    assert.deepEqual([head.status, head.headers['content-length']], [200, answer.headers['content-length']]);
  });

  it('has an anchor for every problem and every operation, and leads nowhere that is not', () => {
    const anchors = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    assert.equal(new Set(anchors).size, anchors.length);
    for (const name of [...Object.keys(problemTypes), ...operations.map(({ id }) => id)]) {
      assert.ok(anchors.includes(name), name);
    }
    for (const [, target] of html.matchAll(/href="#([^"]*)"/g)) assert.ok(anchors.includes(target), target);
  });

  it('prints commands that work as they stand', async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'signoff-curl-'));
    try {
      // The page names the service as the world knows it; here it is on another port.
      writeFileSync(
        path.join(folder, '.curlrc'),
        `connect-to = "signoff.test:80:127.0.0.1:${service.port}"\nsilent\nshow-error\nwrite-out = "\\n%{http_code}"\n`,
      );
      const { rights } = api.roles.find(({ name }) => html.includes(`--role ${name}`)) ?? { rights: [] };
      const call = await clientOf(service, { rights });
      for (const operation of operations) {
        const command = curlOf(operation, 'http://signoff.test');
        assert.ok(html.includes(escaped(command)), operation.id);
        const list = await makeList(service);
        await service.deps.recorder.record([optOutOf(list.id, 'ann@example.com')]);
        const { body } = operation;
        if (isUpload(body)) writeFileSync(path.join(folder, body.exampleFile), 'email\nbob@example.com\n');
        const set = { KEY: call.key, LIST: list.publicId, ID: await idFor(call, operation, list) };
        for (const name of Object.keys(set)) assert.match(html, new RegExp(`\n${name}=`));
        const env = { PATH: process.env.PATH, CURL_HOME: folder, ...set };
        const { stdout } = await run('bash', ['-c', command], { cwd: folder, env });
        const [, text = '', status] = /^([^]*)\n(\d+)$/.exec(stdout) ?? [];
        // What empties a list is refused until somebody has filled it in.
        const expected = operation.id === 'deleteOptOuts' ? ['400'] : Object.keys(operation.answers);
        assert.ok(expected.includes(status ?? ''), `${operation.id}: ${stdout}`);
        if (status === '204') assert.equal(text, '');
        else JSON.parse(text);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  describe('in a browser', () => {
    let browser: Browser;
    before(async function () {
      if (!existsSync(executablePath)) {
        assert.notEqual(process.env.CI, 'true', `${executablePath} is missing`);
        this.skip();
      }
      browser = await chromium.launch({
        executablePath,
        args: ['--headless', '--no-sandbox', '--disable-gpu'],
      });
    });
    after(() => browser?.close());

    for (const colorScheme of ['light', 'dark'] as const) {
      it(`has no accessibility fault that axe can find, at any width: ${colorScheme}`, async () => {
        const context = await browser.newContext({ bypassCSP: true, colorScheme });
        try {
          const page = await context.newPage();
          await page.route('http://signoff.test/**', async (route) => {
            const url = route.request().url().replace('http://signoff.test', service.url);
            const { text, headers } = await request(service.url)
              .get(url.slice(service.url.length))
              .buffer(true);
            await route.fulfill({ body: text, headers: headers });
          });
          for (const width of [320, 1280]) {
            await page.setViewportSize({ width, height: 900 });
            await page.goto('http://signoff.test/api/v1');
            await page.locator('details').evaluateAll((found: { open: boolean }[]) => {
              for (const details of found) details.open = true;
            });
            const [needed, seen] = await page.evaluate<[number, number]>(
              '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
            );
            assert.ok(needed <= seen, `${needed} > ${seen} at ${width} px`);
            await page.evaluate(axeSource);
            const rules = { 'target-size': { enabled: true } };
            const { faults, hasContrast } = await lookedAt(page, { rules });
            assert.deepEqual(faults, [], `${width} px`);
            assert.ok(hasContrast);
          }
        } finally {
          await context.close();
        }
      });
    }
  });
});

/** Of an import or a removal, where an operation wants one. */
async function idFor(call: Client, { path: of }: AnyOperation, { publicId }: List): Promise<string> {
  if (of.includes('{import}')) {
    const headers = { 'Content-Type': 'text/plain' };
    const { body } = await call('post', `/lists/${publicId}/imports`, { body: 'bob@example.com', headers });
    return (body as { id: string }).id;
  }
  if (!of.includes('{removal}')) return '';
  const { body } = await call('delete', `/lists/${publicId}/opt-outs?confirm=${publicId}`);
  const { id } = body as { id: number };
  await until('it is removed', async () => {
    const removal = await call('get', `/lists/${publicId}/removals/${id}`);
    return (removal.body as { state: string }).state === 'removed';
  });
  return String(id);
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&#34;')
    .replaceAll("'", '&#39;');
}
