import { rotateAccessKey } from '../../src/core/access-keys.js';
import { createAttackRule } from '../../src/core/attack-rule.js';
import { createAccount } from '../../src/core/accounts.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { createCredential } from '../../src/core/credentials.js';
import { expireOptOuts } from '../../src/core/numbering.js';
import { takeLease } from '../../src/core/leases.js';
import { createList } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import {
  compareRows,
  removeOptOuts,
  rowOf,
  type OptOut,
  type OptOutRecord,
} from '../../src/core/opt-outs.js';
import { addTags } from '../../src/core/tags.js';
import type { Db } from '../../src/db/connect.js';
import {
  migratedDatabase,
  numberAll,
  optOutOf,
  plant,
  rowKinds,
  type TestDatabase,
} from '../support/core.js';
import { engine } from '../support/engine.js';
import { imported, uploadText } from '../support/import-jobs.js';

const actor = 'test';
export const never = 4_000_000_000_000;

async function record(db: Db, optOuts: readonly OptOut[]): Promise<void> {
  await writeOptOuts(db, optOuts.map(rowOf).sort(compareRows));
}

/** Some of everything, with more rows and more tags of one address than a slice has. */
export async function usedDatabase(): Promise<TestDatabase> {
  const database = await migratedDatabase();
  const { db } = database;
  await createAccount(db, 'Other');
  const settings = {
    name: 'Acme News',
    ipWhitelist: '203.0.113.7, 198.51.100.0/24',
    thankYou: { en: '# Goodbye' },
    redirectTemplate: 'https://acme.example/{list}',
    privacyUrl: 'https://acme.example/privacy',
    postalAddress: '1 Example Street\nExample Town',
  };
  const news = await createList(db, 1, settings, { actor });
  const offers = await createList(db, 1, { name: 'Acme Offers' }, { actor });
  await createList(db, 2, { name: 'Nothing yet' }, { actor });
  await addTags(db, news.id, ['sale']);
  const mailer = await createMailer(db, 1, { name: 'Mail House', ipWhitelist: '192.0.2.1' }, { actor });
  await createMailer(db, 2, { name: 'Stranger' }, { actor });
  await grantList(db, mailer, news, { actor });
  await rotateAccessKey(db, mailer, { actor, overlapMs: 0 });
  const shop = { surface: 'mailgun', name: 'Shop', rights: ['read'] as const };
  await createCredential(db, 1, { ...shop, lists: [news] }, { actor });
  await takeLease(db, 'keeper', 'test', 1000);

  await record(db, [
    optOutOf(news.id, 'ann@example.com', { mailerId: mailer.id }),
    optOutOf(news.id, 'bob@example.com', { expiresAt: never }),
    optOutOf(news.id, 'cyd@example.com', { tag: 'sale' }),
    optOutOf(news.id, 'cyd@example.com'),
    optOutOf(news.id, 'dan@example.com', { expiresAt: 1500 }),
    optOutOf(news.id, 'eve@bücher.example'),
    optOutOf(offers.id, 'ann@example.com'),
    optOutOf(offers.id, 'bob@example.com'),
  ]);
  await plant(db, news.id, [
    rowKinds.md5Only('fay@example.com'),
    rowKinds.sha256Only('gus@example.com'),
    rowKinds.erased('hal@example.com'),
  ]);
  const tags = Array.from({ length: 1050 }, (_, i) => ({
    ...rowKinds.plain('ida@example.com'),
    tag: Buffer.from(`tag ${i}`),
  }));
  const many = Array.from({ length: 1200 }, (_, i) => rowKinds.plain(`person${i}@example.com`));
  await plant(db, offers.id, [...tags, ...many]);
  await numberAll(db, [news.id, offers.id]);

  await record(db, [optOutOf(news.id, 'ann@example.com', { recordedAt: 1200, createdAt: 900 })]);
  await removeOptOuts(db, news.id, 'cyd@example.com', { at: 1300 });
  await expireOptOuts(db, 1600);
  await numberAll(db, [news.id, offers.id]);
  await record(db, [optOutOf(news.id, 'cyd@example.com', { recordedAt: 1700, expiresAt: never })]);
  await numberAll(db, [news.id, offers.id]);
  await attack(db);
  await imported(db, news, 'address\nnobody\nnobody else\n');
  await uploadText(db, offers, 'ann@example.com\n');
  await uploadText(db, offers, 'a,b\nann@example.com,bob@example.com\n', { isHeld: true });
  await db('feed_marks').insert([
    { at: 1100, number: 5 },
    { at: 2000, number: await lastNumber(db) },
  ]);
  return database;
}

