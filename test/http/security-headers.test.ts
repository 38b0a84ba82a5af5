import assert from 'node:assert/strict';
import request, { type Response } from 'supertest';
import type { List } from '../../src/core/lists.js';
import { makeList, makeMailer, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';

const pageCsp =
  "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
const machineCsp = "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'";

/** Every way in, with what answers there. */
async function answersOf(service: TestService, list: List): Promise<Record<string, Response>> {
  const { key } = await makeMailer(service, list);
  const at = `/l/${list.publicId}`;
  const get = (path: string) => request(service.url).get(path).set(browser);
  const server = (path: string) => request(service.url).get(path);
  const form = (fields: object) =>
    request(service.url).post(`${at}/opt-out`).set(browser).type('form').send(fields);
  return {
    'page: form': await get(at),
    'page: confirm': await get(`${at}?email=ann@example.com`),
    'page: wrong address': await get(`${at}?email=ann`),
    'page: wrong form': await form({ email: 'ann' }),
    'page: thanks': await form({ email: 'ann@example.com' }),
    'page: no list': await get('/l/none'),
    'page: nowhere': await get('/nowhere'),
    'page: malformed': await get('/l/%ff'),
    'page: wrong method': await request(service.url).put(at).set(browser),
    'page: wrong type': await request(service.url)
      .post(`${at}/opt-out`)
      .set(browser)
      .type('text/plain')
      .send('x'),
    back: await get(`${at}/opt-out`),
    options: await request(service.url).options(at),
    stylesheet: await get('/signoff.css'),
    robots: await get('/robots.txt'),
    health: await server('/healthz'),
    ready: await server('/readyz'),
    'one-click': await request(service.url)
      .post(`${at}?email=ann@example.com`)
      .type('form')
      .send('List-Unsubscribe=One-Click'),
    'one-click: wrong': await request(service.url).post(at).type('form').send('x=y'),
    pixel: await server(`${at}/pixel.gif?email=ann@example.com`),
    'pixel: wrong': await server(`${at}/pixel.gif`),
    server: await server(`${at}/notify?email=ann@example.com`),
    'server: wrong': await server(`${at}/notify`),
    download: await server(`${at}/download?key=${key}`),
    'download: refused': await server(`${at}/download`),
  };
}

describe('The headers of every answer', () => {
  let service: TestService;
  let answers: Record<string, Response>;
  before(async () => {
    service = await startTestService();
    answers = await answersOf(service, await makeList(service));
  });
  after(() => service.close());

  it('keep pages out of frames, types from being guessed, and links from telling where one was', () => {
    for (const [what, answer] of Object.entries(answers)) {
      assert.equal(answer.get('X-Content-Type-Options'), 'nosniff', what);
      assert.equal(answer.get('X-Frame-Options'), 'DENY', what);
      assert.equal(answer.get('Referrer-Policy'), 'no-referrer', what);
      assert.equal(answer.get('Cross-Origin-Opener-Policy'), 'same-origin', what);
      const sharing = what === 'pixel' ? 'cross-origin' : 'same-origin';
      assert.equal(answer.get('Cross-Origin-Resource-Policy'), sharing, what);
      assert.equal(answer.get('Access-Control-Allow-Origin'), undefined, what);
    }
  });

  it('let a page load its stylesheet and send its form, and nothing else load anything', () => {
    for (const [what, answer] of Object.entries(answers)) {
      const expected = what.startsWith('page: ') ? pageCsp : machineCsp;
      assert.equal(answer.get('Content-Security-Policy'), expected, what);
    }
  });

  it('set no cookie, and tell nothing of what runs here', () => {
    for (const [what, answer] of Object.entries(answers)) {
      for (const name of ['Set-Cookie', 'X-Powered-By', 'Server'])
        assert.equal(answer.get(name), undefined, `${what}: ${name}`);
    }
  });

  it('let nobody keep or change what speaks of one person', () => {
    const kept = ['stylesheet', 'robots'];
    for (const [what, answer] of Object.entries(answers)) {
      if (kept.includes(what)) continue;
      assert.equal(answer.get('Cache-Control'), 'no-store, no-transform', what);
    }
    assert.match(String(answers.robots?.text), /Disallow: \/\n/);
    assert.equal(
      answers.stylesheet?.get('Cache-Control'),
      'no-cache',
      'it was asked for without its version',
    );
  });

  it('force no https where the service is reached by http', () => {
    for (const answer of Object.values(answers)) {
      assert.equal(answer.get('Strict-Transport-Security'), undefined);
      assert.doesNotMatch(String(answer.get('Content-Security-Policy')), /upgrade-insecure-requests/);
    }
  });

  it('keep browsers to https for a year where it is reached by that, and speak for this host alone', async () => {
    const secure = await startTestService({ BASE_URL: 'https://out.example.com' });
    try {
      for (const [what, answer] of Object.entries(await answersOf(secure, await makeList(secure)))) {
        assert.equal(answer.get('Strict-Transport-Security'), 'max-age=31536000', what);
      }
    } finally {
      await secure.close();
    }
  });
});
