import assert from 'node:assert/strict';
import { revertBurst, tallyBurst } from '../../src/core/burst-revert.js';
import { liftBlock } from '../../src/core/blocks.js';
import { listBursts, type Burst } from '../../src/core/bursts.js';
import type { List } from '../../src/core/lists.js';
import { mintToken, newestLinkKey } from '../../src/core/signed-links.js';
import { admit } from '../../src/opt-out/attack.js';
import { optOutOf } from '../support/core.js';
import { confirmButton, hostedForm } from '../support/doors.js';
import { forgeries, startFlood, type Flood, type FloodAnswer } from '../support/flood.js';
import { formOf } from '../support/html.js';
import { addressesOf, rowsOf } from '../support/records.js';
import { makeList, startTestService, until, type TestService } from '../support/service.js';

const limit = 100;
const env = { ATTACK_RECIPIENTS: String(limit), RECIPIENT_REQUESTS_PER_MINUTE: '1000000' };
const machineDoors = ['pixel', 'one-click', 'direct-link'] as const;
type Door = keyof typeof forgeries;

describe('An attack from an address that many people share', function () {
  this.timeout(180_000);
  let service: TestService;
  let attackers = 0;
  before(async () => {
    service = await startTestService(env);
  });
  after(() => service.close());

  const newAddress = () => `203.0.113.${++attackers}`;
  const victims = (count: number, first = 0) =>
    Array.from({ length: count }, (_, i) => `victim${first + i}@example.com`);

  async function flooding<T>(
    work: (flood: Flood, from: string) => Promise<T>,
    url = service.url,
  ): Promise<T> {
    const from = newAddress();
    const flood = startFlood(url, from);
    try {
      return await work(flood, from);
    } finally {
      flood.close();
    }
  }

  /** A tenth of them comes twice. */
  async function forge(flood: Flood, door: Door, list: List, emails: string[]): Promise<FloodAnswer[]> {
    const sent = emails.flatMap((email, n) => (n % 10 === 0 ? [email, email] : [email]));
    return Promise.all(sent.map((email) => forgeries[door](flood, `/l/${list.publicId}`, email)));
  }

  /** Real people behind the same address, by every way that has to stay open to them. */
  async function leave(
    flood: Flood,
    from: string,
    list: List,
    count: number,
  ): Promise<Record<string, number[]>> {
    const { db, secret } = service.deps;
    const key = await newestLinkKey(db, secret, list);
    const signed = (email: string) => `/o/${mintToken(key, email, '*')}`;
    const ways: Record<string, (email: string) => Promise<number>> = {
      form: async (email) => (await hostedForm.ask(service, list.publicId, [['email', email]], from)).status,
      button: async (email) =>
        (await confirmButton.ask(service, list.publicId, [['email', email]], from)).status,
      signedpage: async (email) => (await forgeries.page(flood, signed(email), '')).status,
      signedclick: async (email) => (await forgeries['one-click'](flood, signed(email), '')).status,
      signedpixel: async (email) => (await forgeries.pixel(flood, signed(email), '')).status,
    };
    const told: Record<string, number[]> = {};
    for (const [way, ask] of Object.entries(ways)) {
      told[way] = [];
      for (let n = 0; n < count; n++) told[way].push(await ask(`${way}${n}@example.com`));
    }
    return told;
  }

  async function burstOf(from: string, source: Door): Promise<Burst> {
    let found: Burst | undefined;
    await until('it is flagged', async () => {
      const bursts = await listBursts(service.deps.db, service.accountId);
      found = bursts.find((one) => one.network === from && one.source === source);
      return found !== undefined;
    });
    return found as Burst;
  }

  const revert = (burst: Burst) => revertBurst(service.deps.db, burst, { actor: 'test', timeoutMs: 10_000 });
  const live = async (list: List) =>
    (await rowsOf(service, list)).filter((row) => row.removed_at === null).map((row) => String(row.address));

  for (const door of machineDoors) {
    // Of each door the same; one of them gets them all.
    const count = door === 'pixel' ? 5000 : 1000;
    it(`through ${door} is blocked there beyond the limit, flagged, and taken back; the people leave`, async () => {
      const list = await makeList(service, { directLink: door === 'direct-link' ? 'instant' : 'confirm' });
      // They have left before, and are forged as well.
      const earlier = victims(10);
      for (const email of earlier) {
        const answer = await hostedForm.ask(service, list.publicId, [['email', email]], '198.51.100.1');
        assert.equal(answer.status, 200);
      }
      await flooding(async (flood, from) => {
        const first = await forge(flood, door, list, victims(2 * limit));
        const [rest, told] = await Promise.all([
          forge(flood, door, list, victims(count - 2 * limit, 2 * limit)),
          leave(flood, from, list, 10),
        ]);
        for (const [way, statuses] of Object.entries(told)) {
          assert.deepEqual(statuses, Array(10).fill(200), way);
        }
        const answers = [...first, ...rest];
        assert.equal(answers.length, count * 1.1);
        const isBlocked = ({ status, text }: FloodAnswer) =>
          door === 'direct-link' ? formOf(text)?.action.endsWith('/opt-out') === true : status === 429;
        const blocked = answers.filter(isBlocked);
        assert.equal(rest.every(isBlocked), true, 'from the limit on, nothing passes');
        assert.ok(first.length - first.filter(isBlocked).length >= limit);
        if (door !== 'direct-link') {
          const [one] = blocked;
          assert.equal(one?.headers['content-type'], 'application/problem+json');
          assert.equal((JSON.parse(one?.text ?? '') as { code: string }).code, 'blocked');
          const seconds = Number(one?.headers['retry-after']);
          assert.ok(seconds > 3000 && seconds <= 3600, String(seconds));
        }
        const rows = await rowsOf(service, list);
        const forged = rows.filter((row) => row.source === door && row.vouched === 0);
        assert.equal(forged.length, limit - earlier.length, 'as many as the limit, less those who had left');
        assert.deepEqual([...new Set(forged.map((row) => row.ip))], [from]);

        const burst = await burstOf(from, door);
        assert.equal((await tallyBurst(service.deps.db, burst)).forged, forged.length);
        assert.equal((await revert(burst)).forged, forged.length);
        const people = Object.keys(told).flatMap((way) =>
          Array.from({ length: 10 }, (_, n) => `${way}${n}@example.com`),
        );
        assert.deepEqual(await live(list), [...earlier, ...people].sort());
      });
    });
  }

  it('through the form is recorded as it comes, flagged, and taken back; signed links stay', async () => {
    const list = await makeList(service);
    await flooding(async (flood, from) => {
      const key = await newestLinkKey(service.deps.db, service.deps.secret, list);
      const signed = async (n: number) =>
        (await forgeries.page(flood, `/o/${mintToken(key, `signed${n}@example.com`, '*')}`, '')).status;
      const [answers, people] = await Promise.all([
        forge(flood, 'page', list, victims(1500)),
        Promise.all(Array.from({ length: 20 }, (_, n) => signed(n))),
      ]);
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
      assert.deepEqual([...new Set(people)], [200]);
      assert.equal((await rowsOf(service, list)).length, 1520);

      await until('all of it is flagged', async () => {
        const { forged } = await tallyBurst(service.deps.db, await burstOf(from, 'page'));
        return forged === 1500;
      });
      const done = await revert(await burstOf(from, 'page'));
      assert.deepEqual(done, { forged: 1500, vouched: 20, restored: 0 });
      assert.deepEqual(
        (await live(list)).filter((email) => !email.startsWith('signed')),
        [],
      );
      assert.equal((await live(list)).length, 20);
    });
  });

  it('learns from a block nothing about who is on the list', async () => {
    const list = await makeList(service);
    await flooding(async (flood) => {
      await forge(flood, 'pixel', list, victims(limit + 1));
      const [known, unknown] = await Promise.all(
        ['victim0@example.com', 'nobody@example.com'].map((email) =>
          forgeries.pixel(flood, `/l/${list.publicId}`, email),
        ),
      );
      assert.equal(known?.status, 429);
      assert.equal(known.text, unknown?.text);
      assert.equal(known.headers['content-length'], unknown?.headers['content-length']);
    });
  });

  it('is none where the address is on the IP whitelist, or where there is none', async () => {
    const white = newAddress();
    const list = await makeList(service, { ipWhitelist: white });
    for (const from of [white, 'unknown', '10.0.0.7']) {
      const flood = startFlood(service.url, from);
      const answers = await forge(flood, 'pixel', list, victims(2 * limit, attackers++ * 1000));
      flood.close();
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200], from);
    }
    const bursts = await listBursts(service.deps.db, service.accountId);
    assert.equal(
      bursts.some(({ network }) => network === white),
      false,
    );
  });

  it('is not to be hidden by a forwarding header of its own, where TRUST_PROXY is set', async () => {
    const list = await makeList(service);
    const from = newAddress();
    const flood = startFlood(service.url, `198.51.100.200, ${from}`);
    const answers = await Promise.all(
      victims(2 * limit).map((email) =>
        flood.ask('GET', `/l/${list.publicId}/pixel.gif?email=${email}`, { Forwarded: 'for=1.1.1.1' }),
      ),
    );
    flood.close();
    assert.equal(answers.filter(({ status }) => status === 200).length, limit);
  });

  describe('on two nodes', () => {
    let other: TestService;
    before(async () => {
      other = await startTestService({ ...env, DATABASE_URL: service.databaseUrl });
    });
    after(() => other.close());

    it('is blocked on both when it is spread over both, and let in on both when that is lifted', async () => {
      const list = await makeList(service);
      const at = `/l/${list.publicId}`;
      const from = newAddress();
      const floods = [service, other].map(({ url }) => startFlood(url, from));
      const each = limit / 2 + 10;
      for (const [n, flood] of floods.entries()) {
        const answers = await forge(flood, 'pixel', list, victims(each, n * each));
        const statuses = new Set(answers.map(({ status }) => status));
        // Neither has seen too many; while the second one is asked, they may tell each other.
        if (n === 1) statuses.delete(429);
        assert.deepEqual([...statuses], [200]);
      }
      // Nobody new: that alone could be too many for one node.
      const statuses = () =>
        Promise.all(
          floods.map(
            async (flood, n) => (await forgeries.pixel(flood, at, `victim${n * each}@example.com`)).status,
          ),
        );
      await until('both know', async () => (await statuses()).every((status) => status === 429));

      const bursts = await listBursts(service.deps.db, service.accountId);
      assert.equal(bursts.filter((one) => one.network === from).length, 1);
      await liftBlock(service.deps.db, service.accountId, from, { actor: 'test', windowMs: 600_000 });
      await until('both let it in', async () => (await statuses()).every((status) => status === 200));
      for (const [n, flood] of floods.entries()) {
        const answer = await forgeries.pixel(flood, at, `late${n}@example.com`);
        assert.equal(answer.status, 200, 'and it counts anew');
      }
      for (const flood of floods) flood.close();
    });
  });

  it('is counted by each node where the rule’s tables are gone, and the doors go on', async () => {
    const list = await makeList(service);
    const { db } = service.deps;
    await db.schema.renameTable('arrivals', 'arrivals_gone');
    try {
      await flooding(async (flood) => {
        const answers = await forge(flood, 'pixel', list, victims(2 * limit));
        assert.ok(answers.every(({ status }) => status === 200 || status === 429));
        assert.equal((await addressesOf(service, list)).length, limit);
        await until('it is told', () =>
          service.logged.some((line) => line.includes('the attack rule could not reach the database')),
        );
        assert.doesNotMatch(service.logged.join(''), /victim|203\.0\.113\./);
      });
    } finally {
      await db.schema.renameTable('arrivals_gone', 'arrivals');
    }
  });
});