/** One client too many: a block, a burst, and what was seen of it. */
async function attack(db: Db): Promise<void> {
  const rule = createAttackRule(db, {
    ...{
      recipients: 2,
      windowMs: 60_000,
      blockMs: 60_000,
      node: 'test',
      now: () => 5000,
      mergeEveryMs: null,
    },
  });
  for (const name of ['a', 'b', 'c']) {
    const addressKey = md5Of(`${name}@example.com`);
    rule.admit({
      ...{ accountId: 1, ip: '2001:db8::1', source: 'pixel', addressKey, at: 5000, isForwarded: false },
    });
  }
  await rule.merge();
}

async function lastNumber(db: Db): Promise<number> {
  const feed = await db<{ id: number; last_number: number }>('feed').where({ id: 1 }).first();
  return feed?.last_number ?? 0;
}

/** The numbers of some rows of a list that can be changed without its newest number being missed. */
async function spareNumbers(db: Db, listId: number): Promise<number[]> {
  const numbers = (await db('opt_outs')
    .where({ list_id: listId, counted: 1 })
    .whereNull('expires_at')
    .orderBy('feed_number')
    .limit(2)
    .pluck('feed_number')) as number[];
  return numbers;
}

const ann = { list_id: 1, address_key: md5Of('ann@example.com') };
const bob = { list_id: 1, address_key: md5Of('bob@example.com') };
const fay = { list_id: 1, address_key: md5Of('fay@example.com') };
const erasedAnn = {
  ...{ account_id: 1, address_key: ann.address_key, sha256: sha256Of('ann@example.com'), at: 1000 },
};
const minutes = 60_000;
const removal = {
  ...{ account_id: 1, list_id: 1, kind: 'all', at: 1300, actor, state: 'removed', opt_outs: 2 },
  ...{ carried_at: 1300, finished_at: 1300 },
};
const importOfFile = {
  ...{
    import_key: Buffer.alloc(32, 7),
    account_id: 1,
    list_id: 1,
    version: '1',
    line: 10,
    taken: 8,
    refused: 2,
  },
  ...{ refused_octets: 0, started_at: 1000, saved_at: 1000 },
};

const figureOf = (list_id: number, opt_outs = 1) => ({ list_id, slot: 3_600_000, source: 'page', opt_outs });
const fetchOf = (list_id: number, reached: number) => ({ list_id, mailer_id: 1, reached, reached_at: 1 });

type Plant = (db: Db) => PromiseLike<unknown>;

/** Changes the import job of a state. */
function job(state: string, columns: Record<string, unknown>): Plant {
  return (db) => db('import_jobs').where({ state }).update(columns);
}
const list =
  (columns: Record<string, unknown>): Plant =>
  (db) =>
    db('lists').where({ id: 1 }).update(columns);
/** Changes one row of `opt_outs`. */
export const row =
  (columns: Record<string, unknown>, key: Record<string, unknown> = ann): Plant =>
  (db) =>
    db('opt_outs').where(key).update(columns);

