import assert from 'node:assert/strict';
import { retrying } from '../../src/db/connect.js';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { removeAll } from '../../src/core/bulk-removals.js';
import { md5Of } from '../../src/core/address.js';
import { formats } from '../../src/core/entry-texts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import type { List } from '../../src/core/lists.js';
import { removeAddresses } from '../../src/core/removals.js';
import { addTags } from '../../src/core/tags.js';
import { optOutOf } from '../support/core.js';
import { download } from '../support/downloads.js';
import { randomFrom, type Random } from '../support/items.js';
import {
  makeList,
  makeMailer,
  startTestService,
  until,
  untilNumbered,
  type TestService,
} from '../support/service.js';
import { clientOf } from './client.js';
import { followerOf } from './follower.js';

const actor = 'test';
const domains = ['example.com', 'xn--bcher-kva.example'];
const people = Array.from({ length: 14 }, (_, n) => `p${n}@${domains[n % 2] ?? ''}`);
const asked = formats.flatMap((format) => [{ format }, { format, tag: 'a' }]);

/** What happens to two lists, of which the second is now and then the global one. */
interface World {
  readonly account: Account;
  readonly lists: readonly [List, List];
  readonly random: Random;
  /** Some opt-outs are known by their MD5 alone. */
  readonly hasHashes: boolean;
}

describe('A copy that is kept by the feed', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService({ API_REQUESTS_PER_MINUTE: '1000000' });
  });
  after(() => service.close());

  /** One thing at random. */
  async function happen({ account, lists, random, hasHashes }: World): Promise<void> {
    const { db, recorder } = service.deps;
    // As the doors do: the keeper may be at the same rows.
    const again = <T>(work: () => Promise<T>) => retrying(db, 5000, work);
    const pick = <T>(values: readonly T[]) => values[random(values.length)] as T;
    const [list, email] = [pick(lists), pick(people)];
    const what = random(100);
    if (what < 62) {
      const now = Date.now();
      const more = {
        ...{ recordedAt: now, tag: pick(['*', '*', 'a', 'b']) },
        expiresAt: pick([null, null, null, now + 1 + random(60)]),
      };
      const optOut = optOutOf(list.id, email, more);
      const isHash = hasHashes && random(3) === 0;
      await recorder.record([isHash ? { ...optOut, hashes: { md5: md5Of(email) } } : optOut]);
    } else if (what < 92) {
      const tag = pick([undefined, undefined, '*', 'a']);
      await again(() => removeAddresses(db, list, [email], { actor, tag }));
    } else if (what < 98) {
      const global = pick([lists[1], null]);
      await again(() => setGlobalList(db, account, global, { actor }));
    } else {
      await again(() => removeAll(db, list, { actor }));
    }
  }

  async function follow(seed: number, hasHashes: boolean): Promise<void> {
    const { db } = service.deps;
    const account = await createAccount(db, `Account ${seed}`);
    const theirs = { ...service, accountId: account.id };
    const lists = [await makeList(theirs), await makeList(theirs)] as const;
    for (const list of lists) await addTags(db, list.id, ['a', 'b']);
    const [list] = lists;
    const { key } = await makeMailer(theirs, list);
    const call = await clientOf(service, { rights: ['read'] }, account.id);
    const random = randomFrom(seed);
    const followers = asked.map((query) => ({ query, copy: followerOf(call, list.publicId, query) }));
    const world = { account, lists, random, hasHashes };
    for (let step = 0; step < 120; step++) {
      await happen(world);
      const one = followers[random(followers.length * 2)];
      for (let pages = random(4); pages > 0; pages--) await one?.copy.step(1 + random(5));
    }
    await until('all that ends has ended', async () => {
      const ids = lists.map(({ id }) => id);
      return (await db('expiries').whereIn('list_id', ids).first('list_id')) === undefined;
    });
    for (const one of lists) await untilNumbered(service, one);
    for (const { query, copy } of followers) {
      await copy.catchUp(1 + random(9));
      const { text, status } = await download(service, { list, key }, query);
      assert.equal(status, 200, text);
      const file = text.split('\n').filter(Boolean).sort();
      const what = `seed ${seed}, ${JSON.stringify(query)}, begun ${copy.begun} times`;
      const isExact = !hasHashes || query.format === 'md5';
      // What went while only a hash of it was known cannot be told by name: docs/download.md.
      const copied = isExact ? [...copy.items] : [...copy.items].filter((item) => file.includes(item));
      assert.deepEqual(copied.sort(), file, what);
    }
  }

  for (const seed of [1, 2]) {
    it(`is exactly the download, whatever happens meanwhile (${seed})`, async function () {
      this.timeout(60_000);
      await follow(seed, false);
    });
  }

  for (const seed of [3]) {
    it(`leaves nobody out of whom only a hash is known (${seed})`, async function () {
      this.timeout(60_000);
      await follow(seed, true);
    });
  }
});
