import assert from 'node:assert/strict';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

describe('Signoff, end to end', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('takes an opt-out from a server and hands it out in the download', async () => {
    const list = await makeList(service);
    const { key } = await makeMailer(service, list);
    const link = `${service.url}/l/${list.publicId}`;
    const notified = await fetch(`${link}/notify`, {
      method: 'POST',
      body: new URLSearchParams({ email: 'Ann@Example.com' }),
    });
    assert.equal(notified.status, 200, await notified.text());
    await untilNumbered(service, list);
    const downloaded = await fetch(`${link}/download?format=plain&key=${key}`);
    assert.equal(await downloaded.text(), 'ann@example.com\n');
    const etag = downloaded.headers.get('etag') ?? '';
    const again = await fetch(`${link}/download?format=plain&key=${key}`, {
      headers: { 'If-None-Match': etag },
    });
    assert.equal(again.status, 304);
    const delta = await fetch(
      `${link}/download?format=plain&key=${key}&cursor=${downloaded.headers.get('signoff-cursor')?.replace(/\d+$/, '0')}`,
    );
    assert.equal(await delta.text(), '+ann@example.com\n');
    const since = await fetch(`${link}/download?format=plain&key=${key}&since=2020-01-01`);
    assert.equal(await since.text(), 'ann@example.com\n');
  });
});
