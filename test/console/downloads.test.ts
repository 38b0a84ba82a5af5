import assert from 'node:assert/strict';
import { createAccount } from '../../src/core/accounts.js';
import { createCredential } from '../../src/core/credentials.js';
import type { List } from '../../src/core/lists.js';
import { createMailer, editMailer, grantList, revokeList, type Mailer } from '../../src/core/mailers.js';
import { signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

const actor = 'test';

describe('The access log in the console', function () {
  this.timeout(60_000);
  let service: TestService;
  let olive: Visitor;
  let list: List;
  let mailer: Mailer;
  let other: Mailer;
  let path: string;
  before(async () => {
    service = await startTestService();
    const { db } = service.deps;
    olive = await signInAs(service, 'owner');
    list = await makeList(service, { internalName: 'news' });
    const made = await makeMailer(service, list);
    mailer = await editMailer(db, made.mailer, { name: '=Mail House' }, { actor });
    const otherMade = await makeMailer(service, list);
    other = await editMailer(db, otherMade.mailer, { name: 'Other Mailer' }, { actor });
    path = `/console/lists/${list.publicId}/downloads`;
    await fetch(`${service.url}/l/${list.publicId}/opt-out`, {
      method: 'POST',
      body: new URLSearchParams({ email: 'rosa@recipient.example' }),
    });
    await untilNumbered(service, list);
    await downloaded(`/l/${list.publicId}/download?format=sha256`, made.key);
    await downloaded(`/l/${list.publicId}/download`, otherMade.key);
    const { key } = await createCredential(
      db,
      service.accountId,
      { surface: 'api', name: 'Our shop', rights: ['read'] },
      { actor },
    );
    await downloaded(`/api/v1/lists/${list.publicId}/opt-outs`, key);
    // Cut off this morning, by a client that went away.
    await db('downloads').insert({
      ...{ list_id: list.id, mailer_id: mailer.id, access_key_id: 1, at: Date.now() - 5 * 3_600_000 },
      ...{ ip: '203.0.113.9', extent: 'delta', format: 'md5', status: 200 },
    });
  });
  after(() => service.close());

  async function downloaded(where: string, key: string): Promise<void> {
    const answer = await fetch(`${service.url}${where}`, { headers: { Authorization: `Bearer ${key}` } });
    assert.equal(answer.status, 200);
    await answer.text();
  }

  /** The rows of the table, as people read them. */
  function rowsOf({ html }: ConsolePage): string[] {
    const [, body = ''] = /<tbody>([^]*)<\/tbody>/.exec(html) ?? [];
    return body
      .split('</tr>')
      .slice(0, -1)
      .map((row) =>
        row
          .replace(/<[^>]*>/g, ' ')
          .replace(/\s+/g, ' ')
          .trim(),
      );
  }

  it('shows mailers and programs in one order: who, with which key, from where, what, how much, to which end', async () => {
    const page = await olive.get(path);
    const rows = rowsOf(page);
    assert.equal(rows.length, 4);
    assert.match(rows[0] ?? '', /Our shop Signoff API v1 – – addresses – Begun$/);
    assert.match(rows[1] ?? '', /Other Mailer ….{4} 127\.0\.0\.1 Whole list · MD5 1 Whole$/);
    assert.match(rows[2] ?? '', /=Mail House ….{4} 127\.0\.0\.1 Whole list · SHA-256 1 Whole$/);
    assert.match(rows[3] ?? '', /=Mail House …\S+ 203\.0\.113\.9 Changes · MD5 – Cut off$/);
  });

  it('can be narrowed to one mailer, or to everybody else', async () => {
    assert.equal(rowsOf(await olive.get(`${path}?mailer=${mailer.id}`)).length, 2);
    const others = rowsOf(await olive.get(`${path}?mailer=others`));
    assert.equal(others.length, 1);
    assert.match(others[0] ?? '', /Our shop/);
    const stranger = await createAccount(service.deps.db, 'Stranger');
    const foreign = await createMailer(service.deps.db, stranger.id, { name: 'Foreign' }, { actor });
    for (const wrong of [foreign.id, 'x', '0', "1' OR 1=1"]) {
      const page = await olive.get(`${path}?mailer=${encodeURIComponent(wrong)}`);
      assert.equal(page.status, 404, String(wrong));
    }
  });

  it('shows the users of a mailer what that mailer took, and nothing else', async () => {
    const mia = await signInAs(service, { mailer });
    for (const asked of ['', `?mailer=${other.id}`, '?mailer=others']) {
      const page = await mia.get(`${path}${asked}`);
      assert.equal(rowsOf(page).length, 2, asked);
      assert.doesNotMatch(page.html, /Other Mailer|Our shop/);
    }
    const file = await mia.get(`${path}.csv?mailer=${other.id}`);
    assert.doesNotMatch(file.html, /Other Mailer|Our shop/);
    assert.equal(file.html.trim().split('\r\n').length, 3);
    const own = await mia.get(`/console/accounts/${service.accountId}/mailers/${mailer.id}/downloads`);
    assert.equal(rowsOf(own).length, 2);
    assert.match(rowsOf(own)[0] ?? '', / news ….{4}/);
  });

  it('tells the users of a mailer no name of a list that is granted to it no more', async () => {
    const { db } = service.deps;
    const secret = await makeList(service, { internalName: 'Bankrupt customers' });
    const { mailer: own, key } = await makeMailer(service, secret);
    const granted = await makeList(service, { internalName: 'still granted' });
    await grantList(db, own, granted, { actor });
    await downloaded(`/l/${secret.publicId}/download`, key);
    await downloaded(`/l/${granted.publicId}/download`, key);
    const mia = await signInAs(service, { mailer: own });
    const where = `/console/accounts/${service.accountId}/mailers/${own.id}/downloads`;
    assert.match((await mia.get(where)).text, /Bankrupt customers/);
    await revokeList(db, own, secret, { actor });
    const page = await mia.get(where);
    assert.doesNotMatch(page.html, /Bankrupt/);
    assert.match(rowsOf(page)[0] ?? '', / still granted ….{4}/);
    assert.match(rowsOf(page)[1] ?? '', new RegExp(` Not granted any more \\(${secret.publicId}\\) …`));
    assert.ok(!page.html.includes(`href="/console/lists/${secret.publicId}`));
    const file = await mia.get(`${where}.csv`);
    assert.doesNotMatch(file.html, /Bankrupt/);
    assert.match(file.html, new RegExp(`,Not granted any more \\(${secret.publicId}\\),`));
    assert.match((await olive.get(where)).text, /Bankrupt customers/, 'owners see it');
    assert.match((await olive.get(`${where}.csv`)).html, /,Bankrupt customers,/);
  });

  it('can be saved for a spreadsheet, in which no name is a formula', async () => {
    const file = await olive.get(`${path}.csv`);
    assert.equal(file.headers.get('content-type'), 'text/csv; charset=utf-8');
    assert.match(
      file.headers.get('content-disposition') ?? '',
      /^attachment; filename="access-log-[\w-]+\.csv"$/,
    );
    const octets = Buffer.from(await (await olive.fetch(`${path}.csv`)).arrayBuffer());
    assert.equal(octets.subarray(0, 3).toString('hex'), 'efbbbf', 'Excel reads it as UTF-8');
    const lines = file.html.trim().split('\r\n');
    assert.equal(lines[0], 'Time (UTC),List,By,Key,IP address,Extent,Format,Rows,End');
    assert.equal(lines.length, 5);
    assert.match(lines[3] ?? '', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,news,'=Mail House,/);
    const narrowed = await olive.get(`${path}.csv?mailer=${other.id}`);
    assert.equal(narrowed.html.trim().split('\r\n').length, 2);
  });

  it('goes on page by page, and back to the newest', async () => {
    const { db } = service.deps;
    const busy = await makeList(service, { internalName: 'busy' });
    const { mailer: eager } = await makeMailer(service, busy);
    const at = Date.now() - 1000;
    await db('downloads').insert(
      Array.from({ length: 70 }, (_, n) => ({
        ...{ list_id: busy.id, mailer_id: eager.id, access_key_id: 1, at: at - (n >> 2), ip: `192.0.2.${n}` },
        ...{ extent: 'all', format: 'md5', status: n === 69 ? 304 : 200, entries: 0, finished_at: at },
      })),
    );
    const first = await olive.get(`/console/lists/${busy.publicId}/downloads?mailer=${eager.id}`);
    assert.equal(rowsOf(first).length, 50);
    const [, next = ''] = /href="([^"]*before=[^"]*)"/.exec(first.html) ?? [];
    const second = await olive.get(next.replaceAll('&#38;', '&').replaceAll('&amp;', '&'));
    assert.equal(rowsOf(second).length, 20);
    assert.match(second.text, /Unchanged/);
    assert.match(second.text, /Newest/);
    const ips = [first, second].flatMap((page) => page.text.match(/192\.0\.2\.\d+/g) ?? []);
    assert.equal(new Set(ips).size, 70, 'each is there once');
    assert.equal(ips.length, 70);
    for (const wrong of ['1.x.3', '-1', '9'.repeat(40), 'mailer']) {
      assert.equal((await olive.get(`${path}?before=${wrong}`)).status, 200, wrong);
    }
  });

  it('is empty where nothing was taken yet, and speaks Japanese', async () => {
    const bare = await makeList(service);
    const jun = await signInAs(service, 'owner', { language: 'ja' });
    const page = await jun.get(`/console/lists/${bare.publicId}/downloads`);
    assert.match(page.text, /ダウンロードはまだありません/);
    assert.match(
      (await olive.get(`/console/lists/${bare.publicId}/downloads`)).text,
      /Nobody has downloaded anything yet/,
    );
    assert.match((await jun.get(path)).text, /リスト全体 · SHA-256/);
  });
});