describe('Where TRUST_PROXY names nobody', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService({ ...env, TRUST_PROXY: '' });
  });
  after(() => service.close());

  it('what a proxy forwards is not blocked, and what comes of it is flagged', async () => {
    const list = await makeList(service);
    const flood = startFlood(service.url, '203.0.113.7');
    const answers = await Promise.all(
      Array.from({ length: 2 * limit }, (_, n) =>
        forgeries.pixel(flood, `/l/${list.publicId}`, `victim${n}@example.com`),
      ),
    );
    flood.close();
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    await until('it is flagged', async () => (await listBursts(service.deps.db, null)).length === 1);
    const [burst] = await listBursts(service.deps.db, null);
    assert.equal(burst?.network, '127.0.0.9', 'all have the address of the proxy');
  });

  it('a proxy with a public address is not blocked either; it may be any peer that forwards', async () => {
    // The tests come from loopback, which is never blocked: so this asks as the doors do.
    const list = await makeList(service);
    const passed = (forwardedByStranger: boolean, ip: string) =>
      Array.from({ length: 2 * limit }, (_, n) => {
        const client = { ip, forwardedByStranger };
        const optOut = optOutOf(list.id, `v${n}@example.com`, { source: 'pixel', recordedAt: Date.now() });
        return admit(service.deps, client, list, optOut);
      }).filter((blockedUntil) => blockedUntil === null).length;
    assert.equal(passed(true, '203.0.113.1'), 2 * limit);
    assert.equal(passed(false, '203.0.113.2'), limit);
  });
});