const bothEngines: [what: string, codes: string[], plant: Plant][] = [
  [
    'a feed number of two rows of a list',
    ['feed-number-twice'],
    async (db) => {
      const [one, other] = await spareNumbers(db, 1);
      await db('opt_outs').where({ list_id: 1, feed_number: other }).update({ feed_number: one });
    },
  ],
  [
    'a feed number of rows of two lists',
    ['feed-number-twice'],
    async (db) => {
      const [one] = await spareNumbers(db, 1);
      const [other] = await spareNumbers(db, 2);
      await db('opt_outs').where({ list_id: 2, feed_number: other }).update({ feed_number: one });
    },
  ],
  [
    'an address that an import has brought back after an erasure',
    ['erased', 'figures'],
    async (db) => {
      await row({ source: 'import' })(db);
      await db('erased_people').insert(erasedAnn);
    },
  ],
  [
    'a hash of an erased person that is cut short',
    ['octets'],
    (db) => db('erased_people').insert({ ...erasedAnn, sha256: erasedAnn.sha256.subarray(1) }),
  ],
  [
    'an erased person of no account',
    ['reference'],
    (db) => db('erased_people').insert({ ...erasedAnn, account_id: 77 }),
  ],
  ['a feed number of 0', ['feed-number'], row({ feed_number: 0 })],
  [
    'a feed number beyond the feed',
    ['feed-number'],
    async (db) => {
      const number = (await lastNumber(db)) + 5;
      await row({ feed_number: number })(db);
      await db('list_counts').where({ list_id: 1 }).update({ last_number: number });
    },
  ],
  [
    'a count that is wrong',
    ['counts'],
    (db) => db('list_counts').where({ list_id: 1 }).increment('erased', 1),
  ],
  ['counts that are missing', ['counts'], (db) => db('list_counts').where({ list_id: 1 }).delete()],
  ['a row that counts as another kind', ['counted', 'counts'], row({ counted: 2 })],
  ['a removal that the feed was not told', ['counted'], row({ removed_at: 1500 })],
  [
    'a newest number that no row has',
    ['last-number'],
    (db) => db('list_counts').where({ list_id: 2 }).increment('last_number', 1),
  ],
  [
    'a row above its list’s newest number',
    ['last-number'],
    (db) => db('list_counts').where({ list_id: 2 }).decrement('last_number', 1),
  ],
  [
    'an opt-out that is lost',
    ['counts', 'last-number'],
    async (db) => {
      const newest = (await db('opt_outs').where({ list_id: 2 }).orderBy('feed_number', 'desc').first()) as {
        feed_number: number;
      };
      await db('opt_outs').where({ list_id: 2, feed_number: newest.feed_number }).delete();
    },
  ],
  ['a key that is not its address’s MD5', ['address-key'], row({ address: Buffer.from('zoe@example.com') })],
  ['a SHA-256 that is not its address’s', ['address-key'], row({ sha256: sha256Of('zoe@example.com') })],
  [
    'an address that is not normalised',
    ['address-form'],
    row({
      address: Buffer.from('Ann@Example.com'),
      address_key: md5Of('Ann@Example.com'),
    }),
  ],
  ['what is no address', ['address-form'], row({ address: Buffer.from('ann'), address_key: md5Of('ann') })],
  [
    'an address as given beside a hash alone',
    ['hash-only'],
    row({ given: Buffer.from('Fay@example.com') }, fay),
  ],
  ['a tag of no octets', ['octets'], row({ tag: Buffer.alloc(0) })],
  ['an opt-out from before it was recorded', ['time'], row({ created_at: 1001 })],
  ['a repeat from before the first time', ['time'], row({ last_at: 999 })],
  ['a repeat that is to come', ['time'], row({ last_at: never })],
  ['a removal that is to come', ['counted', 'time'], row({ removed_at: never })],
  ['a time below 0', ['time'], row({ created_at: -1 })],
  ['repeats below 0', ['repeats'], row({ repeats: -1 })],
  ['a source that there is none of', ['source'], row({ source: 'fax' })],
  ['what is neither vouched for nor not', ['vouched'], row({ vouched: 2 })],
  ['what is neither in the figures nor not', ['figures'], row({ figured: 7 })],
  ['a figure that is too low', ['figures'], (db) => db('opt_out_figures').update({ opt_outs: 1 })],
  ['an opt-out that was counted, and is in no figure', ['figures'], (db) => db('opt_out_figures').delete()],
  ['a figure of no list', ['reference'], (db) => db('opt_out_figures').insert(figureOf(999))],
  [
    'more opt-outs than there ever were',
    ['figures'],
    (db) => db('opt_out_figures').insert(figureOf(3, 10_000)),
  ],
  ['a figure of nobody', ['figures'], (db) => db('opt_out_figures').insert(figureOf(1, 0))],
  ['an opt-out that stands from beyond the feed', ['feed-number'], row({ stands_from: 100_000 })],
  ['who left again before they last did', ['time'], row({ left_again_at: never })],
  [
    'a mailer that has come farther than the feed',
    ['fetches'],
    (db) => db('fetches').insert(fetchOf(1, 100_000)),
  ],
  ['a fetch of no list', ['reference'], (db) => db('fetches').insert(fetchOf(999, 1))],
  [
    'a limit of alerts that does not pass',
    ['settings'],
    (db) => db('alert_settings').insert({ list_id: 1, opt_outs_a_day: 0, shrinks: true, not_honoured: true }),
  ],
  ['a burst that ends before it begins', ['burst'], (db) => db('bursts').update({ last_at: 1 })],
  ['a burst of no client', ['burst'], (db) => db('bursts').update({ network: '203.0.113.0/24' })],
  ['a burst through no door', ['burst'], (db) => db('bursts').update({ source: 'fax' })],
  ['a burst of nobody', ['burst'], (db) => db('bursts').update({ recipients: 0 })],
  ['a burst that is neither open nor over', ['burst'], (db) => db('bursts').update({ is_open: 0 })],
  ['a burst that is half taken back', ['burst'], (db) => db('bursts').update({ reverted_at: 5 })],
  ['a burst of no account', ['reference'], (db) => db('bursts').update({ account_id: 999 })],
  ['a block that has ended before it began', ['block'], (db) => db('blocks').update({ ends_at: 1 })],
  ['a block of no client', ['block'], (db) => db('blocks').update({ network: '2001:db8::1' })],
  ['a block by no account', ['reference'], (db) => db('blocks').update({ account_id: 999 })],
  [
    'recipients that are cut short',
    ['arrivals'],
    (db) => db('arrivals').update({ recipients: Buffer.alloc(13) }),
  ],
  ['arrivals at no account', ['reference'], (db) => db('arrivals').update({ account_id: 999 })],
  ['an opt-out of no list', ['reference'], (db) => plant(db, 999, [rowKinds.plain('ann@example.com')])],
  ['an opt-out by no mailer', ['reference'], row({ mailer_id: 999 })],
  ['an opt-out by a mailer of another account', ['account'], row({ mailer_id: 2 })],
  ['a list of no account', ['reference'], (db) => db('lists').where({ id: 3 }).update({ account_id: 999 })],
  [
    'a mailer of no account',
    ['reference'],
    (db) => db('mailers').where({ id: 2 }).update({ account_id: 999 }),
  ],
  ['a tag of no list', ['reference'], (db) => db('tags').update({ list_id: 999 })],
  [
    'a link key of no list',
    ['reference'],
    (db) => db('link_keys').insert({ list_id: 999, number: 1, salt: Buffer.alloc(16), created_at: 1 }),
  ],
  ['an access key of no mailer', ['reference'], (db) => db('access_keys').update({ mailer_id: 999 })],
  ['a grant to no mailer', ['reference'], (db) => db('grants').update({ mailer_id: 999 })],
  ['a grant of no list', ['reference'], (db) => db('grants').update({ list_id: 999 })],
  ['a grant across accounts', ['account'], (db) => db('grants').update({ mailer_id: 2 })],
  ['counts of no list', ['reference'], (db) => db('list_counts').insert({ list_id: 999 })],
  [
    'a download of no list',
    ['reference'],
    (db) =>
      db('downloads').insert({
        ...{ list_id: 999, mailer_id: 1, access_key_id: 1, at: 1, ip: '192.0.2.1' },
        ...{ extent: 'all', format: 'md5', status: 200 },
      }),
  ],
  [
    'an answer to no credential',
    ['reference'],
    (db) =>
      db('idempotency_keys').insert({
        ...{ credential_id: 999, claimed_until: 0, created_at: 1000 },
        ...{ key_hash: Buffer.alloc(32), fingerprint: Buffer.alloc(32), claim: Buffer.alloc(16) },
      }),
  ],
  ['a credential for lists that are lost', ['credential'], (db) => db('credential_lists').delete()],
  [
    'a credential for all lists that names one',
    ['credential'],
    (db) => db('credentials').update({ for_all_lists: true }),
  ],
  [
    'lists of no credential',
    ['reference'],
    (db) => db('credential_lists').insert({ credential_id: 999, list_id: 1 }),
  ],
  ['an import into no list', ['reference'], (db) => db('imports').insert({ ...importOfFile, list_id: 999 })],
  [
    'an import across accounts',
    ['account'],
    (db) => db('imports').insert({ ...importOfFile, account_id: 2 }),
  ],
  [
    'an import of more rows than lines',
    ['import'],
    (db) => db('imports').insert({ ...importOfFile, taken: 8, refused: 3 }),
  ],
  [
    'an import that was kept before it began',
    ['time'],
    (db) => db('imports').insert({ ...importOfFile, saved_at: 999 }),
  ],
  ['a removal of no list', ['reference'], (db) => db('bulk_removals').insert({ ...removal, list_id: 999 })],
  [
    'a removal across accounts',
    ['account'],
    (db) => db('bulk_removals').insert({ ...removal, account_id: 2 }),
  ],
  [
    'a removal in no state',
    ['removal'],
    (db) => db('bulk_removals').insert({ ...removal, state: 'x', finished_at: null }),
  ],
  [
    'a removal that brought back more than it took',
    ['removal'],
    (db) => db('bulk_removals').insert({ ...removal, restored: 5 }),
  ],
  [
    'a removal that was taken back, and is still in force',
    ['removal'],
    async (db) => {
      const gone = (await db('opt_outs')
        .whereNotNull('removed_at')
        .whereNull('expires_at')
        .first()) as OptOutRecord;
      const { list_id, address_key, tag, removed_at: at } = gone;
      const takenBack = { ...removal, list_id, at, state: 'restored', restored_at: 1400 };
      const [id = 0] = await db('bulk_removals').insert(takenBack);
      await db('opt_outs').where({ list_id, address_key, tag }).update({ removal_id: id });
    },
  ],
  [
    'a removal of what a search finds that is of another list',
    ['removal'],
    async (db) => {
      const [id = 0] = await db('bulk_removals').insert(removal);
      const found = { filter: '{}', recorded_before: 1, most: 1 };
      await db('found_removals').insert({ removal_id: id, list_id: 999, ...found });
    },
  ],
  ['an import job of no list', ['reference'], job('done', { list_id: 999 })],
  ['an import job of no account', ['account', 'reference'], job('done', { account_id: 999 })],
  ['an import job across accounts', ['account'], job('done', { account_id: 2 })],
  ['an import job of more rows than lines', ['import-job'], job('done', { taken: 2 })],
  ['an import job of a state that is none', ['import-job'], job('waiting', { state: 'lost' })],
  ['an import job whose options cannot be read', ['import-job'], job('waiting', { options: '{' })],
  ['an import job that is over and has no end', ['import-job'], job('done', { finished_at: null })],
  ['an import job that has failed for no reason', ['import-job'], job('done', { state: 'failed' })],
  ['an import job that was over before it was made', ['time'], job('done', { finished_at: 1 })],
  ['an import job that is over and keeps its file', ['import-job'], job('done', { due_at: null })],
  ['an import job that knew more rows than it took', ['import-job'], job('done', { known: 1 })],
  ['an import job that has read more than there is', ['import-job'], job('done', { read_octets: 99 })],
  ['a held import job that is never forgotten', ['import-job'], job('held', { due_at: null })],
  ['a held import job that was begun', ['import-job'], job('held', { begun_at: never })],
  ['a held import job without its file', ['import-job'], job('held', { octets: 1 })],
  [
    'an import job that waits without its file',
    ['import-job'],
    (db) => db('import_job_chunks').where({ job_id: 2 }).delete(),
  ],
  [
    'a part of a file of no import job',
    ['reference'],
    (db) => db('import_job_chunks').insert({ job_id: 999, number: 0, octets: Buffer.of(1) }),
  ],
  [
    'refused rows of no import job',
    ['reference'],
    (db) => db('import_job_refusals').insert({ job_id: 999, line: 1, problem: 'no-at' }),
  ],
  [
    'a refused row that is not counted',
    ['import-job'],
    (db) => db('import_job_refusals').insert({ job_id: 1, line: 1, problem: 'no-at' }),
  ],
  ['a feed without its row', ['feed'], (db) => db('feed').delete()],
  ['a feed of two rows', ['feed'], (db) => db('feed').insert({ id: 2, epoch: 'abc', last_number: 0 })],
  ['a feed purged beyond its end', ['feed'], (db) => db('feed').update({ purged_number: 1_000_000 })],
  ['an epoch that fits in no cursor', ['feed'], (db) => db('feed').update({ epoch: 'a.b' })],
  ['a feed written by a keeper to come', ['feed'], (db) => db('feed').update({ fencing: 1000 })],
  ['no lease for the keeper', ['feed'], (db) => db('leases').delete()],
  ['feed marks that fall', ['feed-mark'], (db) => db('feed_marks').insert({ at: 2100, number: 6 })],
  [
    'a feed mark beyond the feed',
    ['feed-mark'],
    (db) => db('feed_marks').insert({ at: 2100, number: 1_000_000 }),
  ],
  [
    'a row recorded long after the mark of its number',
    ['feed-mark'],
    row({
      recorded_at: 2001 + 10 * minutes,
      last_at: 2001 + 10 * minutes,
    }),
  ],
  [
    'a cap that has come beyond its list',
    ['cap'],
    (db) => db('list_counts').where({ list_id: 2 }).update({ evicted_number: 1_000_000 }),
  ],
  [
    'a cap that has passed over somebody',
    ['cap'],
    async (db) => {
      const [one] = await spareNumbers(db, 1);
      await db('list_counts').where({ list_id: 1 }).update({ evicted_number: one });
    },
  ],
  ['an expiry that nobody will look at', ['expiry'], (db) => db('expiries').where(bob).delete()],
  [
    'an expiry that is noted too late',
    ['expiry'],
    (db) =>
      db('expiries')
        .where(bob)
        .update({ expires_at: never + 1 }),
  ],
  [
    'an expiry of no opt-out',
    ['expiry'],
    (db) => db('expiries').insert({ ...ann, tag: Buffer.from('sale'), expires_at: never }),
  ],
  ['a whitelist that cannot be read', ['settings'], list({ ip_whitelist: '203.0.113' })],
  ['a whitelist that is not canonical', ['settings'], list({ ip_whitelist: '203.0.113.7, 203.0.113.8' })],
  ['a redirect that leads nowhere', ['settings'], list({ redirect_template: 'ftp://acme.example' })],
  ['thank-you texts that are no JSON', ['settings'], list({ thank_you: '# Goodbye' })],
  ['thank-you texts that are no texts', ['settings'], list({ thank_you: '{"en":5}' })],
  ['a thank-you text in no language', ['settings'], list({ thank_you: '{"xx":"Goodbye"}' })],
  ['a thank-you text that shows nothing', ['settings'], list({ thank_you: '{"en":"#"}' })],
  ['a language that there is none of', ['settings'], list({ default_language: 'xx' })],
  ['a state that there is none of', ['settings'], list({ state: 'ajar' })],
  ['a direct link of no kind', ['settings'], list({ direct_link: 'never' })],
  ['a cap that nobody could have set', ['settings'], list({ cap: 999 })],
  ['a switch that is neither on nor off', ['settings'], list({ pixel: 2 })],
  ['a name that nobody could have typed', ['settings'], list({ name: 'Acme\u0007' })],
  ['an address of a page that is none', ['settings'], list({ privacy_url: 'javascript:alert(1)' })],
  ['a public id that nobody could ask for', ['settings'], list({ public_id: 'ABC' })],
  [
    'a mailer’s whitelist that cannot be read',
    ['settings'],
    (db) => db('mailers').where({ id: 1 }).update({ ip_whitelist: 'everywhere' }),
  ],
];

