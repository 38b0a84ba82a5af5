import assert from 'node:assert/strict';
import { md5Of } from '../../src/core/address.js';
import { createAccount } from '../../src/core/accounts.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { getAccount } from '../../src/core/accounts.js';
import { editMailer } from '../../src/core/mailers.js';
import { addTags } from '../../src/core/tags.js';
import type { List } from '../../src/core/lists.js';
import type { OptOut } from '../../src/core/opt-outs.js';
import { getListById } from '../../src/core/lists.js';
import { optOutOf, plant, rowKinds } from '../support/core.js';
import { fieldOf, signInAs, type ConsolePage, type Visitor } from '../support/console.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';

describe('The opt-outs in the console', () => {
  let service: TestService;
  let olive: Visitor;
  let list: List;
  before(async () => {
    service = await startTestService();
    olive = await signInAs(service, 'owner');
  });
  after(() => service.close());
  beforeEach(async () => {
    list = await makeList(service);
  });

  const base = () => `/console/lists/${list.publicId}/opt-outs`;
  async function record(emails: readonly string[], more: Partial<OptOut> = {}): Promise<void> {
    await service.deps.recorder.record(
      emails.map((email) => optOutOf(list.id, email, { recordedAt: Date.now(), ...more })),
    );
    await untilNumbered(service, list);
  }
  async function search(fields: Record<string, string>, who = olive): Promise<ConsolePage> {
    const sent = await who.post(base(), fields);
    assert.equal(sent.status, 303, sent.text);
    return who.get(sent.location ?? '');
  }
  /** The addresses of a page, in its order. */
  const addressesOn = ({ html }: ConsolePage) =>
    [...html.matchAll(/<th scope="row"><a [^>]*>\s*<bdi>([^<]*)<\/bdi>/g)].map(([, text]) => text);
  const idOf = (email: string) => Buffer.concat([md5Of(email), Buffer.from('*')]).toString('base64url');
  const linkOn = ({ html }: ConsolePage, text: string) =>
    new RegExp(`<a[^>]* href="([^"]*)"[^>]*>${text}</a>`).exec(html)?.[1];

  /** Presses a button of a page of results, with what is ticked there. */
  async function turn(page: ConsolePage, text: string, ticked: readonly string[] = []): Promise<ConsolePage> {
    const [, name = '', value = ''] =
      new RegExp(`<button[^>]* name="(go|clear)" value="([^"]*)"[^>]*>${text}</button>`).exec(page.html) ??
      [];
    assert.ok(name !== '', `there is a button ${text}`);
    const optOut = [...new Set([...selectedOn(page), ...ticked])];
    const sent = await olive.post(base(), { optOut, here: fieldOf(page, 'here'), [name]: value });
    return sent.status === 303 ? olive.get(sent.location ?? '') : sent;
  }
  /** The ids that a page would send: ticked on it, or carried along. */
  const selectedOn = ({ html }: ConsolePage) => [...hiddenOn(html), ...tickedOn(html)];
  const hiddenOn = (html: string) =>
    [...html.matchAll(/<input type="hidden" name="optOut" value="([^"]*)">/g)].map(([, id]) => id ?? '');
  const tickedOn = (html: string) =>
    [...html.matchAll(/<input type="checkbox" name="optOut" value="([^"]*)" checked>/g)].map(
      ([, id]) => id ?? '',
    );
  const boxesOn = ({ html }: ConsolePage) =>
    [...html.matchAll(/<input type="checkbox" name="optOut" value="([^"]*)"/g)].map(([, id]) => id ?? '');

  it('are shown newest first, and nobody where nobody has left', async () => {
    assert.match((await olive.get(base())).text, /Nobody has opted out yet/);
    await record(['ann@example.com']);
    await record(['bob@example.com']);
    const page = await olive.get(base());
    assert.equal(page.status, 200);
    assert.deepEqual(addressesOn(page), ['bob@example.com', 'ann@example.com']);
  });

  it('show what was recorded a moment ago', async () => {
    await service.deps.recorder.record([optOutOf(list.id, 'ann@example.com', { recordedAt: Date.now() })]);
    assert.deepEqual(addressesOn(await olive.get(base())), ['ann@example.com']);
  });

  it('are searched, and no address stands in any URL', async () => {
    // Long names: three letters may stand in any random id.
    await record(['anastasia@example.com', 'anastasia2@example.org', 'bartholomew@example.com']);
    for (const [address, expected] of [
      ['anastasia', ['anastasia2@example.org', 'anastasia@example.com']],
      ['anastasia@example.com', ['anastasia@example.com']],
      ['@example.com', ['anastasia@example.com', 'bartholomew@example.com']],
      ['*olomew@*', ['bartholomew@example.com']],
      [md5Of('bartholomew@example.com').toString('hex'), ['bartholomew@example.com']],
      ['nobody@example.com', []],
    ] as const) {
      const sent = await olive.post(base(), { address });
      assert.doesNotMatch(String(sent.location), /anastasia|olomew|example/);
      const page = await olive.get(sent.location ?? '');
      assert.deepEqual(addressesOn(page).toSorted(), [...expected], address);
      if (expected.length === 0) assert.match(page.text, /No opt-out fits this search/);
      for (const [, href = ''] of page.html.matchAll(/href="([^"]*)"/g)) {
        assert.doesNotMatch(decodeURIComponent(href), /@|olomew|anastasia/i);
      }
    }
  });

  it('tell how the text was understood, and offer the other ways', async () => {
    await record(['ann.smith@example.com', 'mann@example.com']);
    const page = await search({ address: 'ann.smith' });
    assert.match(page.text, /Searched for addresses of the domain ann\.smith/);
    const other = await olive.get(linkOn(page, 'Search for the beginning instead') ?? '');
    assert.deepEqual(addressesOn(other), ['ann.smith@example.com']);
    const part = await olive.get(
      linkOn(await search({ address: 'ann' }), 'Search for any part instead') ?? '',
    );
    assert.deepEqual(addressesOn(part), ['ann.smith@example.com', 'mann@example.com']);
  });

  it('are filtered by day in the zone of the account, tag, source and state', async () => {
    await addTags(service.deps.db, list.id, ['news']);
    list = await getListById(service.deps.db, list.id);
    await service.deps.db('accounts').where({ id: service.accountId }).update({ time_zone: 'Asia/Tokyo' });
    // 2026-01-01 in Tokyo.
    const newYear = Date.UTC(2025, 11, 31, 16);
    await record(['ann@example.com'], { createdAt: newYear, tag: 'news', source: 'page' });
    await record(['bob@example.com'], { createdAt: newYear - 2 * 3_600_000, source: 'api' });
    const found = async (fields: Record<string, string>) => addressesOn(await search(fields)).sort();
    assert.deepEqual(await found({ from: '2026-01-01', to: '2026-01-01' }), ['ann@example.com']);
    assert.deepEqual(await found({ to: '2025-12-31' }), ['bob@example.com']);
    assert.deepEqual(await found({ tag: 'news' }), ['ann@example.com']);
    assert.deepEqual(await found({ tag: '*' }), ['bob@example.com']);
    assert.deepEqual(await found({ source: 'api' }), ['bob@example.com']);
    assert.deepEqual(await found({ state: 'removed' }), []);
    await service.deps.db('accounts').where({ id: service.accountId }).update({ time_zone: null });
    assert.deepEqual(await found({ to: '2025-12-31' }), ['ann@example.com', 'bob@example.com']);
  });

  it('come back with the form where it does not pass', async () => {
    for (const [fields, text] of [
      [{ from: '2026-02-30' }, /not in the right form/],
      [{ from: '2026-02-02', to: '2026-02-01' }, /before the first day/],
      [{ address: '@nothing' }, /No address can hold this/],
      [{ source: 'telephone' }, /not one of the choices/],
    ] as const) {
      const page = await olive.post(base(), fields);
      assert.equal(page.status, 422);
      assert.match(page.text, text);
    }
    assert.equal((await olive.get(`${base()}?search=abc`)).status, 404);
    const other = await makeList(service);
    const sent = await olive.post(`/console/lists/${other.publicId}/opt-outs`, { address: 'ann' });
    const token = new URL(sent.location ?? '', 'http://x').searchParams.get('search') ?? '';
    assert.equal((await olive.get(`${base()}?search=${token}`)).status, 404, 'a token is of one list');
  });

  it('are paged through once each, 50 at a time', async () => {
    const emails = Array.from({ length: 120 }, (_, i) => `p${i}@example.com`);
    await record(emails);
    for (const fields of [{}, { address: 'p' }, { address: '@example.com' }, { address: '*p*' }]) {
      let page = await search(fields);
      const sizes = [];
      const all: (string | undefined)[] = [];
      for (;;) {
        sizes.push(addressesOn(page).length);
        all.push(...addressesOn(page));
        if (!page.text.includes('Next page')) break;
        page = await turn(page, 'Next page');
      }
      assert.deepEqual(sizes, [50, 50, 20]);
      const second = await turn(page, 'Previous page');
      assert.deepEqual(addressesOn(second), all.slice(50, 100));
      const first = await turn(second, 'Previous page');
      assert.deepEqual(addressesOn(first), all.slice(0, 50));
      assert.doesNotMatch(first.text, /Previous page/);
      assert.deepEqual(all.toSorted(), emails.toSorted());
    }
  });

  it('stay selected from page to page, until the selection is cleared', async () => {
    await record(Array.from({ length: 120 }, (_, i) => `p${i}@example.com`));
    const first = await olive.get(base());
    const [one = '', two = ''] = boxesOn(first);
    const second = await turn(first, 'Next page', [one, two]);
    assert.equal(second.status, 200);
    assert.match(second.text, /2 selected, 2 of them on other pages/);
    const [three = ''] = boxesOn(second);
    const third = await turn(second, 'Next page', [three]);
    assert.match(third.text, /3 selected, 3 of them on other pages/);
    const back = await turn(await turn(third, 'Previous page'), 'Previous page');
    assert.match(back.text, /3 selected, 1 of them on another page/);
    assert.deepEqual([tickedOn(back.html), hiddenOn(back.html)], [[one, two], [three]]);
    const asked = await olive.post(`${base()}/remove`, { optOut: selectedOn(back) });
    assert.match(asked.text, /Remove 3 opt-outs\?/);
    const cleared = await turn(back, 'Clear the selection');
    assert.deepEqual(addressesOn(cleared), addressesOn(back));
    assert.deepEqual(selectedOn(cleared), []);
    assert.doesNotMatch(cleared.text, /selected, /);
  });

  it('are selected by the thousand, and no more', async () => {
    await record(Array.from({ length: 60 }, (_, i) => `p${i}@example.com`));
    const page = await olive.get(base());
    const many = Array.from({ length: 1001 }, (_, i) => idOf(`q${i}@example.com`));
    const refused = await turn(page, 'Next page', many);
    assert.match(refused.text, /At most 1,000 opt-outs can be selected at once/);
    assert.deepEqual(addressesOn(refused), addressesOn(page), 'it stays where it was');
    assert.equal(selectedOn(refused).length, 1001, 'and nothing is lost');
    const removing = await olive.post(`${base()}/remove`, { optOut: many });
    assert.match(removing.text, /At most 1,000 opt-outs can be removed at once/);
    const junk = { optOut: ['x'], go: 'x', here: 'x' };
    assert.equal((await olive.post(base(), junk)).status, 404);
  });

  it('are said to be suppressed by the global list where only that holds them', async () => {
    const global = await makeList(service);
    const account = await getAccount(service.deps.db, service.accountId);
    await setGlobalList(service.deps.db, account, global, { actor: 'test' });
    await service.deps.recorder.record([
      optOutOf(global.id, 'ann@example.com'),
      optOutOf(global.id, 'both@example.com'),
    ]);
    await record(['both@example.com']);
    const said = /the global list of the account suppresses it/;
    const page = await search({ address: 'Ann@example.com' });
    assert.match(page.text, said);
    assert.equal(
      linkOn(page, 'See it on the global list'),
      `/console/lists/${global.publicId}/opt-outs/${idOf('ann@example.com')}`,
    );
    assert.match((await olive.get(linkOn(page, 'See it on the global list') ?? '')).text, /ann@example\.com/);
    for (const address of ['both@example.com', 'nobody@example.com', 'ann', '@example.com']) {
      assert.doesNotMatch((await search({ address })).text, said, address);
    }
    const { mailer } = await makeMailer(service, list, { plainAllowed: true });
    const theirs = await search({ address: 'ann@example.com' }, await signInAs(service, { mailer }));
    assert.match(theirs.text, said);
    assert.equal(linkOn(theirs, 'See it on the global list'), undefined);
    await setGlobalList(service.deps.db, account, null, { actor: 'test' });
    assert.doesNotMatch((await search({ address: 'ann@example.com' })).text, said);
  });

  it('say what is known by a hash only, and escape what is hostile', async () => {
    await plant(service.deps.db, list.id, [
      rowKinds.md5Only('ann@example.com'),
      rowKinds.sha256Only('bob@example.com'),
      rowKinds.erased('cat@example.com'),
    ]);
    await record(['"<script>alert(1)</script>"@example.com'], {
      reason: '<img src=x onerror=alert(2)>',
      tag: '<b>',
    });
    const page = await olive.get(base());
    assert.match(page.text, /Known by its MD5 only/);
    assert.match(page.text, /Known by its SHA-256 only/);
    assert.match(page.text, /Erased person/);
    assert.doesNotMatch(page.html, /<script>alert|<b>/);
    const typed = await search({ address: 'ann@example.com' });
    assert.match(typed.text, /Known by its MD5 only/);
    const key = Buffer.concat([md5Of('"<script>alert(1)</script>"@example.com'), Buffer.from('<b>')]);
    const details = await olive.get(`${base()}/${key.toString('base64url')}`);
    assert.match(details.text, /<script>alert\(1\)<\/script>/);
    assert.doesNotMatch(details.html, /<script>alert|<img src=x/);
  });

  it('wait with a clear page while a large removal is taken back', async () => {
    const alone = await startTestService();
    try {
      // Nobody is there to end it.
      await alone.deps.keeper.stop();
      const of = await makeList(alone);
      await alone.deps.db('bulk_removals').insert({
        ...{ account_id: alone.accountId, list_id: of.id, kind: 'all', at: 1, actor: 'test' },
        ...{ state: 'restoring', carried_at: 1, restored_at: 1 },
      });
      const page = await (await signInAs(alone, 'owner')).get(`/console/lists/${of.publicId}/opt-outs`);
      assert.equal(page.status, 503);
      assert.match(page.text, /Not at the moment/);
    } finally {
      await alone.close();
    }
  });

  it('of a long list come in stretches, which tell how far the search has come, and go on', async function () {
    this.timeout(60_000);
    const { db } = service.deps;
    await addTags(db, list.id, ['rare']);
    const rows = Array.from({ length: 13_000 }, (_, n) => ({
      ...rowKinds.plain(`p${n}@example.com`),
      tag: Buffer.from(n % 400 === 0 ? 'rare' : '*'),
    }));
    await plant(db, list.id, rows);
    await untilNumbered(service, list);
    let page = await search({ address: '@example.com', tag: 'rare' });
    assert.match(page.text, /entries were looked at so far/);
    const found = addressesOn(page);
    for (let pages = 1; /Go on searching/.test(page.text); pages++) {
      assert.ok(pages < 20, 'it comes to an end');
      page = await turn(page, 'Go on searching');
      found.push(...addressesOn(page));
    }
    assert.equal(new Set(found).size, 33);
    assert.equal(found.length, 33);
  });

  it('point to the global list, and are nobody else’s', async () => {
    const global = await makeList(service);
    const account = await getAccount(service.deps.db, service.accountId);
    await setGlobalList(service.deps.db, account, global, { actor: 'test' });
    assert.match((await olive.get(base())).text, /global list of the account/);
    await setGlobalList(service.deps.db, account, null, { actor: 'test' });

    const stranger = await signInAs(service, { owner: await createAccount(service.deps.db, 'Other') });
    await record(['ann@example.com']);
    const id = /opt-outs\/([\w-]{20,})"/.exec((await olive.get(base())).html)?.[1] ?? '';
    for (const path of ['', '/new', '/download', `/${id}`, `/${id}/erase`]) {
      assert.equal((await stranger.get(base() + path)).status, 404, path);
    }
    const otherList = await makeList(service);
    assert.equal((await olive.get(`/console/lists/${otherList.publicId}/opt-outs/${id}`)).status, 404);
    for (const bad of ['x', 'a'.repeat(300), '%00', 'AAAA']) {
      assert.equal((await olive.get(`${base()}/${bad}`)).status, 404, bad);
    }
  });

  it('are read by a mailer who may have plain addresses, without IPs and without changes', async () => {
    await record(['ann@example.com'], { ip: '203.0.113.9', reason: 'secret reason' });
    const { mailer } = await makeMailer(service, list, { plainAllowed: false });
    const max = await signInAs(service, { mailer });
    const refused = await max.get(base());
    assert.match(refused.text, /has not allowed you to see addresses/);
    assert.doesNotMatch(refused.text, /ann@/);
    assert.doesNotMatch((await max.post(base(), { address: 'ann' })).text, /ann@/);
    const owners = await olive.get(base());
    const id = /opt-outs\/([\w-]{20,})"/.exec(owners.html)?.[1] ?? '';
    assert.doesNotMatch((await max.get(`${base()}/${id}`)).text, /ann@/);

    await editMailer(service.deps.db, mailer, { plainAllowed: true }, { actor: 'test' });
    const page = await search({ address: 'ann', state: 'any' }, max);
    assert.deepEqual(addressesOn(page), ['ann@example.com']);
    assert.doesNotMatch(page.html, /type="checkbox"|Remove|\/remove|Add by hand|\/download[^s]/);
    const details = await max.get(`${base()}/${id}`);
    assert.match(details.text, /ann@example\.com/);
    assert.doesNotMatch(details.text, /203\.0\.113\.9|secret reason|Erase|Remove|MD5|History/);
    assert.match((await olive.get(`${base()}/${id}`)).text, /203\.0\.113\.9.*|secret reason/);
    for (const path of ['/new', '/download', '/remove', `/${id}/erase`]) {
      assert.equal((await max.get(base() + path)).status, 403, path);
      assert.equal((await max.post(base() + path, { optOut: id, confirmed: 'yes' })).status, 403, path);
    }
    const noted = (await service.deps.db('history').where({ list_id: list.id, action: 'list.searched' })) as {
      actor: string;
      details: string;
    }[];
    // The search, and the look at the one.
    assert.equal(noted.length, 2);
    for (const { actor, details } of noted) {
      assert.equal(actor, `user:${max.user.id}`);
      assert.doesNotMatch(details, /\bann\b/);
    }
    const gone = { removed_at: Date.now(), feed_number: null };
    await service.deps.db('opt_outs').where({ list_id: list.id }).update(gone);
    assert.equal((await max.get(`${base()}/${id}`)).status, 404, 'what is removed is not theirs to see');
  });

  it('speak Japanese', async () => {
    const jiro = await signInAs(service, 'owner', { language: 'ja' });
    await record(['ann@example.com']);
    assert.match((await jiro.get(base())).text, /配信停止.*停止日時.*すべてのメール/);
  });
});
