import assert from 'node:assert/strict';
import { createApp } from '../../src/app.js';
import { createAccount, getAccount, type Account } from '../../src/core/accounts.js';
import { matrix as consoleMatrix } from '../console/matrix.js';
import { signInAs } from '../support/console.js';
import { routesOf } from '../support/routes.js';
import { startTestService, type TestService } from '../support/service.js';
import { clients, credentialFor, isRefused, placeOf, stateOf, tellsOf, type Place } from './place.js';
import { rows, type KeyRow } from './rows.js';
import { strangersAt, type Elsewhere } from './strangers.js';

describe('Who may open what, of all that the service answers', function () {
  this.timeout(60_000);
  let service: TestService;
  let account: Account;
  let elsewhere: Elsewhere;
  let client: ReturnType<typeof clients>;
  before(async () => {
    service = await startTestService({ METRICS_TOKEN: 'm'.repeat(40) });
    account = await getAccount(service.deps.db, service.accountId);
    const other = await createAccount(service.deps.db, 'Other');
    elsewhere = {
      list: await placeOf(service, account),
      account: await placeOf(service, other),
    };
    client = clients();
  });
  after(async () => {
    client.close();
    await service.close();
  });

  it('is told of every route of the app, and of nothing else', () => {
    const found = routesOf(createApp(service.deps));
    const isOfConsole = (path: string) => /^\/console(\/|$)/.test(path) && !/\.(css|js|svg)$/.test(path);
    const isAsset = (path: string) => /^\/console.*\.(css|js|svg)$/.test(path);
    assert.deepEqual(
      found.filter((path) => !isOfConsole(path) && !isAsset(path)).sort(),
      Object.keys(rows).sort(),
    );
    const ofConsole = Object.keys(consoleMatrix).map((path) => `/console${path}`);
    assert.deepEqual(found.filter(isOfConsole).sort(), ofConsole.sort());
  });

  for (const [path, ofPath] of Object.entries(rows)) {
    const hasPage = ofPath.some(({ may }) => may === 'anyone');
    for (const row of ofPath) {
      if (row.may === 'anyone') {
        it(`${path} is open to everybody, and tells nobody who is on the list`, async () => {
          const place = await placeOf(service, account);
          const { cookie } = await signInAs(service, 'owner');
          for (const asked of row.asks(place)) {
            for (const more of [{}, { Cookie: cookie }, { Authorization: `Bearer ${place.accessKey}` }]) {
              const answer = await client.send(service, { ...asked, headers: { ...asked.headers, ...more } });
              assert.ok(answer.status < 500, `${asked.method} ${asked.path}: ${answer.status}`);
              // What the asker says himself may be said again.
              if (!asked.path.includes(place.canary)) assert.ok(!tellsOf(answer, place), asked.path);
            }
          }
        });
      } else {
        it(`${path} (${titleOf(row)}) is open to the right key, and to no other`, () =>
          isForKey(row, hasPage));
      }
    }
  }

  /** @param hasPage whether people are shown a page there, which HEAD is about. */
  async function isForKey(row: KeyRow, hasPage: boolean): Promise<void> {
    const place = await placeOf(service, account, row.orFromWhitelist ? '203.0.113.0/24' : '127.0.0.1');
    const strangers = await strangersAt(place, row, account.id, elsewhere);
    const before = await stateOf(place);
    for (const { who, key, headers } of strangers) {
      const asked = row.ask(place, key);
      const send = (method: string) =>
        client.send(service, { ...asked, method, headers: { ...asked.headers, ...headers } });
      const answer = await send(asked.method);
      assert.ok(isRefused(answer), `${who}: ${answer.status} ${answer.body}`);
      assert.ok(!tellsOf(answer, place), `${who} is told`);
      if (asked.method !== 'GET') continue;
      const head = await send('HEAD');
      assert.ok(!tellsOf(head, place), `${who} is told by HEAD`);
      assert.ok(hasPage || isRefused(head), `${who}, by HEAD: ${head.status}`);
    }
    assert.equal(await stateOf(place), before, 'nothing was changed, and nothing handed out');

    const right = row.may === 'mailer' ? place : await credentialFor(place, row.may, account.id);
    const answer = await client.send(service, row.ask(place, 'key' in right ? right.key : right.accessKey));
    assert.ok(!isRefused(answer), `the right key: ${answer.status} ${answer.body}`);
    if (row.tells) assert.ok(tellsOf(answer, place), answer.body);
  }
});

function titleOf({ may, ask }: KeyRow): string {
  const nowhere = { list: {}, samples: {}, canary: 'somebody' } as unknown as Place;
  const { method, path } = ask(nowhere, null);
  return `${may}, ${method} ${path.replace(/\bundefined\b/g, '…')}`;
}
