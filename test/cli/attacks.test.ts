import assert from 'node:assert/strict';
import type { List } from '../../src/core/lists.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { forgeries, startFlood } from '../support/flood.js';
import { makeList, startTestService, until, untilNumbered, type TestService } from '../support/service.js';
import { environmentOf, signoff } from './signoff.js';

const limit = 20;
const attacker = '2001:db8:0:1ab::66';
const network = '2001:db8:0:100::/56';

describe('The commands signoff blocks and signoff bursts', function () {
  this.timeout(120_000);
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService({ ATTACK_RECIPIENTS: String(limit) });
    list = await makeList(service);
    const flood = startFlood(service.url, attacker);
    for (let n = 0; n <= limit; n++) {
      await forgeries.pixel(flood, `/l/${list.publicId}`, `victim${n}@example.com`);
    }
    flood.close();
    // Somebody else stands behind this one.
    const other = startFlood(service.url, '198.51.100.1');
    await forgeries.page(other, `/l/${list.publicId}`, 'victim3@example.com');
    other.close();
  });
  after(() => service.close());

  const run = (...args: string[]) => signoff(environmentOf(service.databaseUrl), args);
  const done = async (...args: string[]) => {
    const ran = await run(...args);
    assert.equal(ran.code, 0, ran.stderr);
    return ran;
  };
  const ask = async () => {
    const flood = startFlood(service.url, attacker);
    const { status } = await forgeries.pixel(flood, `/l/${list.publicId}`, 'victim0@example.com');
    flood.close();
    return status;
  };

  it('show what the attack rule has done', async () => {
    await until('the block is written', async () => {
      const found = (await done('blocks', 'list', '--json')).json<Record<string, unknown>[]>();
      return found.length === 1;
    });
    const [block] = (await done('blocks', 'list', String(service.accountId), '--json')).json<
      Record<string, string>[]
    >();
    assert.deepEqual(Object.keys(block ?? {}), ['account_id', 'network', 'started_at', 'ends_at']);
    assert.equal(block?.network, network);
    assert.match(
      (await done('blocks', 'list')).stdout,
      /^ACCOUNT +NETWORK +SINCE +UNTIL\n1 +2001:db8:0:100::\/56 /,
    );

    const [burst] = (await done('bursts', 'list', '--json')).json<Record<string, unknown>[]>();
    const { started_at: startedAt, last_at: lastAt, ...rest } = burst ?? {};
    assert.ok(String(startedAt) <= String(lastAt));
    assert.deepEqual(rest, {
      ...{ id: 1, account_id: 1, source: 'pixel', network, recipients: limit + 1 },
      ...{ opt_outs: limit - 1, reverted_at: null, reverted: null },
    });
    const { stdout } = await done('bursts', 'list');
    assert.match(stdout, /^1 +1 +pixel +2001:db8:0:100::\/56 .* 21 or more +19 +no$/m);
  });

  it('refuse what there is not, by name', async () => {
    for (const [args, sentence] of [
      [['blocks', 'lift', '1', '203.0.113.7'], /^Account 1 has not blocked 203\.0\.113\.7/],
      [['blocks', 'lift', '1', 'somewhere'], /network is neither/i],
      [['blocks', 'lift', '9', '203.0.113.7'], /^There is no account 9\.$/m],
      [['blocks', 'list', '9'], /^There is no account 9\.$/m],
      [['bursts', 'revert', '9', '--confirm'], /^There is no burst 9/],
      [
        ['bursts', 'revert', '1'],
        /19 opt-outs would be taken back, 1 would stay\.\nNothing has changed: add --confirm to do so\.$/m,
      ],
    ] as const) {
      const ran = await run(...args);
      assert.equal(ran.code, 1, args.join(' '));
      assert.match(ran.stderr, sentence);
    }
  });

  it('lift a block, by any address of its network, and say how to let somebody in for good', async () => {
    assert.equal(await ask(), 429);
    const lifted = await done('blocks', 'lift', '1', '2001:db8:0:1ff::1');
    assert.match(lifted.stdout, /2001:db8:0:100::\/56 may use the machine doors of account 1 again/);
    assert.match(lifted.stdout, /signoff list edit LIST --ip-whitelist/);
    await until('it is let in', async () => (await ask()) === 200);
    assert.match((await done('blocks', 'list')).stdout, /^Nobody is blocked\.$/m);
    assert.equal((await run('blocks', 'lift', '1', network)).code, 1, 'once');
  });

  it('come with a warning of the cap, which says what it costs on the global list', async () => {
    const plain = await done('list', 'edit', list.publicId, '--cap', '1000');
    assert.match(plain.stderr, /can be mailed again .*docs\/cap\.md/);
    assert.doesNotMatch(plain.stderr, /global/);
    await done('list', 'global', list.publicId, '--confirm');
    const { stderr } = await done('list', 'edit', list.publicId, '--cap', '1000');
    assert.match(stderr, /This is the global list: .* on all lists of the account\./);
    await done('list', 'global', list.publicId, '--off', '--confirm');
    const unsure = await run('list', 'global', list.publicId);
    assert.match(unsure.stderr, /This is the global list: .* on all lists of the account\./);
    assert.match(
      (await done('list', 'global', list.publicId, '--confirm')).stderr,
      /This is the global list: /,
    );
    await done('list', 'global', list.publicId, '--off', '--confirm');
    await done('list', 'edit', list.publicId, '--cap', 'off');
  });

  it('take a burst back, once', async () => {
    const first = (await done('bursts', 'revert', '1', '--confirm', '--json')).json<
      Record<string, unknown>
    >();
    assert.deepEqual([first.taken_back, first.stayed, first.reverted], [limit - 1, 1, limit - 1]);
    assert.equal(first.restored, 0, 'nobody had left by a cap');
    const again = await done('bursts', 'revert', '1', '--confirm');
    assert.match(again.stdout, /^0 opt-outs were taken back\.\n1 opt-out of that time stayed: /);
    const { db } = service.deps;
    assert.equal(await isSuppressed(db, list.id, 'victim3@example.com'), true);
    assert.equal(await isSuppressed(db, list.id, 'victim4@example.com'), false);
    const noted = (await db('history')
      .whereIn('action', ['block.lifted', 'burst.reverted'])
      .pluck('actor')) as string[];
    assert.deepEqual(noted, ['cli', 'cli', 'cli']);
    await untilNumbered(service, list);
    const audited = await run('audit');
    assert.equal(audited.code, 0, audited.stdout);
  });
});
