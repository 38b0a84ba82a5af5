import assert from 'node:assert/strict';
import request from 'supertest';
import { createAccount } from '../../src/core/accounts.js';
import { getCredential } from '../../src/core/credentials.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { findImportJob, importJobsOfList } from '../../src/core/import-jobs.js';
import { getListById } from '../../src/core/lists.js';
import { findOptOuts, isSuppressed } from '../../src/core/suppressed.js';
import { findTags } from '../../src/core/tags.js';
import { surfaces } from '../../src/surfaces.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { rowsOf } from '../support/records.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';
import { assertAnswer, mailgunAccount, messageOf, type MailgunAccount } from './mailgun-account.js';

interface Item {
  address: string;
  tags: string[];
  created_at: string;
}
interface Listing {
  items: Item[];
  paging: Record<'first' | 'next' | 'previous' | 'last', string>;
}

const march = Date.UTC(2026, 2, 26, 12, 59, 22);
const marchText = 'Thu, 26 Mar 2026 12:59:22 UTC';

describe("Mailgun's unsubscribes", () => {
  let service: TestService;
  let mailgun: MailgunAccount;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());
  beforeEach(async () => {
    mailgun = await mailgunAccount(service);
  });

  const record = (email: string, more = {}) =>
    service.deps.recorder.record([
      optOutOf(mailgun.list.id, email, { createdAt: march, recordedAt: march, ...more }),
    ]);
  async function listed(query = ''): Promise<Listing> {
    const answer = await mailgun.ask('get', query);
    assertAnswer(answer, 200);
    return answer.body as Listing;
  }
  const addressesIn = ({ items }: Listing) => items.map(({ address }) => address);
  const url = (query: string) => `http://signoff.test${mailgun.path(query)}`;
  const suppressed = (email: string) => isSuppressed(service.deps.db, mailgun.list.id, email);
  /** A page by the URL that an answer gave. */
  async function follow(link: string): Promise<Listing> {
    const { origin, pathname, search } = new URL(link);
    assert.deepEqual([origin, pathname], ['http://signoff.test', mailgun.path()]);
    return listed(search);
  }

  describe('insert', () => {
    it('one record, urlencoded and multipart, byte for byte', async () => {
      const added = '"message":"Address has been added to the unsubscribes table"}\n';
      const urlencoded = await mailgun
        .ask('post')
        .type('form')
        .send('address=a%40x.org&tag=some+tag&tag=other');
      assertAnswer(urlencoded, 200);
      assert.equal(urlencoded.text, `{"address":"a@x.org",${added}`);
      const multipart = await mailgun.ask('post').field('address', 'B+sale@X.org').field('tags', 'news');
      assert.equal(multipart.text, `{"address":"b+sale@x.org",${added}`);
      const untyped = await mailgun.ask('post').set('Content-Type', '').send('address=c%40x.org');
      assert.equal(untyped.text, `{"address":"c@x.org",${added}`);
      const { items } = await listed();
      assert.deepEqual(
        items.map(({ address, tags }) => [address, tags]),
        [
          ['a@x.org', ['other', 'some tag']],
          ['b+sale@x.org', ['news']],
          ['c@x.org', ['*']],
        ],
      );
      const [row] = await findOptOuts(service.deps.db, mailgun.list.id, 'b+sale@x.org');
      assert.deepEqual(
        [row?.source, row?.vouched, row?.ip, String(row?.given)],
        ['api', 1, '127.0.0.1', 'B+sale@X.org'],
      );
      const { credential_id } = row as unknown as { credential_id: number };
      assert.equal((await getCredential(service.deps.db, credential_id)).name, 'Shop');
    });

    it('many records by JSON, or one, byte for byte', async () => {
      const answer = await mailgun.ask('post').send([
        { address: 'a@x.org', tags: ['some tag'], created_at: marchText },
        { address: 'b@x.org', tags: ['*'], created_at: 'Mon, 01 Jan 0001 00:00:00 UTC' },
        { address: 'c@x.org', tags: [] },
        { address: 'A@X.ORG', tag: 'other', created_at: null },
      ]);
      assertAnswer(answer, 200);
      assert.equal(answer.text, '{"message":"4 addresses have been added to the unsubscribes table"}\n');
      const [a, b, c] = (await listed()).items;
      assert.deepEqual(a, { address: 'a@x.org', tags: ['other', 'some tag'], created_at: marchText });
      assert.deepEqual([b?.tags, c?.tags], [['*'], ['*']]);
      assert.ok(Math.abs(Date.parse(b?.created_at ?? '') - Date.now()) < 60_000, 'the year 1 is no time');
      const one = await mailgun.ask('post').send({ address: 'd@x.org', tags: 'news' });
      assert.equal(one.text, '{"message":"1 addresses have been added to the unsubscribes table"}\n');
      const none = await mailgun.ask('post').send([]);
      assert.equal(none.text, '{"message":"0 addresses have been added to the unsubscribes table"}\n');
    });

    it('a thousand records, each with several tags, at once', async () => {
      const records = Array.from({ length: 1000 }, (_, n) => ({
        address: `p${n}@example.com`,
        tags: ['a', 'b'],
      }));
      const answer = await mailgun.ask('post').send(records);
      assert.equal(messageOf(answer, 200), '1000 addresses have been added to the unsubscribes table');
      assert.equal((await rowsOf(service, mailgun.list)).length, 2000);
    });

    const times: [given: string, told: string][] = [
      ['Thu, 26 Mar 2026 12:59:22 UTC', marchText],
      ['Thu, 26 Mar 2026 12:59:22 GMT', marchText],
      ['Thu, 26 Mar 2026 12:59:22 +0000', marchText],
      ['26 Mar 2026 14:59:22 +0200', marchText],
    ];
    it('takes the times of mails, as they are written, and none that is to come', async () => {
      for (const [i, [created_at, told]] of times.entries()) {
        await mailgun
          .ask('post')
          .type('form')
          .send({ address: `p${i}@x.org`, created_at });
        const { items } = await listed(`?term=p${i}`);
        assert.equal(items[0]?.created_at, told, created_at);
      }
      await mailgun.ask('post').send({ address: 'z@x.org', created_at: 'Thu, 26 Mar 2099 12:59:22 UTC' });
      const [row] = await findOptOuts(service.deps.db, mailgun.list.id, 'z@x.org');
      assert.equal(row?.created_at, row?.recorded_at);
    });

    it('makes tags known to the list, and adds them to those of the address', async () => {
      await mailgun.ask('post').type('form').send('address=a@x.org&tag=news');
      await mailgun.ask('post').type('form').send('address=a@x.org&tag=%E4%BF%83%E9%94%80');
      await mailgun.ask('post').type('form').send('address=a@x.org');
      assert.deepEqual((await listed()).items[0]?.tags, ['*', 'news', '促销']);
      const tags = await findTags(service.deps.db, mailgun.list.id);
      assert.deepEqual([...tags].sort(), ['news', '促销']);
    });

    it('suppresses, and stands beside what came through the other doors', async () => {
      await mailgun.ask('post').type('form').send('address=ann@example.com');
      assert.equal(await suppressed('ann@example.com'), true);
      await request(service.url).get(`/l/${mailgun.list.publicId}/notify?email=bob@example.com`).expect(200);
      assert.deepEqual(addressesIn(await listed()), ['ann@example.com', 'bob@example.com']);
    });
  });

  describe('get one', () => {
    it('tells its tags and when the first of them was left, byte for byte', async () => {
      await record('a@x.org');
      const answer = await mailgun.ask('get', '/a%40x.org');
      assertAnswer(answer, 200);
      assert.equal(answer.text, `{"address":"a@x.org","tags":["*"],"created_at":"${marchText}"}\n`);
      const unescaped = await mailgun.ask('get', '/A@X.org');
      assert.equal(unescaped.text, answer.text);
      const absent = await mailgun.ask('get', '/b@x.org');
      assertAnswer(absent, 404);
      assert.equal(absent.text, '{"message":"Address not found in unsubscribers table"}\n');
      const head = await mailgun.ask('head', '/a%40x.org');
      assert.deepEqual([head.status, head.get('content-length')], [200, String(answer.text.length)]);
      assert.equal((await mailgun.ask('head', '/b%40x.org')).status, 404);
    });

    it('reads a path as paths are read: a plus is a plus, and what is no escape stands for itself', async () => {
      for (const address of ['a+b@x.org', 'a/b@x.org', '50%off@x.org', 'é@x.org', '"a b"@x.org']) {
        await record(address);
        const escaped = await mailgun.ask('get', `/${encodeURIComponent(address)}`);
        assert.equal((escaped.body as Item).address, address);
      }
      for (const path of ['/a+b@x.org', '/a/b@x.org', '/50%off@x.org', '/a%2Bb@X.ORG']) {
        assertAnswer(await mailgun.ask('get', path), 200);
      }
      assert.equal(
        messageOf(await mailgun.ask('get', '/a%20b@x.org'), 400),
        'Invalid format for parameter address: a b@x.org',
      );
    });

    it('finds whoever suppresses by a hash alone, and nobody whose opt-out has expired or was removed', async () => {
      await plant(service.deps.db, mailgun.list.id, [
        { ...rowKinds.md5Only('ann@example.com'), created_at: march, recorded_at: march, last_at: march },
        { ...rowKinds.plain('bob@example.com'), removed_at: 2000 },
        { ...rowKinds.plain('cat@example.com'), expires_at: 2000 },
      ]);
      const { address, created_at } = (await mailgun.ask('get', '/ann@example.com')).body as Item;
      assert.deepEqual([address, created_at], ['ann@example.com', marchText]);
      for (const who of ['bob', 'cat']) assertAnswer(await mailgun.ask('get', `/${who}@example.com`), 404);
      assert.deepEqual((await listed()).items, []);
    });

    it('finds what the global list holds, which is removed there alone', async () => {
      // In an account of its own: the global list counts for all lists of one.
      const other = await createAccount(service.deps.db, 'Global');
      const account = { ...service, accountId: other.id };
      const inAccount = await mailgunAccount(account);
      const global = await makeList(account);
      await setGlobalList(service.deps.db, other, global, { actor: 'test' });
      await service.deps.recorder.record([
        optOutOf(global.id, 'ann@example.com'),
        optOutOf(global.id, 'bob@example.com', { recordedAt: march }),
        optOutOf(inAccount.list.id, 'bob@example.com', { tag: 'news', recordedAt: march + 5000 }),
      ]);
      const bob = { address: 'bob@example.com', tags: ['*', 'news'], created_at: marchText };
      assert.deepEqual((await inAccount.ask('get', '/bob@example.com')).body, bob);
      assertAnswer(await inAccount.ask('get', '/ann@example.com'), 200);
      const { items } = (await inAccount.ask('get')).body as Listing;
      assert.deepEqual([items.length, items[1]], [2, bob]);
      assertAnswer(await inAccount.ask('delete', '/ann@example.com'), 404);
      assertAnswer(await inAccount.ask('delete', '/bob@example.com'), 200);
      assertAnswer(await inAccount.ask('delete', '/bob@example.com'), 404);
      assert.equal(await isSuppressed(service.deps.db, global.id, 'bob@example.com'), true);
    });
  });

  describe('remove', () => {
    it('one address, byte for byte, and note it by its hash', async () => {
      await record('foo@bar.com');
      const answer = await mailgun.ask('delete', '/foo%40bar.com');
      assertAnswer(answer, 200);
      assert.equal(answer.text, '{"address":"foo@bar.com","message":"Unsubscribe event has been removed"}\n');
      assert.equal(await suppressed('foo@bar.com'), false);
      const absent = await mailgun.ask('delete', '/foo%40bar.com');
      assertAnswer(absent, 404);
      assert.equal(absent.text, '{"message":"Address not found in unsubscribers table"}\n');
      const noted = await service.deps
        .db<{ list_id: number; action: string; actor: string }>('history')
        .where({ list_id: mailgun.list.id, action: 'opt-out.removed' });
      assert.deepEqual([noted.length, /^credential \d+$/.test(noted[0]?.actor ?? '')], [1, true]);
    });

    it('one tag, named in the query or in any kind of body', async () => {
      const tags = ['a', 'b', 'c', 'd', 'e'];
      const json = JSON.stringify({ address: 'foo@bar.com', tags });
      await mailgun.ask('post').type('json').send(json);
      await mailgun.ask('delete', '/foo@bar.com?tag=a');
      await mailgun.ask('delete', '/foo@bar.com').field('tag', 'b');
      await mailgun.ask('delete', '/foo@bar.com').type('form').send('tag=c');
      const answer = await mailgun.ask('delete', '/foo@bar.com').type('form').send('{"tag":"d"}');
      assert.equal(answer.text, '{"address":"foo@bar.com","message":"Unsubscribe event has been removed"}\n');
      assert.deepEqual((await listed()).items[0]?.tags, ['e']);
      const gone = await mailgun.ask('delete', '/foo@bar.com?tag=a');
      assert.equal(messageOf(gone, 404), 'Unsubscribe event for this tag does not exist');
      const several = await mailgun.ask('delete', '/foo@bar.com?tag=e&tag=f');
      assert.match(messageOf(several, 400), /^Invalid parameter: tag/);
      assertAnswer(await mailgun.ask('delete', '/foo@bar.com'), 200);
      assert.equal(
        messageOf(await mailgun.ask('delete', '/foo@bar.com?tag=e'), 404),
        'Address not found in unsubscribers table',
      );
    });

    it('no tag of an address that left everything', async () => {
      await record('foo@bar.com');
      const answer = await mailgun.ask('delete', '/foo@bar.com?tag=news');
      assert.equal(messageOf(answer, 404), 'Unsubscribe event for this tag does not exist');
      assert.equal(await suppressed('foo@bar.com'), true);
      assertAnswer(await mailgun.ask('delete', '/foo@bar.com?tag=*'), 200);
    });

    it('all of them, at once, so that they can be taken back', async () => {
      await mailgun
        .ask('post')
        .send([{ address: 'ann@example.com' }, { address: 'bob@example.com', tags: ['a', 'b'] }]);
      const answer = await mailgun.ask('delete');
      assertAnswer(answer, 200);
      assert.equal(answer.text, '{"message":"Unsubscribe addresses for this domain have been removed"}\n');
      assert.deepEqual((await listed()).items, []);
      assert.equal(await suppressed('ann@example.com'), false);
      assertAnswer(await mailgun.ask('get', '/bob@example.com'), 404);
      const removals = await service.deps
        .db<{ list_id: number; kind: string; credential_id: number }>('bulk_removals')
        .where({ list_id: mailgun.list.id });
      assert.deepEqual(
        [removals.length, removals[0]?.kind, typeof removals[0]?.credential_id],
        [1, 'all', 'number'],
      );
      assertAnswer(await mailgun.ask('delete'), 200);
      await mailgun.ask('post').send({ address: 'ann@example.com' });
      assert.deepEqual(addressesIn(await listed()), ['ann@example.com']);
    });

    it('never all of them where one was meant', async () => {
      await record('ann@example.com');
      const unlikely: [string, (string | undefined)?][] = [
        ['/'],
        ['?tag=news'],
        ['?address=ann@example.com'],
        ['', 'tag=a'],
        ['', '{"tag":"a"}'],
      ];
      for (const [more, body] of unlikely) {
        const asked = mailgun.ask('delete', more);
        assertAnswer(await (body === undefined ? asked : asked.type('form').send(body)), 400);
      }
      assert.equal(await suppressed('ann@example.com'), true);
    });
  });

  describe('list', () => {
    const people = ['ann', 'bob', 'cat', 'dan', 'eve'].map((name) => `${name}@example.com`);

    it('pages in all directions by absolute URLs', async () => {
      for (const email of people) await record(email, { tag: '*' });
      const first = await listed('?limit=2');
      assert.deepEqual(first.items[0], { address: 'ann@example.com', tags: ['*'], created_at: marchText });
      assert.deepEqual(first.paging, {
        first: url('?limit=2&term='),
        next: url('?page=next&address=bob%40example.com&limit=2&term='),
        previous: url('?page=previous&address=ann%40example.com&limit=2&term='),
        last: url('?page=last&limit=2&term='),
      });
      const second = await follow(first.paging.next);
      const third = await follow(second.paging.next);
      const beyond = await follow(third.paging.next);
      assert.deepEqual([second, third, beyond].map(addressesIn), [people.slice(2, 4), people.slice(4), []]);
      // Behind the end: whoever turns back has the end of the list again, and sees what has come meanwhile.
      assert.deepEqual(addressesIn(await follow(beyond.paging.previous)), people.slice(3));
      await record('zoe@example.com');
      assert.deepEqual(addressesIn(await follow(beyond.paging.next)), ['zoe@example.com']);
      assert.deepEqual(addressesIn(await follow(third.paging.previous)), people.slice(2, 4));
      assert.deepEqual(addressesIn(await follow(second.paging.previous)), people.slice(0, 2));
      const before = await follow(first.paging.previous);
      assert.deepEqual(before.items, []);
      assert.deepEqual(addressesIn(await follow(before.paging.next)), people.slice(0, 2));
      assert.deepEqual(addressesIn(await follow(first.paging.last)), ['eve@example.com', 'zoe@example.com']);
      assert.deepEqual(addressesIn(await follow(third.paging.first)), people.slice(0, 2));
      for (const page of ['prev', 'previous', 'PREVIOUS']) {
        const back = await listed(`?page=${page}&address=cat@example.com&limit=1`);
        assert.deepEqual(addressesIn(back), ['bob@example.com']);
      }
      for (const page of ['', 'first']) {
        assert.deepEqual(addressesIn(await listed(`?page=${page}&address=cat@example.com&limit=1`)), [
          'ann@example.com',
        ]);
      }
    });

    it('is four times the same on an empty list', async () => {
      const nothing = url('?limit=100&term=');
      for (const query of [
        '',
        '?page=last',
        '?page=next&address=a@x.org',
        '?page=previous&address=a@x.org',
      ]) {
        const { items, paging } = await listed(query);
        assert.deepEqual(
          [items, paging],
          [[], { first: nothing, next: nothing, previous: nothing, last: nothing }],
        );
      }
    });

    it('counts addresses, not tags, and holds 100 of them unless it is told, 1,000 at most', async () => {
      const records = Array.from({ length: 1000 }, (_, n) => ({
        address: `p${n}@example.com`,
        tags: ['a', 'b'],
      }));
      await mailgun.ask('post').send(records);
      await record('zoe@example.com');
      const counts = [
        ['', 100],
        ['?limit=0', 100],
        ['?limit=7', 7],
        ['?limit=10000', 1000],
        [`?limit=${'9'.repeat(30)}`, 1000],
      ] as const;
      for (const [query, count] of counts) {
        const { items, paging } = await listed(query);
        assert.equal(items.length, count, query);
        assert.equal(new URL(paging.next).searchParams.get('limit'), String(count));
        assert.ok(items.every(({ tags }) => tags.join() === 'a,b'));
      }
    });

    it('keeps to the beginning of addresses, in any spelling', async () => {
      for (const email of [
        'ann@example.com',
        'ann+sale@example.com',
        'anna@müller.example',
        'bob@example.com',
      ]) {
        await record(email);
      }
      const terms: [term: string, found: string[]][] = [
        ['ann', ['ann+sale@example.com', 'ann@example.com', 'anna@xn--mller-kva.example']],
        ['ANN@', ['ann@example.com']],
        ['ann%2Bs', ['ann+sale@example.com']],
        ['ann+s', ['ann+sale@example.com']],
        ['anna@M%C3%BCller.example', ['anna@xn--mller-kva.example']],
        ['%25', []],
        ['x', []],
      ];
      for (const [term, found] of terms) {
        assert.deepEqual(addressesIn(await listed(`?term=${term}`)), found, term);
      }
      const { paging } = await listed('?term=ANN&limit=1');
      assert.equal(paging.next, url('?page=next&address=ann%2Bsale%40example.com&limit=1&term=ANN'));
      assert.deepEqual(addressesIn(await follow(paging.next)), ['ann@example.com']);
      assert.deepEqual(addressesIn(await follow(paging.last)), ['anna@xn--mller-kva.example']);
    });
  });

  describe('import', () => {
    async function imported(csv: string | Buffer, field = 'file') {
      const answer = await mailgun.ask('post', '/import').attach(field, Buffer.from(csv), 'list.csv');
      assertAnswer(answer, 202);
      assert.equal(answer.text, '{"message":"file uploaded successfully"}\n');
      const [job] = await importJobsOfList(service.deps.db, mailgun.list);
      const now = async () => findImportJob(service.deps.db, job?.publicId ?? '');
      await until('the import is over', async () => ['done', 'failed'].includes((await now())?.state ?? ''));
      return now();
    }

    it('takes a file under any field, and tells afterwards what of it was taken', async () => {
      const job = await imported(
        'address, tags, created_at\n' +
          `ann@example.com, "news, offers", "${marchText}"\n` +
          'bob@example.com, news;offers sale,\n' +
          'no address, *, \n' +
          'cat@example.com, , "Mon, 01 Jan 0001 00:00:00 UTC"\n',
        'anything',
      );
      assert.deepEqual([job?.state, job?.taken, job?.refused, job?.fileName], ['done', 3, 1, 'list.csv']);
      assert.equal(typeof job?.credentialId, 'number');
      const { items } = await listed();
      assert.deepEqual(
        items.map(({ address, tags }) => [address, tags]),
        [
          ['ann@example.com', ['news', 'offers']],
          ['bob@example.com', ['news', 'offers', 'sale']],
          ['cat@example.com', ['*']],
        ],
      );
      assert.equal(items[0]?.created_at, marchText);
    });

    it('takes a column tag as well, and none', async () => {
      await imported('tag,address\nnews,ann@example.com\n');
      await imported('address\nbob@example.com\n');
      const { items } = await listed();
      assert.deepEqual(
        items.map(({ tags }) => tags),
        [['news'], ['*']],
      );
    });
  });

  it('goes by the list id as well as by its names, whatever their case', async () => {
    await record('ann@example.com');
    for (const name of [mailgun.list.publicId, mailgun.domain.toUpperCase()]) {
      const answer = await request(service.url).get(`/v3/${name}/unsubscribes`).auth('api', mailgun.key);
      assertAnswer(answer, 200);
      const { items, paging } = answer.body as Listing;
      assert.equal(items.length, 1);
      assert.equal(new URL(paging.next).pathname, `/v3/${name}/unsubscribes`);
    }
    assert.equal((await getListById(service.deps.db, mailgun.list.id)).publicId, mailgun.list.publicId);
  });

  it('gives a command that works', () => {
    const surface = surfaces.find(({ name }) => name === 'mailgun');
    const example = {
      baseUrl: 'https://out.example.com',
      key: 'so_abc',
      login: '',
      listName: 'mg.example.com',
    };
    assert.equal(
      surface?.snippet(example),
      'curl -u api:so_abc "https://out.example.com/v3/mg.example.com/unsubscribes?limit=10"',
    );
    assert.match(surface?.snippet({ ...example, key: "it's$HOME" }) ?? '', /^curl -u 'api:it'\\''s\$HOME' /);
  });
});
