import assert from 'node:assert/strict';
import request from 'supertest';
import { findOptOuts } from '../../src/core/suppressed.js';
import { skipBecause } from '../support/engine.js';
import { startTestService, untilNumbered, type TestService } from '../support/service.js';
import { sevenZip } from '../support/seven-zip.js';
import { browser } from '../support/visitors.js';
import { openStore, type Store } from './square-store.js';
import { leaveByForm, waysIn } from './square-ways-in.js';
import { assertSeen, waysOut, type Left } from './square-ways-out.js';

const all = 'all@example.com';
const offers = 'offers@example.com';
const both = 'both@example.com';
const nobody = 'nobody@example.com';

/** One way in which opt-outs are taken back. */
interface Removal {
  readonly name: string;
  readonly remove: (store: Store) => Promise<void>;
  /** What is left then of those that every list has at first. */
  readonly leaves: Partial<Left>;
}

/** What stands on each list, before something of it is removed. */
const atFirst: Left = { [all]: ['*'], [offers]: ['offers'], [both]: ['*', 'offers'] };
const everything: Left = { [all]: [], [offers]: [], [both]: [] };

async function mailgunDeletes({ service, name, mailgun }: Store, path = ''): Promise<void> {
  const answer = await request(service.url)
    .delete(`/v3/${name}/unsubscribes${path}`)
    .auth('api', mailgun.key);
  assert.equal(answer.status, 200, answer.text);
}

async function sendcloudDeletes({ service, name, sendcloud }: Store, asked: object): Promise<void> {
  const fields = { apiUser: name, apiKey: sendcloud.key, ...asked };
  const answer = await request(service.url).post('/apiv2/unsubscribe/delete').type('form').send(fields);
  assert.equal((answer.body as { statusCode: number }).statusCode, 200, answer.text);
}

async function customersMailCloudCancels({ customersMailCloud }: Store, asked: Record<string, unknown>) {
  const answer = await customersMailCloud.call('cancel.json', asked);
  assert.equal(answer.status, 200, answer.text);
}

async function weDelete({ api, list }: Store, what: string): Promise<void> {
  assert.equal((await api('delete', `/lists/${list.publicId}/opt-outs/${what}`)).status, 204);
}

const removals: readonly Removal[] = [
  {
    name: "Mailgun's of an address",
    remove: (store) => mailgunDeletes(store, `/${both}`),
    leaves: { [both]: [] },
  },
  {
    name: "Mailgun's of a tag",
    remove: (store) => mailgunDeletes(store, `/${both}?tag=offers`),
    leaves: { [both]: ['*'] },
  },
  { name: "Mailgun's of all", remove: (store) => mailgunDeletes(store), leaves: everything },
  {
    name: "SendCloud's of an address",
    remove: (store) => sendcloudDeletes(store, { email: both }),
    leaves: { [both]: [] },
  },
  {
    name: "SendCloud's of days",
    remove: (store) => sendcloudDeletes(store, { days: '1' }),
    leaves: everything,
  },
  {
    name: "Customers Mail Cloud's of some addresses",
    remove: (store) => customersMailCloudCancels(store, { email: [all, both] }),
    leaves: { [all]: [], [both]: [] },
  },
  {
    name: "Customers Mail Cloud's of a filter",
    remove: (store) => customersMailCloudCancels(store, { email: both, filter_name: 'offers' }),
    leaves: { [both]: ['*'] },
  },
  { name: 'our own of an address', remove: (store) => weDelete(store, both), leaves: { [both]: [] } },
  {
    name: 'our own of a tag',
    remove: (store) => weDelete(store, `${both}?tag=offers`),
    leaves: { [both]: ['*'] },
  },
  {
    name: "the page's undo",
    async remove(store) {
      const { service, list } = store;
      const token = await leaveByForm(store, nobody);
      await untilNumbered(service, list);
      await assertSeen(store, { ...atFirst, [nobody]: ['*'] });
      const undo = request(service.url).post(`/l/${list.publicId}/undo`).set(browser).type('form');
      assert.equal((await undo.send({ token })).status, 200);
    },
    leaves: { [nobody]: [] },
  },
];

describe('One store', () => {
  let service: TestService;
  before(async function () {
    if (sevenZip === null) skipBecause(this, '7-Zip is not here: npm run test:setup');
    service = await startTestService();
  });
  // Where it was skipped, there is none.
  after(() => (service as TestService | undefined)?.close());

  for (const { name, source, hasNoTags = false, credentialOf, bring } of waysIn) {
    it(`shows what came by ${name} on all ${waysOut.length} ways out`, async () => {
      const store = await openStore(service);
      const left: Left = { [all]: ['*'], [offers]: hasNoTags ? [] : ['offers'], [nobody]: [] };
      await Promise.all(
        Object.entries(left).flatMap(([email, tags]) =>
          tags.map((tag) => bring(store, email, tag === '*' ? undefined : tag)),
        ),
      );
      await untilNumbered(service, store.list);
      await assertSeen(store, left);
      for (const [email, tags] of Object.entries(left)) {
        const rows = await findOptOuts(service.deps.db, store.list.id, email);
        assert.deepEqual(
          rows.map((row) => [row.tag.toString(), row.source, row.credential_id]),
          tags.map((tag) => [tag, source, credentialOf(store)]),
        );
      }
    });
  }

  /** A list that shows what every removal finds. */
  async function filledStore(): Promise<Store> {
    const store = await openStore(service);
    const optOuts = Object.entries(atFirst).flatMap(([address, tags]) =>
      tags.map((tag) => ({ address, tag })),
    );
    const path = `/lists/${store.list.publicId}/opt-outs`;
    assert.equal((await store.api('post', path, { body: { opt_outs: optOuts } })).status, 200);
    await untilNumbered(service, store.list);
    return store;
  }

  it('shows an address with all that it has left on all ways out', async () => {
    await assertSeen(await filledStore(), { ...atFirst, [nobody]: [] });
  });

  for (const { name, remove, leaves } of removals) {
    it(`shows nothing any more of what a removal has taken: ${name}`, async () => {
      const store = await filledStore();
      await remove(store);
      await untilNumbered(service, store.list);
      await assertSeen(store, { ...atFirst, ...(leaves as Left) });
    });
  }
});
