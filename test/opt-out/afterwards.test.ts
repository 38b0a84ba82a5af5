import assert from 'node:assert/strict';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import { escaped, textOf } from '../support/html.js';
import { makeList, startTestService, type TestService } from '../support/service.js';

describe('After an opt-out, its thank-you page', () => {
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
  });
  after(() => service.close());

  const post = (path: string, fields: Record<string, string>) =>
    request(service.url)
      .post(`/l/${list.publicId}${path}`)
      .set('Accept-Language', 'en')
      .type('form')
      .send(fields);

  async function leave(email: string): Promise<string> {
    const { text } = await post('/opt-out', { email });
    const [, token] = /name="token" value="([\w-]+)"/.exec(text) ?? [];
    assert.ok(token, 'the page has its receipt');
    return token;
  }

  const isOnList = (email: string) => isSuppressed(service.deps.db, list.id, email);

  it('shows a receipt number, asks why, and offers an undo, without script or cookie', async () => {
    const answer = await post('/opt-out', { email: 'ann@example.com' });
    assert.match(answer.text, /[0-9A-F][0-9A-Z]{3}-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]</);
    for (const key of ['reason.question', 'reason.spam', 'thankYou.undo']) {
      assert.ok(answer.text.includes(escaped(textOf('en', key))), key);
    }
    assert.doesNotMatch(answer.text, /<script|style=/);
    assert.equal(answer.headers['set-cookie'], undefined);
    assert.match(answer.headers['content-security-policy'] ?? '', /form-action 'self'$/);
  });

  it('takes back what was recorded, and nothing that stood before; both are answered alike', async () => {
    const first = await leave('bob@example.com');
    const other = await leave('cat@example.com');
    const again = await leave('bob@example.com');
    const [undone, kept] = [await post('/undo', { token: other }), await post('/undo', { token: again })];
    assert.equal(await isOnList('cat@example.com'), false);
    assert.equal(await isOnList('bob@example.com'), true, 'this request had recorded nothing');
    assert.deepEqual([kept.status, kept.text], [undone.status, undone.text]);
    assert.equal(undone.status, 200);
    await post('/undo', { token: first });
    assert.equal(await isOnList('bob@example.com'), true, 'it was recorded again since');
  });

  it('keeps the reason', async () => {
    const token = await leave('dan@example.com');
    const answer = await post('/reason', { token, reason: 'never-signed-up' });
    assert.equal(answer.status, 200);
    const [row] = await findOptOuts(service.deps.db, list.id, 'dan@example.com');
    assert.equal(row?.reason?.toString(), 'never-signed-up');
    assert.equal((await post('/reason', { token, reason: 'because' })).status, 400);
  });

  it('answers 410 to what is no receipt, and changes nothing', async () => {
    await leave('eve@example.com');
    for (const token of ['', 'x', 'A'.repeat(120)]) {
      assert.equal((await post('/undo', { token })).status, 410);
      assert.equal((await post('/reason', { token, reason: 'spam' })).status, 410);
    }
    assert.equal(await isOnList('eve@example.com'), true);
  });

  it('takes a receipt for its own list alone', async () => {
    const token = await leave('fay@example.com');
    const elsewhere = await makeList(service);
    await request(service.url).post(`/l/${elsewhere.publicId}/undo`).type('form').send({ token });
    assert.equal(await isOnList('fay@example.com'), true);
  });

  it('sends whoever opens its forms’ addresses back to the page', async () => {
    for (const path of ['/undo', '/reason', '/opt-out']) {
      const answer = await request(service.url).get(`/l/${list.publicId}${path}`);
      assert.deepEqual([answer.status, answer.headers.location], [303, `/l/${list.publicId}`]);
    }
  });

  it('has none of these where the list sends recipients elsewhere', async () => {
    const away = await makeList(service, { redirectTemplate: 'https://example.com/bye' });
    const answer = await request(service.url)
      .post(`/l/${away.publicId}/opt-out`)
      .type('form')
      .send({ email: 'gus@example.com' });
    assert.equal(answer.status, 303);
  });
});
