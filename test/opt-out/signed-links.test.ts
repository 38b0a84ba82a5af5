import assert from 'node:assert/strict';
import request from 'supertest';
import type { ListSettings } from '../../src/core/list-settings.js';
import type { List } from '../../src/core/lists.js';
import { findOptOuts } from '../../src/core/suppressed.js';
import { mintToken, newestLinkKey, rotateLinkKey } from '../../src/core/signed-links.js';
import { addTags } from '../../src/core/tags.js';
import { forwarded, mailersNetwork, mailersServer } from '../support/doors.js';
import { formOf } from '../support/html.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { browser, imageOfBrowser, prefetches, program, scanners } from '../support/visitors.js';

describe('At the doors', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  async function signedPath(list: List, address = 'ann@example.com', tag = '*'): Promise<string> {
    const { db, secret } = service.deps;
    return `/o/${mintToken(await newestLinkKey(db, secret, list), address, tag)}`;
  }

  async function rowsOf(list: List, address = 'ann@example.com') {
    const rows = await findOptOuts(service.deps.db, list.id, address);
    return rows.map((row) => [row.source, row.tag.toString()]);
  }

  const oneClick = (path: string) =>
    request(service.url).post(path).type('form').send('List-Unsubscribe=One-Click');

  describe('A signed link', () => {
    const make = (settings: Partial<ListSettings> = {}) =>
      makeList(service, { ipWhitelist: mailersNetwork, ...settings });

    it('shows its address and one button, and records nothing by being opened', async () => {
      const list = await make();
      const path = await signedPath(list);
      for (const headers of [browser, ...Object.values(prefetches)]) {
        const opened = await request(service.url).get(path).set(headers);
        assert.equal(opened.status, 200);
      }
      for (const headers of Object.values(scanners)) await request(service.url).get(path).set(headers);
      await request(service.url).head(path).set(browser);
      await request(service.url).options(path);
      assert.deepEqual(await rowsOf(list), []);

      const { text } = await request(service.url).get(path).set(browser);
      assert.match(text, /<bdi>ann@example\.com<\/bdi>/);
      assert.doesNotMatch(text, /(action|href|value)="[^"]*\bann\b/, 'in no address, and in no field');
      const form = formOf(text);
      assert.ok(form?.isComplete);
      assert.equal(form.action, `${path}/opt-out`);
      const thanked = await request(service.url)
        .post(form.action)
        .type('form')
        .send(Object.fromEntries(form.fields));
      assert.equal(thanked.status, 200);
      assert.deepEqual(await rowsOf(list), [['page', '*']]);
    });

    it('takes one-click, the pixel and a whitelisted server', async () => {
      const list = await make();
      assert.equal((await oneClick(await signedPath(list))).status, 200);
      const pixel = await request(service.url)
        .get(`${await signedPath(list, 'bob@example.com')}/pixel.gif`)
        .set(imageOfBrowser);
      assert.equal(pixel.type, 'image/gif');
      const path = await signedPath(list, 'cat@example.com');
      assert.equal((await request(service.url).get(path).set(program)).status, 403);
      assert.equal((await forwarded(request(service.url).get(path).set(program), mailersServer)).status, 200);
      assert.deepEqual(await rowsOf(list), [['one-click', '*']]);
      assert.deepEqual(await rowsOf(list, 'bob@example.com'), [['pixel', '*']]);
      assert.deepEqual(await rowsOf(list, 'cat@example.com'), [['server', '*']]);
    });

    it('leaves its tag, or everything, whatever a form or a query adds', async () => {
      const list = await make();
      await addTags(service.deps.db, list.id, ['offers', 'news']);
      // Lists are remembered for two seconds: a new one with its tags is found by its first request.
      const path = await signedPath(list, 'ann@example.com', 'offers');
      const other = { email: 'bob@example.com', tag: 'news', scope: 'tag' };
      await request(service.url)
        .post(`${path}/opt-out?email=bob@example.com&tag=news`)
        .type('form')
        .send(other);
      assert.deepEqual(await rowsOf(list), [['page', 'offers']]);
      assert.deepEqual(await rowsOf(list, 'bob@example.com'), []);
      await request(service.url).post(`${path}/opt-out`).type('form').send({ scope: 'all' });
      assert.deepEqual(await rowsOf(list), [
        ['page', '*'],
        ['page', 'offers'],
      ]);
    });

    it('goes on opening when the key has been rotated', async () => {
      const list = await make();
      const path = await signedPath(list);
      await rotateLinkKey(service.deps.db, list, { actor: 'test' });
      assert.notEqual(await signedPath(list), path);
      assert.equal((await oneClick(path)).status, 200);
    });

    it('that is not ours is a 404, records nothing, and is counted', async () => {
      const list = await make();
      const path = await signedPath(list);
      const invalid = async () => (await service.deps.metrics.invalidTokens.get()).values[0]?.value ?? 0;
      const before = await invalid();
      const broken = [
        `${path.slice(0, -1)}${path.endsWith('A') ? 'B' : 'A'}`,
        '/o/x',
        `${path}x`,
        '/o/AQ',
        `/o/${'A'.repeat(3000)}`,
      ];
      for (const wrong of broken) {
        assert.equal((await oneClick(wrong)).status, 404, wrong);
        const page = await request(service.url).get(wrong).set(browser);
        assert.equal(page.status, 404);
        assert.equal(page.type, 'text/html');
        assert.equal((await request(service.url).get(`${wrong}/pixel.gif`)).status, 404);
        assert.equal(
          (
            await request(service.url)
              .post(`${wrong}/opt-out`)
              .type('form')
              .send({ email: 'ann@example.com' })
          ).status,
          404,
        );
      }
      assert.equal(await invalid(), before + 4 * broken.length);
      assert.deepEqual(await rowsOf(list), []);
    });

    it('can be demanded: then an unsigned one takes no one-click and no pixel, and shows the form', async () => {
      const list = await make({ signedLinksOnly: true, directLink: 'instant' });
      const plain = `/l/${list.publicId}`;
      const query = '?email=ann@example.com';
      const refused = [
        await oneClick(plain + query),
        await request(service.url).get(`${plain}/pixel.gif${query}`),
      ];
      for (const answer of refused) {
        assert.equal(answer.status, 403);
        assert.equal((answer.body as { code: string }).code, 'signed-link-needed');
      }
      const opened = await request(service.url)
        .get(plain + query)
        .set(browser);
      assert.equal(opened.status, 200);
      assert.equal(formOf(opened.text)?.isComplete, false, 'it is to be looked at and sent');
      assert.deepEqual(await rowsOf(list), []);

      const typed = await request(service.url)
        .post(`${plain}/opt-out`)
        .type('form')
        .send({ email: 'dan@example.com' });
      assert.equal(typed.status, 200);
      const told = await forwarded(
        request(service.url).get(`${plain}/notify?email=eve@example.com`),
        mailersServer,
      );
      assert.equal(told.status, 200);
      assert.equal((await oneClick(await signedPath(list))).status, 200);
      const instant = await request(service.url)
        .get(await signedPath(list, 'bob@example.com'))
        .set(browser);
      assert.equal(formOf(instant.text)?.action.endsWith('/reason'), true, 'recorded, and thanked');
    });
  });
});
