import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import process from 'node:process';
import { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { rotateAccessKey } from '../../src/core/access-keys.js';
import { createCredential, rights } from '../../src/core/credentials.js';
import { createList } from '../../src/core/lists.js';
import { createMailer, grantList } from '../../src/core/mailers.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';
import { insertManyRows } from '../support/many-rows.js';
import { unzip } from '../support/seven-zip.js';
import { residentMemoryOf, spawnRunningService, type SpawnedService } from '../support/spawned-service.js';

const million = 1_000_000;
const megabyte = 1024 * 1024;

// Some minutes: npm test leaves it out. SIGNOFF_TEST_LONG=yes npm test -- test/vendors/million.test.ts
if (process.env.SIGNOFF_TEST_LONG === 'yes') {
  describe('The APIs of a list of a million addresses', function () {
    this.timeout(900_000);
    let database: TestDatabase;
    let service: SpawnedService;
    let list: string;
    let atRest: number;
    const keys = new Map<string, string>();

    before(async () => {
      database = await migratedDatabase({ timeoutMs: 300_000 });
      const { db } = database;
      const actor = 'test';
      const made = await createList(
        db,
        1,
        { name: 'Acme News', ipWhitelist: '127.0.0.1' },
        { actor, confirmPrivate: true },
      );
      list = made.publicId;
      const mailer = await createMailer(db, 1, { name: 'Mailer' }, { actor });
      await grantList(db, mailer, made, { actor });
      keys.set('mailer', await rotateAccessKey(db, mailer, { actor, overlapMs: 0 }));
      for (const surface of ['mailgun', 'customers-mail-cloud']) {
        const settings = { surface, name: 'Shop', login: 'acme', role: 'API group administrator', rights };
        keys.set(
          surface,
          (
            await createCredential(db, 1, surface === 'mailgun' ? { ...settings, login: '' } : settings, {
              actor,
            })
          ).key,
        );
      }
      await insertManyRows(database.url, made.id, million);
      service = await spawnRunningService({
        NODE_ENV: 'production',
        BASE_URL: 'http://signoff.test',
        SIGNOFF_SECRET: 'a secret of at least 32 characters',
        DATABASE_URL: database.url,
        DATABASE_TIMEOUT_MS: '30000',
      });
      atRest = residentMemoryOf(service);
    });
    after(async () => {
      await (service as SpawnedService | undefined)?.stop();
      await (database as TestDatabase | undefined)?.close();
    });

    /** What the service came to hold meanwhile, beyond what it held before all of them: megabytes. */
    async function growthDuring(work: () => Promise<void>): Promise<void> {
      let most = 0;
      const look = setInterval(() => (most = Math.max(most, residentMemoryOf(service))), 50);
      const startedAt = performance.now();
      await work().finally(() => clearInterval(look));
      const grown = Math.round((most - atRest) / megabyte);
      tell(`      ${Math.round((performance.now() - startedAt) / 100) / 10} s, ${grown} MB more at the peak`);
      assert.ok(grown < 300, `${grown} MB`);
    }

    for (const direction of ['next', 'previous'] as const) {
      it(`pages through Mailgun's list by ${direction}, whole and in flat memory`, () =>
        growthDuring(async () => {
          const basic = Buffer.from(`api:${keys.get('mailgun')}`).toString('base64');
          const times: number[] = [];
          let path = `/v3/${list}/unsubscribes?limit=1000${direction === 'next' ? '' : '&page=last'}`;
          let found = 0;
          let edge: string | null = null;
          for (;;) {
            const startedAt = performance.now();
            const answer = await fetch(service.url + path, { headers: { Authorization: `Basic ${basic}` } });
            const page = (await answer.json()) as Page;
            times.push(performance.now() - startedAt);
            assert.equal(answer.status, 200);
            if (page.items.length === 0) break;
            const [first = '', last = ''] = [page.items[0]?.address, page.items.at(-1)?.address];
            if (edge !== null) assert.ok(direction === 'next' ? first > edge : last < edge, 'in order');
            edge = direction === 'next' ? last : first;
            found += page.items.length;
            path = new URL(page.paging[direction]).pathname + new URL(page.paging[direction]).search;
          }
          assert.equal(found, million);
          const middle = (part: number[]) => Math.round(part.sort((a, b) => a - b)[part.length >> 1] ?? 0);
          const [begin, end] = [middle(times.slice(0, 100)), middle(times.slice(-100))];
          tell(`      a page of 1,000: ${begin} ms among the first 100, ${end} ms among the last`);
          assert.ok(times.length >= 1000);
        }));
    }

    it("comes as Customers Mail Cloud's ZIP, in flat memory", () =>
      growthDuring(async () => {
        const answer = await fetch(`${service.url}/transaction/v2/unsubscribes/download.json`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({
            api_user: 'acme',
            api_key: keys.get('customers-mail-cloud'),
            server_composition: list,
          }),
        });
        assert.equal(answer.status, 200);
        const { content } = unzip(Buffer.from(await answer.arrayBuffer()));
        let lines = 0;
        for (let at = content.indexOf('\n'); at !== -1; at = content.indexOf('\n', at + 1)) lines++;
        assert.equal(lines, million + 1);
      }));

    for (const kind of ['addresses', 'MD5s'] as const) {
      it(`scrubs a file of a million ${kind}, in flat memory`, () =>
        growthDuring(async () => {
          const lines = function* () {
            for (let i = 0; i < million; i += 1000) {
              let text = '';
              for (let n = i; n < i + 1000; n++) {
                // Every tenth is on no list.
                const email = n % 10 === 0 ? `stranger${n}@example.org` : `${n}@example.com`;
                text += `${kind === 'MD5s' ? createHash('md5').update(email).digest('hex') : email}\n`;
              }
              yield text;
            }
          };
          const request = http.request(`${service.url}/l/${list}/scrub?return=white`, {
            method: 'POST',
            agent: false,
            headers: { Authorization: `Bearer ${keys.get('mailer')}`, 'Content-Type': 'text/plain' },
          });
          const answered = new Promise<http.IncomingMessage>((resolve, reject) => {
            request.on('response', resolve).on('error', reject);
          });
          Readable.from(lines()).pipe(request);
          const answer = await answered;
          assert.equal(answer.statusCode, 200);
          let clean = 0;
          for await (const line of createInterface(answer)) if (line !== '') clean++;
          assert.equal(clean, million / 10);
        }));
    }
  });
}

function tell(figures: string): void {
  process.stdout.write(`${figures}\n`);
}

interface Page {
  readonly items: readonly { readonly address: string }[];
  readonly paging: Readonly<Record<'next' | 'previous', string>>;
}
