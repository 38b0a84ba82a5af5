import assert from 'node:assert/strict';
import { isSuppressed } from '../../src/core/suppressed.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';
import { environmentOf, signoff } from './signoff.js';

describe('The command signoff, beside the running service', function () {
  this.timeout(120_000);
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  it('reads and writes while the service records, and neither keeps the other from it', async () => {
    const list = await makeList(service);
    const { key } = await makeMailer(service, list);
    const notify = `${service.url}/l/${list.publicId}/notify`;
    let isOver = false;
    const answers: number[] = [];
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; !isOver; i++) {
        const body = new URLSearchParams({ email: `writer${writer}-${i}@example.com` });
        answers.push((await fetch(notify, { method: 'POST', body })).status);
      }
    });
    const people = Array.from({ length: 3000 }, (_, i) => `person${i}@example.com`);
    const run = (args: string[], input = '') => signoff(environmentOf(service.databaseUrl), args, { input });
    try {
      const [added, edited, one, audited] = await Promise.all([
        run(['opt-out', 'add', list.publicId, '-'], people.join('\n')),
        run(['list', 'edit', list.publicId, '--tag', 'sale', '--contact', 'ann@acme.example']),
        run(['opt-out', 'add', list.publicId, 'ann@example.com']),
        run(['audit']),
      ]);
      for (const ran of [added, edited, one, audited]) assert.equal(ran.code, 0, ran.stderr + ran.stdout);
      assert.equal((await run(['opt-out', 'remove', list.publicId, 'person7@example.com'])).code, 0);
    } finally {
      isOver = true;
      await Promise.all(writers);
    }
    assert.deepEqual([...new Set(answers)], [200]);
    await untilNumbered(service, list);

    const { db } = service.deps;
    assert.equal(await isSuppressed(db, list.id, 'ann@example.com'), true);
    assert.equal(await isSuppressed(db, list.id, 'person7@example.com'), false);
    const download = await fetch(`${service.url}/l/${list.publicId}/download?format=plain&key=${key}`);
    const lines = (await download.text()).trimEnd().split('\n');
    assert.equal(lines.length, answers.length + people.length);
    const audited = await run(['audit']);
    assert.equal(audited.code, 0, audited.stdout);

    const shown = (await run(['list', 'show', list.publicId, '--json'])).json<{
      counts: Record<string, number>;
      downloads: Record<string, unknown>[];
      is_pending: boolean;
    }>();
    assert.equal(shown.is_pending, false);
    assert.equal(shown.counts.addresses, lines.length);
    assert.equal(shown.downloads[0]?.entries, lines.length);
  });
});
