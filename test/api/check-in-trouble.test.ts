import assert from 'node:assert/strict';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { plant, rowKinds } from '../support/core.js';
import { engine } from '../support/engine.js';
import { startFragileService, type FragileService } from '../support/faults.js';
import { makeList, until } from '../support/service.js';
import { clientOf, problemIn, type Client } from './client.js';

interface Checked {
  results: { may_mail: boolean }[];
}

const md5 = (text: string) => md5Of(text).toString('hex');
const sha256 = (text: string) => sha256Of(text).toString('hex');

describe("The API's check, in trouble,", () => {
  let service: FragileService;
  let call: Client;
  let path: string;
  before(async () => {
    service = await startFragileService({ SCRUBS_AT_ONCE: '1' });
    const list = await makeList(service);
    const rows = Array.from({ length: 3000 }, (_, i) => rowKinds.plain(`a${i}@example.com`));
    await plant(service.deps.db, list.id, rows);
    call = await clientOf(service);
    path = `/lists/${list.publicId}/check`;
  });
  after(() => service.close());

  it('goes through a list for SHA-256s for so many at once, and turns the others away for now', async () => {
    const body = { items: [sha256('a7@example.com'), sha256('nobody@example.com')] };
    const answers = await Promise.all(Array.from({ length: 6 }, () => call('post', path, { body })));
    const [told, busy] = [200, 503].map((status) => answers.filter((one) => one.status === status));
    assert.ok(told?.length && busy?.length, `${told?.length} told, ${busy?.length} turned away`);
    assert.equal(told.length + busy.length, 6);
    for (const answer of busy) {
      problemIn(answer, 'unavailable');
      assert.match(String(answer.headers['retry-after']), /^\d+$/);
    }
    assert.deepEqual(
      (told[0]?.body as Checked).results.map((one) => one.may_mail),
      [false, true],
    );
    assert.equal((await call('post', path, { body })).status, 200, 'those who came are gone');
    const others = { body: { items: ['a7@example.com'] } };
    const both = await Promise.all([call('post', path, { body }), call('post', path, others)]);
    assert.deepEqual(
      both.map(({ status }) => status),
      [200, 200],
    );
  });

  it('fails while the database does, and is never a yes', async () => {
    const mend = await service.loseDatabase();
    try {
      for (const item of ['a7@example.com', md5('a7@example.com'), sha256('a7@example.com')]) {
        const answer = await call('post', path, { body: { items: [item] } });
        // A file whose tables are not there is broken, and none that is away.
        problemIn(answer, engine === 'mysql' ? 'unavailable' : 'internal');
        assert.equal((answer.body as Partial<Checked>).results, undefined);
      }
    } finally {
      await mend();
    }
    await until('it is there again', async () => {
      const { status } = await call('post', path, { body: { items: ['a7@example.com'] } });
      return status === 200;
    });
  });
});
