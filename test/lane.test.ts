import assert from 'node:assert/strict';
import request, { type Response } from 'supertest';
import type { List } from '../src/core/lists.js';
import { createApp } from '../src/app.js';
import { createLane } from '../src/lane.js';
import { addressesOf } from './support/records.js';
import { makeList, startTestService, type TestService } from './support/service.js';
import { browser, imageOfBrowser } from './support/visitors.js';

type Ask = (service: TestService, at: string, email: string) => Promise<Response>;

/** What programs ask of the doors, good and bad; `at` is the list's link. */
const asked: Record<string, Ask> = {
  'a one-click': (service, at, email) =>
    request(service.url).post(at).query({ email }).type('form').send('List-Unsubscribe=One-Click'),
  'a one-click that is none': (service, at, email) =>
    request(service.url).post(at).query({ email }).type('form').send('x=y'),
  'a one-click in another type': (service, at, email) =>
    request(service.url).post(at).query({ email }).type('text/plain').send('x'),
  'a pixel': (service, at, email) => request(service.url).get(`${at}/pixel.gif`).query({ email }),
  'an image on the link': (service, at, email) =>
    request(service.url).get(at).query({ email }).set(imageOfBrowser),
  'a pixel by POST': (service, at, email) => request(service.url).post(`${at}/pixel.gif`).query({ email }),
  'a notification': (service, at, email) =>
    request(service.url).post(`${at}/notify`).type('form').send({ email }),
  'a notification by GET': (service, at, email) => request(service.url).get(`${at}/notify`).query({ email }),
  'a notification of nobody': (service, at) => request(service.url).get(`${at}/notify`),
  'a download without a key': (service, at) => request(service.url).get(`${at}/download`),
  OPTIONS: (service, at) => request(service.url).options(`${at}/pixel.gif`),
  'a page': (service, at) => request(service.url).get(at).set(browser),
  'a confirmation': (service, at, email) => request(service.url).get(at).query({ email }).set(browser),
};

describe('The lane ahead of Express', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const told = ({ status, headers, body, text }: Response, list: List) => {
    const { date: _date, ...rest } = headers as Record<string, string>;
    return JSON.stringify({ status, headers: rest, body: body as unknown, text }).replaceAll(
      list.publicId,
      'ID',
    );
  };

  for (const [what, ask] of Object.entries(asked)) {
    it(`answers ${what} as Express's table would, and records the same`, async () => {
      const [straight, round] = [await makeList(service), await makeList(service)];
      const one = await ask(service, `/l/${straight.publicId}`, 'ann@example.com');
      const other = await ask(service, `/L/${round.publicId}`, 'ann@example.com');
      assert.equal(told(one, straight), told(other, round));
      assert.deepEqual(await addressesOf(service, straight), await addressesOf(service, round));
    });
  }

  it('takes what is spelled as we write it, and leaves all else to Express', () => {
    const lane = createLane(service.deps);
    createApp(service.deps, lane);
    let left: string[] = [];
    const answer = lane.orElse((req) => void left.push(req.url ?? ''));
    const isTaken = (url: string) => {
      left = [];
      const res = { writeHead: () => res, setHeader: () => res, end: () => res };
      answer({ url, method: 'OPTIONS', headers: {} } as never, res as never);
      return left.length === 0;
    };
    const publicId = 'abcdefghjkmnpqrstuvw';
    for (const path of [
      `/l/${publicId}/pixel.gif`,
      `/o/${publicId}/notify`,
      `/l/${publicId}/notify?email=a`,
    ]) {
      assert.equal(isTaken(path), true, path);
    }
    for (const path of [
      '/',
      '/l',
      `/l/${publicId}/`,
      `/l/${publicId}/undo`,
      `/L/${publicId}/notify`,
      `/l/%61/notify`,
    ]) {
      assert.equal(isTaken(path), false, path);
    }
  });
});
