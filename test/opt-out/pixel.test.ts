import assert from 'node:assert/strict';
import request from 'supertest';
import { editList, type List } from '../../src/core/lists.js';
import { addressesOf, onlyRowOf, problemIn } from '../support/records.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { imageOfBrowser, program } from '../support/visitors.js';

describe('The pixel', () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
  });

  const get = (query = 'email=ann@example.com') =>
    request(service.url).get(`/l/${list.publicId}/pixel.gif?${query}`).set(imageOfBrowser);

  it('is an image of one transparent point, that any page may show and nobody may keep', async () => {
    const answer = await get();
    assert.equal(answer.status, 200);
    assert.equal(answer.type, 'image/gif');
    const gif = answer.body as Buffer;
    assert.equal(gif.subarray(0, 6).toString(), 'GIF89a');
    assert.deepEqual([gif.readUInt16LE(6), gif.readUInt16LE(8)], [1, 1]);
    assert.equal(gif.at(-1), 0x3b, 'it is whole');
    assert.equal(answer.get('Content-Length'), String(gif.length));
    assert.equal(answer.get('Cache-Control'), 'no-store, no-transform');
    assert.equal(answer.get('Cross-Origin-Resource-Policy'), 'cross-origin');
    assert.equal(answer.get('X-Content-Type-Options'), 'nosniff');
    assert.equal(answer.get('Set-Cookie'), undefined);
  });

  it('records on GET by whoever asks: it stands on the pages of mailers', async () => {
    for (const headers of [imageOfBrowser, program, { Accept: 'text/html', 'Accept-Language': 'en' }, {}]) {
      const own = await makeList(service, { ipWhitelist: '' });
      const path = `/l/${own.publicId}/pixel.gif?email=ann@example.com`;
      assert.equal((await request(service.url).get(path).set(headers)).type, 'image/gif');
      assert.equal((await onlyRowOf(service, own)).source, 'pixel');
    }
  });

  it('takes no POST and no HEAD', async () => {
    const path = `/l/${list.publicId}/pixel.gif?email=ann@example.com`;
    const post = await request(service.url).post(path).type('form').send('List-Unsubscribe=One-Click');
    assert.deepEqual([post.status, post.get('Allow')], [405, 'GET, OPTIONS']);
    assert.equal((await request(service.url).head(path)).status, 405);
    assert.deepEqual(await addressesOf(service, list), []);
  });

  it('can be turned off and on, which holds within two seconds', async () => {
    const off = await makeList(service, { pixel: false });
    const path = `/l/${off.publicId}/pixel.gif?email=ann@example.com`;
    const answer = await request(service.url).get(path);
    assert.equal(answer.status, 403);
    assert.equal(problemIn(answer).code, 'pixel-off');
    assert.deepEqual(await addressesOf(service, off), []);

    assert.equal((await get()).status, 200);
    await editList(service.deps.db, list, { pixel: false }, { actor: 'test' });
    const editedAt = Date.now();
    await until('the pixel is off', async () => (await get('email=bob@example.com')).status === 403);
    assert.ok(Date.now() - editedAt < 3000);
  });

  it('answers what went wrong without an image', async () => {
    for (const query of [
      '',
      'email=',
      'email=ann',
      'email={{email}}',
      'email=ann@example.com&email=bob@example.com',
    ]) {
      const answer = await get(query);
      assert.equal(answer.status, 400);
      assert.equal(problemIn(answer).field, 'email');
    }
    assert.deepEqual(await addressesOf(service, list), []);
  });
});
