import assert from 'node:assert/strict';
import { createAccount, type Account } from '../../src/core/accounts.js';
import { logDownload } from '../../src/core/downloads.js';
import { setGlobalList } from '../../src/core/global-list.js';
import { archiveList, createList, type List } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { signInAs, type ConsolePage } from '../support/console.js';
import { startTestService, untilNumbered, type TestService } from '../support/service.js';

const actor = 'test';

/** What a row of the table says, by the internal name of its list. */
function rowOf({ html }: ConsolePage, name: string): string {
  const row = html.split('<tr>').find((one) => one.includes(`>${name}</a>`));
  assert.ok(row !== undefined, `${name} has a row`);
  return row
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

const namesIn = ({ html }: ConsolePage) =>
  [...html.matchAll(/<th scope="row"><a [^>]*>([^<]*)<\/a>/g)].map(([, name]) => name);

describe('The lists of an account', () => {
  let service: TestService;
  let account: Account;
  let path: string;
  let accounts = 0;

  before(async () => {
    service = await startTestService();
  });
  after(() => service.close('figures are planted'));
  // One of its own for each test.
  beforeEach(async () => {
    account = await createAccount(service.deps.db, `Account ${++accounts}`);
    path = `/console/accounts/${account.id}/lists`;
  });

  const newList = (internalName: string, settings: Record<string, unknown> = {}): Promise<List> =>
    createList(
      service.deps.db,
      account.id,
      { name: internalName, internalName, ipWhitelist: '127.0.0.1', ...settings },
      { actor, confirmPrivate: true },
    );
  const owner = () => signInAs(service, { owner: account });

  it('are told of to an account that has none yet, with one button', async () => {
    const page = await (await owner()).get(path);
    assert.match(page.text, /Create your first list A list holds the addresses/);
    assert.equal(page.html.match(/href="[^"]*\/lists\/new"/g)?.length, 1);
    assert.doesNotMatch(page.html, /<table/);
  });

  it('have a row each: names, opt-outs, and who downloaded it last', async () => {
    const { db } = service.deps;
    const news = await newList('News DE', { name: 'Acme News' });
    await newList('Sale');
    const mailer = await createMailer(db, account.id, { name: 'Max Mailer' }, { actor });
    for (const who of ['ann', 'bob', 'cat']) {
      const response = await fetch(`${service.url}/l/${news.publicId}/notify?email=${who}@example.com`);
      assert.equal(response.status, 200);
    }
    await untilNumbered(service, news);
    const logged = { listId: news.id, mailerId: mailer.id, accessKeyId: 1, ip: '127.0.0.1', format: 'md5' };
    const id = await logDownload(db, { ...logged, extent: 'all', status: 200 });
    await db('downloads')
      .where({ id })
      .update({ at: Date.now() - 3 * 3_600_000 - 1000 });
    // Neither tells when the list was fetched.
    await logDownload(db, { ...logged, extent: 'scrub', status: 200 });
    await logDownload(db, { ...logged, extent: 'all', status: 503 });

    const page = await (await owner()).get(path);
    assert.equal(
      rowOf(page, 'News DE'),
      'News DE Acme News 3 3 3 3 3 hours ago Max Mailer Service : News DE',
    );
    assert.equal(rowOf(page, 'Sale'), 'Sale 0 0 0 0 Never Service : Sale');
    assert.ok(page.html.includes(`href="/console/lists/${news.publicId}/service"`));
  });

  it('count by the day of the account’s time zone', async () => {
    const { db } = service.deps;
    const list = await newList('News');
    const hour = 3_600_000;
    const now = new Date();
    // Midnight was an hour ago in one zone, and is in two hours in the other.
    const zones = [1, -2].map((apart) => {
      const offset = (((-now.getUTCHours() + apart + 36) % 24) - 12) | 0;
      return offset === 0 ? 'UTC' : `Etc/GMT${offset > 0 ? '-' : '+'}${Math.abs(offset)}`;
    });
    const slot = Math.floor((now.getTime() - 2 * hour) / 1_800_000) * 1_800_000;
    await db('opt_out_figures').insert({ list_id: list.id, slot, source: 'page', opt_outs: 7 });
    const olive = await owner();
    const sums = [];
    for (const time_zone of zones) {
      await db('accounts').where({ id: account.id }).update({ time_zone });
      sums.push(rowOf(await olive.get(path), 'News'));
    }
    assert.deepEqual(sums, ['News 0 7 7 0 Never Service : News', 'News 7 7 7 0 Never Service : News']);
  });

  it('say which one is global, closed, archived, or open to nobody', async () => {
    const { db } = service.deps;
    const all = await newList('Global one');
    await setGlobalList(db, account, all, { actor });
    await newList('Closed one', { state: 'closed', ipWhitelist: '' });
    await newList('Shy one', { ipWhitelist: '' });
    await newList('Open one', { ipWhitelist: '', downloadsFromAnyAddress: true });
    await archiveList(db, await newList('Old one'), true, { actor });
    const olive = await owner();
    const page = await olive.get(path);
    assert.match(rowOf(page, 'Global one'), /^Global one Global list 0/);
    assert.match(rowOf(page, 'Closed one'), /^Closed one Closed 0/);
    assert.match(rowOf(page, 'Shy one'), /^Shy one No IP whitelist 0/);
    assert.match(rowOf(page, 'Open one'), /^Open one 0/);
    assert.doesNotMatch(page.text, /Old one/);
    assert.match(page.text, /Show 1 archived list\b/);
    const archived = await olive.get(`${path}?show=archived`);
    assert.deepEqual(namesIn(archived), ['Old one']);
    assert.match(rowOf(archived, 'Old one'), /^Old one Archived 0/);
  });

  it('are found by a part of either name, in any case, and by their link', async () => {
    const sale = await newList('Summer sale 100%_off', { name: 'Offers' });
    await newList('Winter sale');
    const aged = await newList('Spring SALE');
    await archiveList(service.deps.db, aged, true, { actor });
    await newList('Bücher', { name: 'Ähnliches' });
    await newList('a-b');
    const olive = await owner();
    const found = async (q: string) =>
      namesIn(await olive.get(`${path}?${new URLSearchParams({ q }).toString()}`));
    assert.deepEqual(await found('SALE'), ['Summer sale 100%_off', 'Winter sale', 'Spring SALE']);
    assert.deepEqual(await found(' offers '), ['Summer sale 100%_off']);
    assert.deepEqual(await found('Ähnl'), ['Bücher']);
    assert.deepEqual(await found('0%_'), ['Summer sale 100%_off']);
    assert.deepEqual(await found('a_b'), []);
    assert.deepEqual(await found('!'), []);
    assert.deepEqual(await found(`http://signoff.test/l/${sale.publicId}?email=x`), ['Summer sale 100%_off']);
    assert.match((await olive.get(`${path}?q=nothing`)).text, /No list is called “nothing”/);
  });

  it('come in pages of 50, by their names, there and back, with archived ones behind a search’s others', async () => {
    const { db } = service.deps;
    const names = Array.from(
      { length: 120 },
      (_, i) => `${i % 2 ? 'List' : 'list'} ${String(i).padStart(3, '0')}`,
    );
    // In an order that is not that of their names; two have the same.
    for (const name of [...names.slice(60), ...names.slice(0, 60)]) await newList(name);
    await newList('list 007');
    await archiveList(db, await newList('List 000 archived'), true, { actor });
    const olive = await owner();
    const wanted = [...names, 'list 007'].sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1));
    const linkOf = ({ html }: ConsolePage, rel: string) =>
      new RegExp(`rel="${rel}" href="([^"]*)"`).exec(html)?.[1]?.replaceAll('&amp;', '&');
    const lower = (found: readonly (string | undefined)[]) => found.map((name) => name?.toLowerCase());

    const there: (string | undefined)[][] = [];
    let query: string | undefined = '';
    let page: ConsolePage | undefined;
    while (query !== undefined) {
      page = await olive.get(`${path}${query}`);
      there.push(namesIn(page));
      query = linkOf(page, 'next');
      assert.ok(there.length < 9, 'it comes to an end');
    }
    assert.deepEqual(
      there.map(({ length }) => length),
      [50, 50, 21],
    );
    assert.deepEqual(lower(there.flat()), lower(wanted));
    assert.equal(linkOf(await olive.get(path), 'prev'), undefined);

    const back: (string | undefined)[][] = [];
    for (let i = 0; page !== undefined && i < 9; i++) {
      back.unshift(namesIn(page));
      const link = linkOf(page, 'prev');
      page = link === undefined ? undefined : await olive.get(`${path}${link}`);
    }
    assert.deepEqual(lower(back.flat()), lower(wanted));

    const searched = await olive.get(`${path}?q=LIST%2000`);
    assert.equal(namesIn(searched).at(-1), 'List 000 archived');
    const pageOfSearch = await olive.get(`${path}?q=list`);
    assert.match(linkOf(pageOfSearch, 'next') ?? '', /^\?q=list&beyond=\d+$/);
  });

  it('ask the database nothing once for each list', async () => {
    const { db } = service.deps;
    const olive = await owner();
    for (let i = 0; i < 50; i++) await newList(`List ${i}`);
    const asked = new Map<string, number>();
    const note = ({ sql }: { sql: string }) => void asked.set(sql, (asked.get(sql) ?? 0) + 1);
    db.on('query', note);
    const page = await olive.get(path);
    db.off('query', note);
    assert.equal(namesIn(page).length, 50);
    assert.ok([...asked.keys()].some((sql) => sql.includes('list_counts')));
    // SQLite's sums come five lists at a time, to block nobody (opt-out-figures.ts). The keeper is at work as well.
    const [most] = [...asked].sort(([, one], [, other]) => other - one);
    assert.ok((most?.[1] ?? 0) <= 12, JSON.stringify(most));
  });

  it('are, to a mailer’s user, those that are granted to it, with its own downloads', async () => {
    const { db } = service.deps;
    const mine = await newList('Mine', { ipWhitelist: '' });
    await newList('Not mine');
    const mailer = await createMailer(db, account.id, { name: 'Max', ipWhitelist: '203.0.113.7' }, { actor });
    const other = await createMailer(db, account.id, { name: 'Olga' }, { actor });
    await grantList(db, mailer, mine, { actor });
    const logged = { listId: mine.id, accessKeyId: 1, ip: '127.0.0.1', format: 'md5', status: 200 };
    await logDownload(db, { ...logged, mailerId: other.id, extent: 'all' });
    const mel = await signInAs(service, { mailer });
    const page = await mel.get(path);
    assert.deepEqual(namesIn(page), ['Mine']);
    assert.equal(rowOf(page, 'Mine'), 'Mine 0 0 0 0 Never Service : Mine');
    assert.doesNotMatch(page.text, /New list|Olga/);
    assert.deepEqual(namesIn(await mel.get(`${path}?q=mine`)), ['Mine']);
    const ungranted = await signInAs(service, { mailer: other });
    assert.match((await ungranted.get(path)).text, /No list is granted to you yet/);
  });

  it('are nobody else’s: another account’s owner finds nothing', async () => {
    await newList('Secret');
    const stranger = await createAccount(service.deps.db, 'Stranger');
    const page = await (await signInAs(service, { owner: stranger })).get(path);
    assert.equal(page.status, 404);
    assert.doesNotMatch(page.text, /Secret/);
    const admin = await signInAs(service, 'admin');
    assert.deepEqual(namesIn(await admin.get(path)), ['Secret']);
  });

  it('pass over what no page of them has said', async () => {
    await newList('News');
    const olive = await owner();
    for (const query of [
      'beyond=x',
      'before=-1',
      'beyond=999999999',
      'q=%00',
      'show=x',
      `q=${'x'.repeat(5000)}`,
    ]) {
      assert.equal((await olive.get(`${path}?${query}`)).status, 200, query);
    }
    assert.deepEqual(namesIn(await olive.get(`${path}?beyond=x`)), ['News']);
  });

  it('are escaped, whatever they are called', async () => {
    const hostile = '<img src=x onerror=alert(1)>"\'';
    await newList(hostile);
    const olive = await owner();
    for (const query of ['', `?q=${encodeURIComponent('<img')}`]) {
      const page = await olive.get(path + query);
      assert.ok(page.text.includes(hostile));
      assert.doesNotMatch(page.html, /<img/);
    }
  });

  it('begin with a form that says what is missing, and end on the list’s service', async () => {
    const olive = await owner();
    const refused = await olive.post(`${path}/new`, { name: '' });
    assert.equal(refused.status, 422);
    assert.match(refused.text, /Please fill this in/);
    const { location } = await olive.post(`${path}/new`, { name: 'Fresh' });
    assert.match(location ?? '', /^\/console\/lists\/\w{20}\/service\?done=list-created$/);
    const page = await olive.get(location ?? '');
    assert.match(page.text, /The list is ready/);
    assert.deepEqual(namesIn(await olive.get(path)), ['Fresh']);
  });
});
