import assert from 'node:assert/strict';
import Mailgun from 'mailgun.js';
import { findImportJob, importJobsOfList } from '../../src/core/import-jobs.js';
import { rowsOf } from '../support/records.js';
import { startTestService, until, type TestService } from '../support/service.js';
import { mailgunAccount, type MailgunAccount } from './mailgun-account.js';

interface Unsubscribe {
  address: string;
  tags: string[];
  created_at: Date;
}

/** npm's mailgun.js, unchanged but for its base URL, with the transports that it has. */
for (const useFetch of [false, true]) {
  describe(`mailgun.js${useFetch ? ', by fetch' : ''}`, () => {
    let service: TestService;
    let mailgun: MailgunAccount;
    before(async () => {
      service = await startTestService();
    });
    after(() => service.close());
    beforeEach(async () => {
      mailgun = await mailgunAccount(service);
    });

    const client = (key = mailgun.key) =>
      new Mailgun(FormData).client({ username: 'api', key, url: service.url, useFetch }).suppressions;
    async function list(query: { limit?: number; page?: string } = {}) {
      const { items, pages, status } = await client().list(mailgun.domain, 'unsubscribes', query);
      assert.equal(status, 200);
      return { items: items as unknown as Unsubscribe[], pages };
    }
    const names = ['ann+sale', 'bob', 'cat', 'dan', 'eve'];
    const addresses = names.map((name) => `${name}@example.com`);

    it('creates one, creates many, gets and destroys', async () => {
      const created = {
        address: 'ann+sale@example.com',
        tag: 'some tag',
        created_at: 'Thu, 26 Mar 2026 12:59:22 UTC',
      };
      assert.deepEqual(await client().create(mailgun.domain, 'unsubscribes', created), {
        ...{ message: 'Address has been added to the unsubscribes table', type: '', value: '', status: 200 },
      });
      const many = [{ address: 'bob@example.com', tags: ['a', 'b'] }, { address: 'cat@example.com' }];
      const { message } = await client().create(mailgun.domain, 'unsubscribes', many);
      assert.equal(message, '2 addresses have been added to the unsubscribes table');

      const ann = (await client().get(
        mailgun.domain,
        'unsubscribes',
        created.address,
      )) as unknown as Unsubscribe;
      assert.deepEqual([ann.address, ann.tags], [created.address, ['some tag']]);
      assert.equal(ann.created_at.toISOString(), '2026-03-26T12:59:22.000Z');
      const { items } = await list();
      assert.deepEqual(
        items.map(({ address, tags }) => [address, tags]),
        [
          ['ann+sale@example.com', ['some tag']],
          ['bob@example.com', ['a', 'b']],
          ['cat@example.com', ['*']],
        ],
      );

      assert.deepEqual(await client().destroy(mailgun.domain, 'unsubscribes', created.address), {
        ...{
          message: 'Unsubscribe event has been removed',
          value: '',
          address: created.address,
          status: 200,
        },
      });
      await assert.rejects(client().get(mailgun.domain, 'unsubscribes', created.address), {
        ...{ status: 404, details: 'Address not found in unsubscribers table' },
      });
    });

    it('pages both ways', async () => {
      await client().create(
        mailgun.domain,
        'unsubscribes',
        addresses.map((address) => ({ address })),
      );
      const pagesBy = async (way: 'next' | 'previous', page?: string) => {
        const seen: string[][] = [];
        for (let query = page === undefined ? {} : { page }; seen.length < 10;) {
          const { items, pages } = await list({ limit: 2, ...query });
          if (items.length === 0) break;
          seen.push(items.map(({ address }) => address));
          query = { page: pages[way].page };
        }
        return seen;
      };
      assert.deepEqual(await pagesBy('next'), [
        addresses.slice(0, 2),
        addresses.slice(2, 4),
        addresses.slice(4),
      ]);
      const { pages } = await list({ limit: 2 });
      assert.deepEqual(await pagesBy('previous', pages.last.page), [
        addresses.slice(3),
        addresses.slice(1, 3),
        addresses.slice(0, 1),
      ]);
      assert.equal(pages.next.iteratorPosition, 'bob@example.com');
    });

    it('uploads a file, and destroys all', async () => {
      assert.deepEqual(
        await client().upload(mailgun.domain, 'unsubscribes', 'address,tags\nann@example.com,a\n'),
        {
          message: 'file uploaded successfully',
        },
      );
      const [job] = await importJobsOfList(service.deps.db, mailgun.list);
      await until(
        'the import is done',
        async () => (await findImportJob(service.deps.db, job?.publicId ?? ''))?.state === 'done',
      );
      assert.equal((await list()).items.length, 1);
      assert.deepEqual(await client().destroyAll(mailgun.domain, 'unsubscribes'), {
        ...{ message: 'Unsubscribe addresses for this domain have been removed', status: 200 },
      });
      assert.deepEqual((await list()).items, []);
    });

    it('is told what is wrong', async () => {
      const bad = [{ address: 'ann@example.com' }, { address: 'bob' }];
      await assert.rejects(client().create(mailgun.domain, 'unsubscribes', bad), {
        ...{ status: 400, details: 'Invalid format for parameter address: bob (record 2)' },
      });
      assert.deepEqual(await rowsOf(service, mailgun.list), []);
      await assert.rejects(client('wrong-key-of-nobody').list(mailgun.domain, 'unsubscribes'), {
        status: 401,
      });
      await assert.rejects(client().list('nowhere.example', 'unsubscribes'), {
        ...{ status: 404, details: 'Domain not found: nowhere.example' },
      });
    });
  });
}
