import assert from 'node:assert/strict';
import { getAccount } from '../../src/core/accounts.js';
import { startTestService, type TestService } from '../support/service.js';
import {
  clients,
  credentialFor,
  isRefused,
  placeOf,
  stateOf,
  tellsOf,
  type Answer,
  type Place,
} from './place.js';
import { rows, type KeyRow } from './rows.js';
import {
  claims,
  forwardingHeaders,
  ofPartner,
  ofStrangers,
  partner,
  partner6,
  proxy,
  stranger,
  type Lines,
} from './spellings.js';

/** Of loopback, where the peer itself is what a whitelist holds. */
const neighbour = '127.0.0.2';

/** One row of each kind of door that asks where somebody is; what they share, they share in one function. */
const byAddress: readonly (readonly [path: string, place: number])[] = [
  ['/l/:id', 1],
  ['/o/:id', 1],
  ['/l/:id/notify', 0],
  ['/l/:id/notify', 1],
  ['/o/:id/notify', 0],
  ['/l/:id/download', 1],
  ['/l/:id/scrub', 0],
  ['/api/v1/lists/:list/opt-outs', 0],
  ['/transaction/v2/unsubscribes/download.json', 0],
  [String(/^\/v3\/[^/]+\/unsubscribes(?:\/.*)?$/), 0],
  ['/apiv2/unsubscribe/list', 0],
];

describe('Where somebody is', function () {
  this.timeout(60_000);
  const client = clients();
  after(() => client.close());

  describe('is told by the proxies of TRUST_PROXY alone', () => {
    let service: TestService;
    before(async () => {
      service = await startTestService({ TRUST_PROXY: proxy, API_REQUESTS_PER_MINUTE: '1000000' });
    });
    after(() => service.close());

    for (const [at, [path, number]] of byAddress.entries()) {
      // All of it at each door would take half a minute: they share what reads an address.
      const part = <T>(all: readonly T[]) => all.filter((_, i) => i % 4 === at % 4);

      it(`to ${titleOf(path, number)}`, async () => {
        const { place, ask } = await whitelisting(service, path, number, `${partner} ${partner6}`);
        const before = await stateOf(place);
        for (const name of forwardingHeaders) {
          const more = name === 'X-Forwarded-For' ? part(claims) : [];
          for (const claim of [partner, ...more])
            isShut(await ask('127.0.0.1', [[name, claim]]), place, name, claim);
        }
        for (const lines of part(ofStrangers))
          isShut(await ask(proxy, lines), place, JSON.stringify(lines.at(-1)));
        assert.equal(await stateOf(place), before);
        for (const lines of ofPartner) {
          const answer = await ask(proxy, lines);
          assert.ok(!isRefused(answer), `${JSON.stringify(lines)}: ${answer.body}`);
        }
      });
    }

    it('by their last word, however many headers come before it', async () => {
      const { place, ask } = await whitelisting(service, '/l/:id/notify', 0, proxy);
      // Node has a count of its own, and drops what comes beyond it.
      const many = Array.from({ length: 2500 }, () => ['a', ''] as const);
      isShut(await ask(proxy, [...many, ['X-Forwarded-For', stranger]]), place);
      assert.ok(!isRefused(await ask(proxy, [...many, ['X-Forwarded-For', proxy]])));
    });

    it('to /readyz, which tells figures to nobody from outside', async () => {
      const figures = async (from: string, lines: Lines) => {
        const asked = { method: 'GET', path: '/readyz' };
        return (await client.send(service, asked, { from, more: lines })).body.includes('"feed"');
      };
      for (const name of forwardingHeaders.slice(0, 10)) {
        assert.equal(await figures('127.0.0.1', [[name, partner]]), false, name);
      }
      for (const lines of [...ofPartner, ...ofStrangers.slice(-70, -60)]) {
        const isInside = lines.every(([name]) => !/^x-forwarded-for$/i.test(name));
        assert.equal(await figures(proxy, lines), isInside, JSON.stringify(lines.at(-1)));
      }
      assert.equal(await figures('127.0.0.1', []), true);
    });
  });

  describe('is the peer itself where TRUST_PROXY names nobody, and nowhere where that one forwards', () => {
    let service: TestService;
    before(async () => {
      service = await startTestService({ TRUST_PROXY: '', API_REQUESTS_PER_MINUTE: '1000000' });
    });
    after(() => service.close());

    for (const [path, number] of byAddress) {
      it(`to ${titleOf(path, number)}`, async () => {
        const { place, ask } = await whitelisting(service, path, number, `${neighbour} ${partner}`);
        const before = await stateOf(place);
        for (const name of forwardingHeaders) {
          for (const claim of [neighbour, `${partner}, ${neighbour}`]) {
            isShut(await ask('127.0.0.1', [[name, claim]]), place, name, claim);
          }
        }
        for (const name of ['X-Forwarded-For', 'x-real-ip', 'Forwarded', 'CF-Connecting-IP']) {
          for (const claim of [neighbour, partner, '']) {
            isShut(await ask(neighbour, [[name, claim]]), place, name, claim);
          }
        }
        assert.equal(await stateOf(place), before);
        assert.ok(!isRefused(await ask(neighbour, [])));
      });
    }
  });

  /** A list, or a key, that may be come to from these networks alone, and how it is asked with all else that is due. */
  async function whitelisting(service: TestService, path: string, number: number, networks: string) {
    const account = await getAccount(service.deps.db, service.accountId);
    const row = rows[path]?.[number] as KeyRow;
    const place = await placeOf(service, account, networks);
    const key = await keyAt(place, row, networks);
    const ask = (from: string, more: Lines) => client.send(service, row.ask(place, key), { from, more });
    return { place, ask };
  }

  async function keyAt(place: Place, row: KeyRow, ipWhitelist: string): Promise<string | null> {
    // Where the whitelist alone opens, a key would do so as well.
    if (row.may === 'mailer') return row.orFromWhitelist === true ? null : place.accessKey;
    return (await credentialFor(place, row.may, place.list.accountId, { ipWhitelist })).key;
  }
});

function isShut(answer: Answer, place: Place, ...what: string[]): void {
  assert.ok(isRefused(answer), `${what.join(': ')}: ${answer.status} ${answer.body}`);
  assert.ok(answer.status < 500 && !tellsOf(answer, place), what.join(': '));
}

function titleOf(path: string, number: number): string {
  const row = rows[path]?.[number] as KeyRow;
  return `${path} (${row.may}, its row ${number + 1})`;
}
