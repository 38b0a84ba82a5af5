import assert from 'node:assert/strict';
import path from 'node:path';
import { createAccount } from '../../src/core/accounts.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { createList, type List } from '../../src/core/lists.js';
import type { Mailer } from '../../src/core/mailers.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { receiptText } from '../../src/core/receipts.js';
import { addTags } from '../../src/core/tags.js';
import { sqlitePath } from '../../src/db/sqlite.js';
import { foundInFiles, foundInTables } from '../support/bytes.js';
import { optOutOf, rowsOfList } from '../support/core.js';
import { download, listOf } from '../support/downloads.js';
import { engine } from '../support/engine.js';
import {
  makeList,
  makeMailer,
  startTestService,
  untilNumbered,
  type TestService,
} from '../support/service.js';
import { environmentOf, signoff } from './signoff.js';

/** So late that the keeper takes no IP address away. */
const at = Date.now() - 60_000;
const timeOf = (later: number) => new Date(at + later).toISOString();

interface HeldJson {
  erased_at: string | null;
  opt_outs: Record<string, unknown>[];
  history: Record<string, unknown>[];
}

describe('The command signoff person', function () {
  this.timeout(120_000);
  let service: TestService;
  let env: Record<string, string>;
  let news: List;
  let mailer: Mailer;
  before(async () => {
    service = await startTestService();
    env = environmentOf(service.databaseUrl);
    const { db, recorder } = service.deps;
    news = await makeList(service, { internalName: 'News' });
    const offers = await makeList(service, { internalName: 'Offers' });
    await addTags(db, news.id, ['sale']);
    ({ mailer } = await makeMailer(service, news));
    const address = { normalised: 'ann@example.com', given: 'Ann@Example.com' };
    await recorder.record([
      optOutOf(news.id, 'ann@example.com', {
        ...{
          mailerId: mailer.id,
          recordedAt: at,
          address,
          ip: '198.51.100.7',
          reason: 'spam',
          receipt: Buffer.alloc(8, 7),
        },
      }),
      optOutOf(news.id, 'ann@example.com', { tag: 'sale', recordedAt: at + 1000 }),
      optOutOf(offers.id, 'ann@example.com', { recordedAt: at }),
      optOutOf(offers.id, 'bob@example.com'),
    ]);
    await removeOptOuts(db, offers.id, 'ann@example.com', { at: at + 2000 });
    await untilNumbered(service, news);
    await untilNumbered(service, offers);
  });
  after(() => service.close());

  const held = async (address: string, ...more: string[]) => {
    const ran = await signoff(env, ['person', 'show', address, '--json', ...more]);
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    return ran.json<HeldJson>();
  };

  it('show tells all that is held about an address, over all lists', async () => {
    const { opt_outs, erased_at, history } = await held('Ann@example.com');
    assert.deepEqual([erased_at, history], [null, []]);
    assert.deepEqual(
      opt_outs.map((row) => [row.internal_name, row.tag, row.removed_at]),
      [
        ['News', '*', null],
        ['News', 'sale', null],
        ['Offers', '*', timeOf(2000)],
      ],
    );
    assert.deepEqual(opt_outs[0], {
      ...{ list: news.publicId, internal_name: 'News', tag: '*', kind: 'address' },
      ...{ address: 'ann@example.com', given: 'Ann@Example.com', source: 'server' },
      ...{ created_at: timeOf(0), recorded_at: timeOf(0) },
      ...{
        last_at: timeOf(0),
        repeats: 0,
        reason: 'spam',
        expires_at: null,
        removed_at: null,
      },
      ...{ mailer: mailer.name, ip: '198.51.100.7', receipt: receiptText(Buffer.alloc(8, 7)) },
    });
    const { stdout } = await signoff(env, ['person', 'show', 'ann@example.com']);
    assert.match(stdout, /^Acme holds 3 opt-outs of ann@example\.com on 2 lists\./);
    for (const text of [
      'Ann@Example.com',
      '198.51.100.7',
      'everything',
      'sale',
      receiptText(Buffer.alloc(8, 7)),
    ]) {
      assert.ok(stdout.includes(text), text);
    }
    assert.doesNotMatch(stdout, /bob@/);
  });

  it('show and erase end well where nothing is held, and say so', async () => {
    const shown = await signoff(env, ['person', 'show', '-'], { input: 'nobody@example.com\n' });
    assert.deepEqual([shown.code, shown.stderr], [0, '']);
    assert.match(shown.stdout, /^The lists of Acme hold nothing about nobody@example\.com\.$/m);
    const erased = await signoff(env, ['person', 'erase', 'nobody@example.com', '--confirm']);
    assert.deepEqual([erased.code, erased.stderr], [0, '']);
    assert.match(erased.stdout, /nothing of this person but hashes/);
  });

  it('take one address from standard input, and no more', async () => {
    for (const [input, why] of [
      ['', /standard input holds no address/],
      ['ann@example.com\nbob@example.com\n', /more than one address/],
      ['ann\n', /the address has no @/],
    ] as const) {
      const ran = await signoff(env, ['person', 'erase', '-', '--confirm'], { input });
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, why);
    }
  });

  it('erase only tells what it would do, until it is confirmed', async () => {
    const before = await rowsOfList(service.deps.db, news.id);
    const ran = await signoff(env, ['person', 'erase', 'ann@example.com']);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^News \(\w+\): 2 opt-outs\nOffers \(\w+\): 1 opt-out\nNothing has changed\./);
    const { erased, lists } = (await signoff(env, ['person', 'erase', 'ann@example.com', '--json'])).json<{
      erased: boolean;
      lists: unknown[];
    }>();
    assert.deepEqual([erased, lists.length], [false, 2]);
    assert.deepEqual(await rowsOfList(service.deps.db, news.id), before);
  });

  it('erase takes the person off all lists beside the running service, and leaves no byte in tables, logs and answers', async () => {
    const { db } = service.deps;
    const ran = await signoff(env, ['person', 'erase', '-', '--confirm'], { input: 'ann@example.com\n' });
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, /^News \(\w+\): 2 opt-outs erased\nOffers \(\w+\): 1 opt-out erased\nErased\./);
    assert.doesNotMatch(ran.stdout + ran.stderr, /ann@/i);
    assert.deepEqual(await foundInTables(db, 'ann@'), []);
    assert.deepEqual(
      service.logged.filter((line) => /ann@/i.test(line)),
      [],
    );
    if (engine === 'sqlite') {
      const folder = path.dirname(sqlitePath(service.databaseUrl));
      assert.deepEqual([...foundInFiles(folder, ['ann@'])], []);
      assert.ok(foundInFiles(folder, ['bob@']).size > 0);
    }
    const { opt_outs, erased_at, history } = await held('ann@example.com');
    assert.ok(erased_at !== null);
    assert.deepEqual([...new Set(opt_outs.map(({ kind }) => kind))], ['erased']);
    assert.deepEqual(
      history.map(({ action, actor }) => [action, actor]),
      [
        ['person.erased', 'cli'],
        ['person.erased', 'cli'],
      ],
    );
    const check = await signoff(env, ['opt-out', 'check', 'News', 'ann@example.com', '--exit-code']);
    assert.equal(check.code, 3, 'still suppressed');
    assert.equal((await signoff(env, ['audit'])).code, 0);
  });

  it('erase can be repeated, and rewrites the opt-outs where it is asked to', async () => {
    const ran = await signoff(env, [
      'person',
      'erase',
      'ann@example.com',
      '--confirm',
      '--rewrite',
      '--json',
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(ran.json(), {
      ...{ account: service.accountId, erased: true, lists: [], rewritten: true, log_emptied: true },
    });
  });

  it('asks which account is meant where there are several, and keeps to it', async () => {
    const { db, recorder } = service.deps;
    const one = await listOf(service, ['cyd@example.com']);
    const other = await createAccount(db, 'Other');
    const strange = await createList(db, other.id, { name: 'Strange' }, { actor: 'test' });
    await recorder.record([optOutOf(strange.id, 'cyd@example.com')]);
    const unsaid = await signoff(env, ['person', 'erase', 'cyd@example.com', '--confirm']);
    assert.equal(unsaid.code, 1);
    assert.match(unsaid.stderr, /There are several accounts: say which with --account ID/);
    const account = ['--account', String(service.accountId)];
    const ran = await signoff(env, ['person', 'erase', 'cyd@example.com', '--confirm', ...account]);
    assert.equal(ran.code, 0, ran.stderr);
    await untilNumbered(service, one.list);
    assert.equal(
      (await download(service, one, { format: 'md5' })).text,
      `${md5Of('cyd@example.com').toString('hex')}\n`,
    );
    assert.equal(
      (await download(service, one, { format: 'sha256' })).text,
      `${sha256Of('cyd@example.com').toString('hex')}\n`,
    );
    assert.equal((await download(service, one, { format: 'plain' })).text, '');
    assert.deepEqual(
      (await rowsOfList(db, strange.id)).map((row) => String(row.address)),
      ['cyd@example.com'],
    );
  });
});
