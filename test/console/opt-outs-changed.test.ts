import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { getBulkRemoval } from '../../src/core/bulk-removals.js';
import { mostAtOnce } from '../../src/core/found-removals.js';
import type { List } from '../../src/core/lists.js';
import { EVERYTHING, type OptOut } from '../../src/core/opt-outs.js';
import { restoreRemoval } from '../../src/core/restore-removal.js';
import { findSuppressed } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import { fieldOf, goodPassword, signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import { optOutOf, plant, rowKinds, rowsOfList } from '../support/core.js';
import { makeList, startTestService, until, untilNumbered, type TestService } from '../support/service.js';
import { sevenZip, unzip } from '../support/seven-zip.js';

describe('Changes of opt-outs in the console', () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner', { password: true });
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
  });

  const base = () => `/console/lists/${list.publicId}/opt-outs`;
  const idOf = (email: string, tag = EVERYTHING) =>
    Buffer.concat([md5Of(email), Buffer.from(tag)]).toString('base64url');
  async function record(emails: readonly string[], more: Partial<OptOut> = {}): Promise<void> {
    await service.deps.recorder.record(
      emails.map((email) => optOutOf(list.id, email, { recordedAt: Date.now() - 1000, ...more })),
    );
    await untilNumbered(service, list);
  }
  async function standing(): Promise<string[]> {
    const rows = await rowsOfList(service.deps.db, list.id);
    return rows
      .filter((row) => row.removed_at === null)
      .map((row) => String(row.address))
      .sort();
  }
  async function searchToken(fields: Record<string, string>): Promise<string> {
    const sent = await olive.post(base(), fields);
    return new URL(sent.location ?? '', 'http://x').searchParams.get('search') ?? '';
  }
  async function removalIn(page: ConsolePage) {
    assert.equal(page.status, 303, page.text);
    const id = Number(/removals\/(\d+)$/.exec(page.location ?? '')?.[1]);
    return getBulkRemoval(service.deps.db, id);
  }

  it('remove those that were ticked, with the password, and for 30 days they can be taken back', async () => {
    await record(['ann@example.com', 'bob@example.com', 'cat@example.com']);
    const none = (await olive.post(`${base()}/remove`)).location ?? '';
    assert.match(none, /done=no-opt-out-ticked/);
    const said = (await olive.get(none)).html;
    assert.match(
      said,
      /<p class="notice warn" role="status">Select at least one opt-out first/,
      'it is no success',
    );
    const ticked = { optOut: [idOf('ann@example.com'), idOf('bob@example.com')] };
    const asked = await olive.post(`${base()}/remove`, ticked);
    assert.match(asked.text, /Remove 2 opt-outs\?.*ann@example\.com.*bob@example\.com/);
    assert.equal((await standing()).length, 3, 'nothing has gone yet');
    const sure = { ...ticked, confirmed: 'yes', askedAt: fieldOf(asked, 'askedAt') };
    const wrong = await olive.post(`${base()}/remove`, { ...sure, password: 'wrong wrong wrong' });
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /not your password.*/);
    assert.match(wrong.text, /Remove 2 opt-outs\?/);
    assert.equal(fieldOf(wrong, 'askedAt'), sure.askedAt);
    assert.equal((await standing()).length, 3);

    const done = await olive.post(`${base()}/remove`, { ...sure, password: goodPassword });
    const removal = await removalIn(done);
    assert.deepEqual(await standing(), ['cat@example.com']);
    assert.deepEqual([removal.optOuts, removal.actor], [2, `user:${olive.user.id}`]);
    const shown = await olive.get(done.location ?? '');
    assert.match(shown.text, /2 opt-outs were removed.*can be taken back until/);
    const details = await olive.get(`${base()}/${idOf('ann@example.com')}`);
    assert.match(details.text, /Removed .*By Olive Owner, in a removal of 2 opt-outs/);
    assert.match(details.text, /History .*Removed Olive Owner/);
    await restoreRemoval(service.deps.db, removal, { actor: 'test' });
    assert.equal((await standing()).length, 3);
    assert.equal((await olive.get(`${base()}/removals/999999`)).status, 404);
    const elsewhere = await makeList(service);
    const path = `/console/lists/${elsewhere.publicId}/opt-outs/removals/${removal.id}`;
    assert.equal((await olive.get(path)).status, 404, 'of another list');
  });

  it('remove hundreds that were ticked, on whatever page, as one removal', async () => {
    const emails = Array.from({ length: 450 }, (_, i) => `p${i}@example.com`);
    await record([...emails, 'ann@example.com']);
    const optOut = emails.map((email) => idOf(email));
    const asked = await olive.post(`${base()}/remove`, { optOut });
    assert.match(asked.text, /Remove 450 opt-outs\?/);
    const sure = { optOut, confirmed: 'yes', askedAt: fieldOf(asked, 'askedAt'), password: goodPassword };
    const removal = await removalIn(await olive.post(`${base()}/remove`, sure));
    assert.equal(removal.optOuts, 450);
    assert.deepEqual(await standing(), ['ann@example.com']);
    const { db } = service.deps;
    const noted = await db('history').where({ list_id: list.id, action: 'opt-out.removed' }).pluck('id');
    assert.equal(noted.length, 450);
    await restoreRemoval(db, removal, { actor: 'test' });
    assert.equal((await standing()).length, 451);
  });

  it('leave what was recorded again after the question', async () => {
    await record(['ann@example.com', 'bob@example.com']);
    const ticked = { optOut: [idOf('ann@example.com'), idOf('bob@example.com')] };
    const asked = await olive.post(`${base()}/remove`, ticked);
    await record(['ann@example.com'], { recordedAt: Date.now() + 5 });
    const sure = { ...ticked, confirmed: 'yes', askedAt: fieldOf(asked, 'askedAt'), password: goodPassword };
    assert.equal((await removalIn(await olive.post(`${base()}/remove`, sure))).optOuts, 1);
    assert.deepEqual(await standing(), ['ann@example.com']);
    const again = await olive.post(`${base()}/remove`, { ...sure, optOut: idOf('bob@example.com') });
    assert.match(again.location ?? '', /done=opt-outs-gone/);
  });

  it('remove all that a search finds, across pages, and no more than was shown', async () => {
    const emails = Array.from({ length: 120 }, (_, i) => `p${i}@example.com`);
    await record([...emails, 'ann@example.org']);
    const search = await searchToken({ address: '@example.com' });
    const asked = await olive.get(`${base()}/remove?search=${search}`);
    assert.match(asked.text, /Remove 120 opt-outs\?/);
    await record(['late@example.com'], { recordedAt: Date.now() + 5 });
    const sure = { counted: fieldOf(asked, 'counted'), confirmed: 'yes' };
    const wrong = await olive.post(`${base()}/remove`, { ...sure, password: 'no' });
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /Remove 120 opt-outs\?/);
    const removal = await removalIn(
      await olive.post(`${base()}/remove`, { ...sure, password: goodPassword }),
    );
    assert.equal(removal.optOuts, 120);
    assert.deepEqual(await standing(), ['ann@example.org', 'late@example.com']);
    const none = await olive.get(`${base()}/remove?search=${await searchToken({ address: 'zz' })}`);
    assert.match(none.text, /No opt-out fits/);
    const removed = await searchToken({ state: 'removed' });
    assert.equal((await olive.get(`${base()}/remove?search=${removed}`)).status, 400);
    assert.equal((await olive.get(`${base()}/remove?counted=forged`)).status, 404);
  });

  it('leave much of it to the keeper, and tell how far it has come', async function () {
    this.timeout(120_000);
    const { db } = service.deps;
    const count = mostAtOnce + 1500;
    await plant(
      db,
      list.id,
      Array.from({ length: count }, (_, i) => rowKinds.plain(`p${i}@example.com`)),
    );
    await untilNumbered(service, list);
    const search = await searchToken({ address: '@example.com' });
    const asked = await olive.get(`${base()}/remove?search=${search}`);
    assert.match(asked.text, /Remove 6,500 opt-outs\?/);
    const sure = { counted: fieldOf(asked, 'counted'), confirmed: 'yes', password: goodPassword };
    const done = await olive.post(`${base()}/remove`, sure);
    const { id } = await removalIn(done);
    const shown = await olive.get(done.location ?? '');
    if (/Removing/.test(shown.text)) assert.match(shown.html, /<progress value="\d+" max="6500" /);
    const deadline = Date.now() + 60_000;
    while ((await getBulkRemoval(db, id)).optOuts < count && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await until('it is over', async () =>
      /6,500 opt-outs were removed/.test((await olive.get(done.location ?? '')).text),
    );
    assert.deepEqual(await standing(), []);
  });

  it('add what was typed, and tell what was refused, and why', async () => {
    await addTags(service.deps.db, list.id, ['news']);
    await record(['ann@example.com']);
    const addresses =
      'ann@example.com\r\n\r\nBob@Example.com\nbob@example.com\nno address\n<script>@example.com';
    const page = await olive.post(`${base()}/new`, { addresses, tag: '', reason: 'By telephone' });
    assert.equal(page.status, 200);
    assert.match(page.text, /New 1 .*Known already 2 .*Refused 2/);
    assert.match(page.text, /5 no address The address has no @/);
    assert.doesNotMatch(page.html, /<script>@/);
    assert.deepEqual(await standing(), ['ann@example.com', 'bob@example.com']);
    const [row] = (await rowsOfList(service.deps.db, list.id)).filter((one) =>
      String(one.address).startsWith('bob'),
    );
    assert.deepEqual([row?.source, String(row?.reason), row?.vouched], ['console', 'By telephone', 1]);
    const details = await olive.get(`${base()}/${idOf('bob@example.com')}`);
    assert.match(details.text, /By telephone.*Added by hand Olive Owner/);
    const tagged = await olive.post(`${base()}/new`, { addresses: 'bob@example.com', tag: 'news' });
    assert.match(tagged.text, /New 1 /);
    const stands = await findSuppressed(service.deps.db, list.id, ['bob@example.com'], { tag: 'news' });
    assert.equal(stands.size, 1);
    for (const [fields, text] of [
      [{ addresses: ' \n ' }, /at least one address/],
      [{ addresses: 'x@y.example\n'.repeat(1001) }, /At most 1,000 addresses/],
      [{ addresses: 'x@y.example', tag: 'nope' }, /not one of the choices/],
      [{ addresses: 'x@y.example', reason: 'é'.repeat(200) }, /too long/],
    ] as const) {
      const refused = await olive.post(`${base()}/new`, fields);
      assert.equal(refused.status, 422);
      assert.match(refused.text, text);
    }
    assert.deepEqual([...new Set(await standing())], ['ann@example.com', 'bob@example.com']);
  });

  it('erase a person from all lists of the account, who stays suppressed', async () => {
    await record(['eve@example.com'], { reason: 'eve is me', ip: '203.0.113.5' });
    const first = list;
    list = await makeList(service);
    await record(['eve@example.com']);
    const path = `${base()}/${idOf('eve@example.com')}/erase`;
    const shown = await olive.get(path);
    assert.match(shown.text, /cannot be undone/);
    for (const [fields, text] of [
      [{ address: 'bob@example.com', password: goodPassword }, /not the address of this opt-out/],
      [{ address: 'eve@example.com', password: 'wrong' }, /not your password/],
      [{ address: 'eve@example.com' }, /Type your password/],
    ] as const) {
      const refused = await olive.post(path, fields);
      assert.equal(refused.status, 422);
      assert.match(refused.text, text);
    }
    assert.deepEqual(await standing(), ['eve@example.com']);
    const done = await olive.post(path, { address: ' Eve@Example.com ', password: goodPassword });
    assert.match(done.text, /Of 2 opt-outs, only the hashes/);
    for (const one of [first, list]) {
      const [row] = await rowsOfList(service.deps.db, one.id);
      assert.deepEqual([row?.address, row?.reason, row?.ip, row?.removed_at], [null, null, null, null]);
      assert.equal((await findSuppressed(service.deps.db, one.id, ['eve@example.com'])).size, 1);
    }
    const details = await olive.get(`${base()}/${idOf('eve@example.com')}`);
    assert.match(details.text, /Erased person.*Person erased Olive Owner/);
  });

  it('download what a search finds, encrypted and harmless in a spreadsheet', async function () {
    if (sevenZip === null) this.skip();
    const { db } = service.deps;
    await db('accounts').where({ id: service.accountId }).update({ time_zone: 'Asia/Tokyo' });
    const at = Date.UTC(2026, 0, 1, 15, 30);
    await record(['=cmd@example.com', '"a,b""c"@example.com'.replace('""', '')], {
      createdAt: at,
      tag: 'a"b',
    });
    await record(['-bob@example.com', '+cat@example.com', 'ann@example.com'], { createdAt: at + 1000 });
    await record(['zoe@example.org'], { createdAt: at });
    await plant(db, list.id, [rowKinds.md5Only('hash@example.com')]);
    await untilNumbered(service, list);
    const search = await searchToken({ address: '@example.com' });
    assert.match((await olive.get(`${base()}/download?search=${search}`)).text, /What your search finds/);
    for (const zipPassword of ['short', 'パスワードパスワード', ' leading space']) {
      const refused = await olive.post(`${base()}/download`, { search, zipPassword });
      assert.equal(refused.status, 422);
    }
    const response = await olive.fetch(`${base()}/download`, {
      method: 'POST',
      headers: { 'Sec-Fetch-Site': 'same-origin' },
      body: new URLSearchParams({ csrf: olive.formToken, search, zipPassword: 'right horse' }),
    });
    assert.equal(response.status, 200);
    assert.match(
      response.headers.get('content-disposition') ?? '',
      /attachment; filename="opt-outs-\d{8}_\d{6}\.zip"/,
    );
    assert.match(response.headers.get('cache-control') ?? '', /no-store/);
    const octets = Buffer.from(await response.arrayBuffer());
    assert.equal(unzip(octets, 'wrong horse').code, 2);
    const { code, content, method, isEncrypted } = unzip(octets, 'right horse');
    assert.deepEqual([code, isEncrypted], [0, true]);
    assert.match(method, /AES-256/);
    assert.equal(
      content.toString(),
      [
        '\uFEFFcreated,email,filtername',
        `2026-01-02 00:30:00,"""a,bc""@example.com","a""b"`,
        `2026-01-02 00:30:00,'=cmd@example.com,"a""b"`,
        `2026-01-02 00:30:01,'+cat@example.com,`,
        `2026-01-02 00:30:01,'-bob@example.com,`,
        `2026-01-02 00:30:01,ann@example.com,`,
        '',
      ].join('\r\n'),
    );
    const { actor, details } = (await db('history')
      .where({ list_id: list.id, action: 'list.downloaded' })
      .first()) as { actor: string; details: string };
    assert.equal(actor, `user:${olive.user.id}`);
    assert.deepEqual(JSON.parse(details), {
      ...{ surface: 'console', format: 'csv', rows: 5, encrypted: true },
      found_by: { address: 'domain', state: 'standing' },
    });
    await db('accounts').where({ id: service.accountId }).update({ time_zone: null });
  });

  it('tell of what was removed when it is downloaded too', async function () {
    if (sevenZip === null) this.skip();
    await record(['ann@example.com']);
    await plant(service.deps.db, list.id, [{ ...rowKinds.plain('bob@example.com'), removed_at: 86_400_000 }]);
    await untilNumbered(service, list);
    const search = await searchToken({ state: 'removed' });
    const response = await olive.fetch(`${base()}/download`, {
      method: 'POST',
      headers: { 'Sec-Fetch-Site': 'same-origin' },
      body: new URLSearchParams({ csrf: olive.formToken, search, zipPassword: 'right horse' }),
    });
    const { content } = unzip(Buffer.from(await response.arrayBuffer()), 'right horse');
    const lines = content.toString().split('\r\n');
    assert.deepEqual(lines, [
      '\uFEFFcreated,email,filtername,removed',
      '1970-01-01 00:00:01,bob@example.com,,1970-01-02 00:00:00',
      '',
    ]);
  });
});
