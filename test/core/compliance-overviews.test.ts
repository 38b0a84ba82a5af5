import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { complianceOfList } from '../../src/core/compliance.js';
import { overviewOf, waitingOf, type ComplianceOverview } from '../../src/core/compliance-overviews.js';
import { noteFetch } from '../../src/core/fetches.js';
import { getFeed } from '../../src/core/feed.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { archiveList, type List } from '../../src/core/lists.js';
import { grantList, type Mailer } from '../../src/core/mailers.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { optOutOf } from '../support/core.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const hour = 3_600_000;
const day = 24 * hour;

describe('The compliance clock of many at once', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  const db = () => service.deps.db;
  async function leave(on: List, emails: readonly string[], ago = 0): Promise<void> {
    const recordedAt = Date.now() - ago;
    await service.deps.recorder.record(emails.map((email) => optOutOf(on.id, email, { recordedAt })));
    await untilNumbered(service, on);
  }
  /** As a whole list that was downloaded brings a mailer up to date. */
  async function fetchAll(list: List, mailer: Mailer, ago = 0): Promise<void> {
    const feed = await getFeed(db());
    const reach = { reached: feed.lastNumber, reachedAt: Date.now() - ago, markedAt: 0 };
    const whole = { downloadId: 0, listId: list.id, mailerId: mailer.id, listIds: [list.id], from: null };
    await noteFetch(db(), { ...whole, ...reach, extent: 'all' }, 1000);
  }
  /** As what changes of an opt-out does that goes on suppressing: an erased person, a later expiry. */
  async function renumber(list: List): Promise<void> {
    await db()('opt_outs').where({ list_id: list.id }).update({ feed_number: null });
    await untilNumbered(service, list);
  }
  const grantedLongAgo = (mailer: Mailer) =>
    db()('grants')
      .where({ mailer_id: mailer.id })
      .update({ created_at: Date.now() - 40 * day });
  async function overview(
    mailer: Mailer,
    of: Parameters<typeof waitingOf>[2] = { mailerIds: [mailer.id] },
  ): Promise<ComplianceOverview> {
    const now = Date.now();
    const waiting = await waitingOf(db(), { id: mailer.accountId }, of, now);
    return overviewOf(
      waiting.filter(({ mailerId }) => mailerId === mailer.id),
      { zone: 'UTC', now },
    );
  }
  /** Both ways of telling it have to agree. */
  async function agree(list: List, mailer: Mailer, expected: number): Promise<void> {
    const now = Date.now();
    const [one] = await complianceOfList(db(), list, { mailerId: mailer.id, zone: 'UTC', now });
    const other = await overview(mailer);
    assert.deepEqual(
      [other.optOuts, other.since, other.state, other.isUnlawful],
      [one?.optOuts, one?.since, one?.state, one?.isUnlawful],
    );
    assert.equal(other.optOuts, expected);
  }

  it('tells the same as that of each list', async () => {
    const list = await makeList(service);
    const { mailer } = await makeMailer(service, list);
    await agree(list, mailer, 0);
    await leave(list, ['ann@example.com', 'bob@example.com'], 3 * day);
    await agree(list, mailer, 2);
    await grantedLongAgo(mailer);
    await agree(list, mailer, 2);
    assert.equal((await overview(mailer)).state, 'late');
    await fetchAll(list, mailer);
    await agree(list, mailer, 0);
    await leave(list, ['cyd@example.com']);
    await agree(list, mailer, 1);
    await renumber(list);
    await agree(list, mailer, 1);
    await removeOptOuts(db(), list.id, 'cyd@example.com');
    await untilNumbered(service, list);
    await agree(list, mailer, 0);
  });

  it('counts what is on the global list, from before it was that as well', async () => {
    const account = await createAccount(db(), 'Global');
    const own = { ...service, accountId: account.id };
    const list = await makeList(own);
    const everywhere = await makeList(own);
    const { mailer } = await makeMailer(own, list);
    await leave(list, ['ann@example.com']);
    await leave(everywhere, ['bob@example.com', 'cyd@example.com'], 20 * day);
    await grantedLongAgo(mailer);
    await fetchAll(list, mailer, 18 * day);
    await agree(list, mailer, 0);
    await setGlobalList(db(), account, everywhere, { actor: 'test' });
    await agree(list, mailer, 2);
    assert.equal((await overview(mailer)).isUnlawful, true);
    await fetchAll(list, mailer);
    await agree(list, mailer, 0);
  });

  it('looks for the state alone where nobody has fetched for a day, and leaves out archived lists', async () => {
    const list = await makeList(service);
    const { mailer } = await makeMailer(service, list);
    await leave(list, ['ann@example.com'], 5 * day);
    const overdue = { listIds: [list.id], isOverdueOnly: true };
    assert.equal((await overview(mailer, overdue)).optOuts, 0, 'it was granted the list a moment ago');
    await grantedLongAgo(mailer);
    assert.equal((await overview(mailer, overdue)).state, 'late');
    await fetchAll(list, mailer, 2 * hour);
    await leave(list, ['bob@example.com'], hour);
    assert.equal((await overview(mailer, overdue)).optOuts, 0);
    assert.equal((await overview(mailer)).optOuts, 1);
    await archiveList(db(), list, true, { actor: 'test' });
    assert.equal((await overview(mailer)).optOuts, 0);
  });

  it('passes over many that only got another number, and says where it counted no further', async () => {
    const list = await makeList(service);
    const { mailer } = await makeMailer(service, list);
    const many = Array.from({ length: 250 }, (_, i) => `p${i}@example.com`);
    await leave(list, many);
    await fetchAll(list, mailer);
    await renumber(list);
    const now = Date.now() + 2 * day;
    await db()('fetches').where({ mailer_id: mailer.id }).update({ reached_at: 1 });
    await grantedLongAgo(mailer);
    const overdue = { listIds: [list.id], isOverdueOnly: true };
    assert.deepEqual(await waitingOf(db(), { id: list.accountId }, overdue, now), []);
    await leave(list, ['zoe@example.com']);
    const [zoe] = await waitingOf(db(), { id: list.accountId }, overdue, now);
    assert.deepEqual([zoe?.optOuts, zoe?.isMore], [1, false]);
    const { mailer: fresh } = await makeMailer(service, list);
    const [all] = await waitingOf(db(), { id: list.accountId }, { mailerIds: [fresh.id] }, now);
    assert.deepEqual([all?.optOuts, all?.isMore], [251, false]);
    await grantedLongAgo(fresh);
    const capped = await waitingOf(db(), { id: list.accountId }, { mailerIds: [fresh.id], ...overdue }, now);
    assert.deepEqual([capped[0]?.optOuts, capped[0]?.isMore], [100, true]);
  });

  it('asks as little for many as for one', async () => {
    const lists = [await makeList(service), await makeList(service), await makeList(service)] as const;
    const mailers: Mailer[] = [];
    for (let n = 0; n < 6; n++) {
      const { mailer } = await makeMailer(service, lists[0]);
      for (const list of lists.slice(1)) await grantList(db(), mailer, list, { actor: 'test' });
      mailers.push(mailer);
    }
    // Each has come to another place.
    for (const [n, mailer] of mailers.entries()) {
      for (const list of lists) {
        await fetchAll(list, mailer);
        await leave(list, [`p${n}@example.com`], 3 * day);
      }
    }
    const queriesFor = async (mailerIds: number[]) => {
      let queries = 0;
      const count = ({ sql }: { sql: string }) => {
        // The keeper asks as well.
        if (/ as `g`|AS slice/.test(sql)) queries++;
      };
      db().on('query', count);
      const waiting = await waitingOf(db(), { id: service.accountId }, { mailerIds }, Date.now());
      db().off('query', count);
      assert.equal(waiting.length, mailerIds.length * lists.length);
      return queries;
    };
    assert.equal(await queriesFor([mailers[0]?.id ?? 0]), 2);
    assert.equal(await queriesFor(mailers.map(({ id }) => id)), 2);
  });
});
