import assert from 'node:assert/strict';
import request, { type Response } from 'supertest';
import type { Source } from '../../src/core/opt-outs.js';
import { mintToken, newestLinkKey } from '../../src/core/signed-links.js';
import { until } from '../support/service.js';
import { browser, imageOfBrowser, program } from '../support/visitors.js';
import type { Store } from './square-store.js';

/** One way in which an opt-out comes: of an address, from all mail or from a tag. */
export interface WayIn {
  readonly name: string;
  readonly source: Source;
  /** It has no word for a part of a list's mail. */
  readonly hasNoTags?: boolean;
  /** The credential that brings it; null where none does. */
  readonly credentialOf: (store: Store) => number | null;
  readonly bring: (store: Store, email: string, tag: string | undefined) => Promise<void>;
}

const link = ({ list }: Store, fields: Record<string, string>, path = '') =>
  `/l/${list.publicId}${path}?${new URLSearchParams(fields).toString()}`;
const fieldsOf = (email: string, tag: string | undefined) => ({
  email,
  ...(tag === undefined ? {} : { tag }),
});

function taken(answer: Response, status = 200): void {
  assert.equal(answer.status, status, answer.text);
}

const nobody = () => null;
const ofMailgun = ({ mailgun }: Store) => mailgun.credentialId;
const ofSendcloud = ({ sendcloud }: Store) => sendcloud.credentialId;
const ofApi = ({ api }: Store) => api.credentialId;

/** The token of the receipt that the thank-you page has. */
export async function leaveByForm(store: Store, email: string, tag?: string): Promise<string> {
  const { service, list } = store;
  const answer = await request(service.url)
    .post(`/l/${list.publicId}/opt-out`)
    .set(browser)
    .type('form')
    .send(fieldsOf(email, tag));
  taken(answer);
  const [, token] = /name="token" value="([\w-]+)"/.exec(answer.text) ?? [];
  assert.ok(token, 'the page has its receipt');
  return token;
}

export const waysIn: readonly WayIn[] = [
  {
    name: "the hosted page's form",
    source: 'page',
    credentialOf: nobody,
    bring: async (store, email, tag) => void (await leaveByForm(store, email, tag)),
  },
  {
    name: 'one-click',
    source: 'one-click',
    credentialOf: nobody,
    async bring(store, email, tag) {
      const target = link(store, fieldsOf(email, tag));
      taken(await request(store.service.url).post(target).type('form').send('List-Unsubscribe=One-Click'));
    },
  },
  {
    name: 'a signed link',
    source: 'one-click',
    credentialOf: nobody,
    async bring({ service, list }, email, tag) {
      const { db, secret } = service.deps;
      const token = mintToken(await newestLinkKey(db, secret, list), email, tag ?? '*');
      taken(await request(service.url).post(`/o/${token}`).type('form').send('List-Unsubscribe=One-Click'));
    },
  },
  {
    name: 'the pixel',
    source: 'pixel',
    credentialOf: nobody,
    async bring(store, email, tag) {
      const target = link(store, fieldsOf(email, tag), '/pixel.gif');
      taken(await request(store.service.url).get(target).set(imageOfBrowser));
    },
  },
  {
    name: 'the server door',
    source: 'server',
    credentialOf: nobody,
    async bring(store, email, tag) {
      taken(
        await request(store.service.url)
          .get(link(store, fieldsOf(email, tag), '/notify'))
          .set(program),
      );
    },
  },
  {
    name: "Mailgun's insert, by a form",
    source: 'api',
    credentialOf: ofMailgun,
    async bring({ service, name, mailgun }, address, tag) {
      const form = { address, ...(tag === undefined ? {} : { tag }) };
      const test = request(service.url).post(`/v3/${name}/unsubscribes`).auth('api', mailgun.key);
      taken(await test.type('form').send(form));
    },
  },
  {
    name: "Mailgun's insert, by JSON",
    source: 'api',
    credentialOf: ofMailgun,
    async bring({ service, name, mailgun }, address, tag) {
      const records = [{ address, tags: [tag ?? '*'] }];
      taken(
        await request(service.url).post(`/v3/${name}/unsubscribes`).auth('api', mailgun.key).send(records),
      );
    },
  },
  {
    name: "Mailgun's import",
    source: 'import',
    credentialOf: ofMailgun,
    async bring(store, address, tag) {
      const { service, name, mailgun } = store;
      const csv = Buffer.from(`address,tags\n${address},${tag ?? '*'}\n`);
      const test = request(service.url).post(`/v3/${name}/unsubscribes/import`).auth('api', mailgun.key);
      taken(await test.attach('file', csv, 'opt-outs.csv'), 202);
      await importsOver(store);
    },
  },
  {
    name: "SendCloud's add",
    source: 'api',
    hasNoTags: true,
    credentialOf: ofSendcloud,
    async bring({ service, name, sendcloud }, email) {
      const fields = { apiUser: name, apiKey: sendcloud.key, email };
      const answer = await request(service.url).post('/apiv2/unsubscribe/add').type('form').send(fields);
      assert.equal((answer.body as { statusCode: number }).statusCode, 40401, answer.text);
    },
  },
  {
    name: 'our PUT',
    source: 'api',
    credentialOf: ofApi,
    async bring({ api, list }, email, tag) {
      const body = tag === undefined ? {} : { tag };
      taken(await api('put', `/lists/${list.publicId}/opt-outs/${email}`, { body }), 201);
    },
  },
  {
    name: 'our POST',
    source: 'api',
    credentialOf: ofApi,
    async bring({ api, list }, address, tag) {
      const body = { opt_outs: [{ address, ...(tag === undefined ? {} : { tag }) }] };
      taken(await api('post', `/lists/${list.publicId}/opt-outs`, { body }));
    },
  },
  {
    name: 'our import',
    source: 'import',
    credentialOf: ofApi,
    async bring(store, email, tag) {
      const { service, list, api } = store;
      const query = new URLSearchParams(tag === undefined ? {} : { tag }).toString();
      const test = request(service.url).post(`/api/v1/lists/${list.publicId}/imports?${query}`);
      taken(await test.set('Authorization', `Bearer ${api.key}`).type('text/plain').send(`${email}\n`), 202);
      await importsOver(store);
    },
  },
];

async function importsOver({ api, list }: Store): Promise<void> {
  await until('the imports are over', async () => {
    const { body } = await api('get', `/lists/${list.publicId}/imports`);
    return (body as { imports: { state: string }[] }).imports.every(({ state }) => state === 'done');
  });
}