/** Somebody who signs in, and is what is said here. */
function user(columns: Record<string, unknown>): Plant {
  return async (db) => {
    await db('users').insert({
      ...{ id: 71, email: 'olive@example.com', name: 'Olive', role: 'owner', account_id: 1, created_at: 1 },
      ...columns,
    });
  };
}

/** The same with a row of another table. */
function userWith(
  table: string,
  columns: Record<string, unknown>,
  more: Record<string, unknown> = {},
): Plant {
  return async (db) => {
    await user(more)(db);
    await db(table).insert({ user_id: 71, created_at: 1, ...columns });
  };
}

const session = { token_hash: Buffer.alloc(32, 1), seen_at: 1, expires_at: 2, ip: '', browser: '' };
const users: typeof bothEngines = [
  ['an owner of no account', ['user'], user({ account_id: null })],
  ['an owner of an account that there is not', ['reference'], user({ account_id: 999 })],
  ['an admin of an account', ['user'], user({ role: 'admin' })],
  ['a mailer of none', ['user'], user({ role: 'mailer' })],
  ["a user of another account's mailer", ['user'], user({ role: 'mailer', mailer_id: 2 })],
  ['a user whose address nobody can type', ['user'], user({ email: 'Olive@Example.com' })],
  ['a password that is not hashed', ['user'], user({ password_hash: 'secret', password_at: 1 })],
  ['a role that there is not', ['user'], user({ role: 'guest' })],
  [
    'a session of nobody',
    ['reference'],
    async (db) => void (await db('sessions').insert({ ...session, user_id: 999, created_at: 1 })),
  ],
  ['a session of who was ended', ['session'], userWith('sessions', session, { ended_at: 1 })],
  ['a session for ever', ['session'], userWith('sessions', { ...session, expires_at: never })],
  [
    'a set-up link of somebody',
    ['one-time-link'],
    userWith('one_time_links', { token_hash: Buffer.alloc(32, 1), purpose: 'set-up', expires_at: 2 }),
  ],
  [
    'a link for another address, without one',
    ['one-time-link'],
    userWith('one_time_links', { token_hash: Buffer.alloc(32, 1), purpose: 'email', expires_at: 2 }),
  ],
  [
    'a link for a password, with an address',
    ['one-time-link'],
    userWith('one_time_links', {
      ...{ token_hash: Buffer.alloc(32, 1), purpose: 'password', expires_at: 2, email: 'eve@example.com' },
    }),
  ],
  [
    'recovery codes in place of none',
    ['recovery-codes'],
    userWith('recovery_codes', { code_hash: Buffer.alloc(32, 1) }),
  ],
];

const sqliteAlone: typeof bothEngines = [
  ['a SHA-256 that is too short', ['octets'], row({ sha256: Buffer.alloc(31) }, fay)],
  ['an address that is no binary', ['octets'], row({ address: 'ann@example.com' })],
  ['a key that is no binary', ['octets'], row({ address_key: 'ann' })],
  ['a setting that is no text', ['settings'], list({ contact: Buffer.from('x') })],
];

/** Every way to break the database that the audit has to find, and the codes it has to find it under. */
export const plants = [...bothEngines, ...users, ...(engine === 'sqlite' ? sqliteAlone : [])];
