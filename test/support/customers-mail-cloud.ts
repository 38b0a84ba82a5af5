import assert from 'node:assert/strict';
import http, { type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { createCredential, type NewCredential } from '../../src/core/credentials.js';
import { nameList } from '../../src/core/list-names.js';
import type { List } from '../../src/core/lists.js';
import { customersMailCloud } from '../../src/vendors/customers-mail-cloud/index.js';
import { unzip } from './seven-zip.js';
import { makeList, type TestService } from './service.js';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly octets: Buffer;
  readonly text: string;
  /** What an error says, by code, field and message. */
  readonly errors: readonly (readonly [code: string, field: string, message: string])[];
}

/** A program that uses a server composition. */
export interface Client {
  readonly list: List;
  readonly serverComposition: string;
  readonly key: string;
  /** With its own name, key and server composition, where `fields` has no others; undefined leaves one out. */
  call(
    action: string,
    fields?: Record<string, unknown>,
    how?: { form?: boolean; language?: string; method?: string },
  ): Promise<Answer>;
  /** The lines of a download, without the first one. */
  lines(fields?: Record<string, unknown>): Promise<string[]>;
}

let made = 0;

export async function makeClient(
  service: TestService,
  { role = 'API group administrator', ...more }: { role?: string; list?: List } & Partial<NewCredential> = {},
): Promise<Client> {
  const serverComposition = `サーバ <${++made}>`;
  const list = more.list ?? (await makeList(service));
  await nameList(service.deps.db, list, 'customers-mail-cloud', serverComposition, { actor: 'test' });
  const { rights = [] } = customersMailCloud.roles.find(({ name }) => name === role) ?? {};
  const { key } = await createCredential(
    service.deps.db,
    service.accountId,
    { surface: 'customers-mail-cloud', name: 'Shop', login: 'acme', role, rights, ...more },
    { actor: 'test', confirmPrivate: true },
  );
  const call: Client['call'] = (action, fields = {}, { form = false, language, method = 'POST' } = {}) => {
    const all = { api_user: 'acme', api_key: key, server_composition: serverComposition, ...fields };
    const texts = Object.entries(all).filter((field): field is [string, string] => field[1] !== undefined);
    return send(service, action, form ? new URLSearchParams(texts).toString() : JSON.stringify(all), {
      method,
      headers: {
        'Content-Type': form ? 'application/x-www-form-urlencoded' : 'application/json',
        ...(language === undefined ? {} : { 'Accept-Language': language }),
      },
    });
  };
  return {
    ...{ list, serverComposition, key, call },
    async lines(fields) {
      const { status, octets, text } = await call('download.json', fields);
      assert.equal(status, 200, text);
      const opened = unzip(octets);
      assert.equal(opened.code, 0);
      const [header, ...lines] = opened.content.toString().split('\n');
      assert.equal(header, '"created","email","filtername"');
      assert.equal(lines.pop(), '', 'the last line ends as all do');
      return lines;
    },
  };
}

/** A body as it is, to one of the calls. */
export function send(
  service: TestService,
  action: string,
  body: string | Buffer,
  { method = 'POST', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const url = `${service.url}/transaction/v2/unsubscribes/${action}`;
  return new Promise((resolve, reject) => {
    const asked = http.request(url, { method, headers, agent: false }, (answer) => {
      const read = buffer(answer).then((octets) => {
        const text = octets.toString();
        resolve({
          ...{ status: answer.statusCode ?? 0, headers: answer.headers, octets, text },
          errors: errorsIn(text, answer.headers['content-type'] ?? ''),
        });
      });
      read.catch(reject);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

function errorsIn(text: string, type: string): (readonly [string, string, string])[] {
  if (type.startsWith('application/json') && text !== '') {
    const { errors = [] } = JSON.parse(text) as { errors?: Record<string, string>[] };
    return errors.map(({ code = '', field = '', message = '' }) => [code, field, message]);
  }
  if (!type.startsWith('application/xml')) return [];
  const found = text.matchAll(
    /<error>\n<code>(.*)<\/code>\n<field>(.*)<\/field>\n<message>(.*)<\/message>\n<\/error>/g,
  );
  return [...found].map(([, code = '', field = '', message = '']) => [code, field, message]);
}
