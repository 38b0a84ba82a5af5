import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import { archiveList } from '../../src/core/lists.js';
import type { Mailer } from '../../src/core/mailers.js';
import { optOutOf } from '../support/core.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const day = 24 * 3_600_000;

describe('The compliance clock in the console', () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;
  let mailer: Mailer;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service, { internalName: `list-${Math.random()}` });
    ({ mailer } = await makeMailer(service, list));
    await service.deps
      .db('grants')
      .where({ mailer_id: mailer.id })
      .update({ created_at: Date.now() - 40 * day });
  });

  async function leave(email: string, daysAgo: number): Promise<void> {
    const recordedAt = Date.now() - daysAgo * day;
    await service.deps.recorder.record([optOutOf(list.id, email, { recordedAt })]);
    await untilNumbered(service, list);
  }
  const account = () => `/console/accounts/${service.accountId}`;
  /** The row of a table that begins with this. */
  function rowOf({ html }: ConsolePage, link: string): string {
    const row = html.split('<tr>').find((one) => one.includes(`href="${link}"`));
    assert.ok(row !== undefined, `there is a row of ${link}`);
    return row.split('</tr>')[0] ?? '';
  }
  const inLists = async (who = olive) =>
    rowOf(await who.get(`${account()}/lists`), `/console/lists/${list.publicId}`);
  const inMailers = async () =>
    rowOf(await olive.get(`${account()}/mailers`), `${account()}/mailers/${mailer.id}`);

  it('stands with each mailer: what it has not fetched, since when, and whether a limit is near', async () => {
    assert.match(await inMailers(), /Nothing waits/);
    await leave('ann@example.com', 0);
    const fresh = await inMailers();
    assert.match(fresh, /class="clock">1 <span class="soft since">oldest since /);
    assert.doesNotMatch(fresh, /badge (?:warn|bad)/);
    await leave('bob@example.com', 1.5);
    assert.match(await inMailers(), /class="clock">2 <span class="badge warn">Due soon</);
    await leave('cyd@example.com', 3);
    assert.match(await inMailers(), /class="clock">3 <span class="badge bad">Late</);
    await leave('dan@example.com', 30);
    assert.match(await inMailers(), /<span class="badge bad">10 business days are over</);
  });

  it("stands on the mailer's own page, list by list, for the mailer too", async () => {
    await leave('ann@example.com', 3);
    const max = await signInAs(service, { mailer });
    for (const who of [olive, max]) {
      const page = await who.get(`${account()}/mailers/${mailer.id}`);
      const [, ofList = ''] = page.html.split(`href="/console/lists/${list.publicId}"`);
      assert.match(
        ofList.split('</li>')[0] ?? '',
        /Not fetched yet:[^]*class="clock">1 <span class="badge bad">Late/,
      );
    }
    await archiveList(service.deps.db, list, true, { actor: 'test' });
    const archived = await olive.get(`${account()}/mailers/${mailer.id}`);
    assert.doesNotMatch(archived.html, /Late/, 'an archived list gives no downloads');
  });

  it('is a badge on the row of a list, of the worst of its mailers; a mailer sees its own', async () => {
    const other = await makeMailer(service, list);
    const max = await signInAs(service, { mailer: other.mailer });
    assert.doesNotMatch(await inLists(), /behind/);
    for (const [email, daysAgo, badge] of [
      ['ann@example.com', 1.5, 'badge warn">A mailer is a day behind<'],
      ['bob@example.com', 3, 'badge bad">A mailer is 48 hours behind<'],
      ['cyd@example.com', 30, 'badge bad">A mailer is 10 business days behind<'],
    ] as const) {
      await leave(email, daysAgo);
      assert.ok((await inLists()).includes(badge), badge);
      assert.doesNotMatch(await inLists(max), /Not fetched/, 'this one was granted the list a moment ago');
    }
  });
});
