import { createHash } from 'node:crypto';
import http from 'node:http';
import type { Account } from '../../src/core/accounts.js';
import { createCredential, type Credential, type NewCredential } from '../../src/core/credentials.js';
import { nameList } from '../../src/core/list-names.js';
import { createList, type List } from '../../src/core/lists.js';
import { getMailer } from '../../src/core/mailers.js';
import { mintToken, newestLinkKey } from '../../src/core/signed-links.js';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { samplesOf, type Samples } from '../console/samples.js';
import { optOutOf } from '../support/core.js';
import { makeMailer, untilNumbered, type TestService } from '../support/service.js';

/** A list with somebody on it, and the names that each surface has for it. */
export interface Place {
  readonly service: TestService;
  readonly list: List;
  /** Of the signed link of somebody who is not on it. */
  readonly token: string;
  /** On every surface. */
  readonly name: string;
  /** The access key of a mailer that is granted it, and may have its addresses. */
  readonly accessKey: string;
  readonly samples: Samples;
  /** Whom nobody may learn of. */
  readonly canary: string;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** The surfaces that vendors' names of lists and credentials are kept under. */
export const surfaces = ['api', 'mailgun', 'sendcloud', 'customers-mail-cloud'] as const;
export type SurfaceName = (typeof surfaces)[number];

let made = 0;

export async function placeOf(
  service: TestService,
  account: Account,
  ipWhitelist = '127.0.0.1',
): Promise<Place> {
  const { db, recorder, secret } = service.deps;
  const actor = 'test';
  const confirmed = { actor, confirmPrivate: true };
  const list = await createList(db, account.id, { name: 'Acme News', ipWhitelist }, confirmed);
  const name = `place${++made}.example.com`;
  for (const surface of surfaces.slice(1)) await nameList(db, list, surface, name, { actor });
  const { mailer, key: accessKey } = await makeMailer({ ...service, accountId: account.id }, list);
  const samples = await samplesOf(service, account, list, await getMailer(db, mailer.id));
  const canary = `ann-canary${made}@example.com`;
  await recorder.record([optOutOf(list.id, canary, { recordedAt: Date.now() })]);
  await untilNumbered(service, list);
  const token = mintToken(await newestLinkKey(db, secret, list), `link${made}@example.com`, '*');
  return { service, list, token, name, accessKey, samples, canary };
}

/** A credential that may do everything everywhere, and its key. */
export function credentialFor(
  { service, name }: Place,
  surface: SurfaceName,
  accountId: number,
  more: Partial<NewCredential> = {},
): Promise<{ credential: Credential; key: string }> {
  const login = surface === 'sendcloud' || surface === 'customers-mail-cloud' ? { login: name } : {};
  const settings = {
    surface,
    name: 'Shop',
    rights: ['read', 'record', 'remove', 'admin'] as const,
    ...login,
  };
  const confirmed = { actor: 'test', confirmPrivate: true, confirmWide: true };
  return createCredential(service.deps.db, accountId, { ...settings, ...more }, confirmed);
}

/** All that a request could have changed of a list, or noted of it. */
export async function stateOf({ service, list }: Place): Promise<string> {
  const tables = ['opt_outs', 'bulk_removals', 'import_jobs', 'downloads', 'history', 'tags'];
  const rows: unknown[] = [await service.deps.db('lists').where({ id: list.id })];
  for (const table of tables) rows.push(await service.deps.db(table).where({ list_id: list.id }));
  // Numbering goes on by itself.
  const text = JSON.stringify(rows, (field, value: unknown) => (field === 'feed_number' ? null : value));
  return createHash('sha256').update(text).digest('hex');
}

/** The address in any of the forms that lists are given out in, wherever the answer has it. */
export function tellsOf({ headers, body }: Pick<Answer, 'headers' | 'body'>, { canary }: Place): boolean {
  const forms = [canary, md5Of(canary).toString('hex'), sha256Of(canary).toString('hex')];
  const said = `${JSON.stringify(headers)}\n${body}`.toLowerCase();
  return forms.some((form) => said.includes(form));
}

/** SendCloud's status is 200 whatever happens. */
export function isRefused({ status, body }: Pick<Answer, 'status' | 'body'>): boolean {
  return status >= 400 || body.includes('"result":false');
}

/** Clients of this machine's addresses, with connections that stay open. */
export function clients() {
  const agents = new Map<string, http.Agent>();
  return {
    /** @param headers more of them, one by one, as `http.request` takes them: a name can come twice. */
    send(
      { port }: Pick<TestService, 'port'>,
      { method, path, headers = {}, body }: Asked,
      {
        from = '127.0.0.1',
        more = [],
      }: { from?: string; more?: readonly (readonly [string, string])[] } = {},
    ): Promise<Answer> {
      const agent =
        agents.get(from) ?? new http.Agent({ localAddress: from, keepAlive: true, maxSockets: 4 });
      agents.set(from, agent);
      const length =
        method === 'GET' || method === 'HEAD'
          ? []
          : [['Content-Length', String(Buffer.byteLength(body ?? ''))]];
      const all = [['Host', 'signoff.test'], ...Object.entries(headers), ...length, ...more].flat();
      return new Promise((resolve, reject) => {
        const asked = http.request({ port, host: '127.0.0.1', agent, method, path, headers: all });
        asked.on('error', reject).on('response', (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
          answer.on('end', () =>
            resolve({
              status: answer.statusCode ?? 0,
              headers: answer.headers,
              body: Buffer.concat(chunks).toString('latin1'),
            }),
          );
        });
        asked.end(body);
      });
    },
    close: () => agents.forEach((agent) => agent.destroy()),
  };
}
