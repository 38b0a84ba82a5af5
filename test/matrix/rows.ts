import { operations } from '../../src/api/operations.js';
import { isJson, type AnyOperation } from '../../src/api/operation.js';
import type { Right } from '../../src/core/credentials.js';
import { browser, imageOfBrowser, program } from '../support/visitors.js';
import type { Asked, Place, SurfaceName } from './place.js';

/** Open to everybody: it hands nothing out of a list, whoever asks. */
interface OpenRow {
  readonly may: 'anyone';
  readonly asks: (place: Place) => readonly Asked[];
}

/** Open to who shows a key, from where that may come. */
export interface KeyRow {
  /** A mailer's access key, or a credential of a surface. */
  readonly may: 'mailer' | SurfaceName;
  readonly right?: Right;
  /** From the IP whitelist, it opens without a key as well. */
  readonly orFromWhitelist?: boolean;
  /** What it gives out has the list's addresses in it. */
  readonly tells?: boolean;
  /** It is about the lists of the key that is shown, whichever these are. */
  readonly namesNoList?: boolean;
  readonly ask: (place: Place, key: string | null) => Asked;
}

export type Row = OpenRow | KeyRow;

const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
const json = { 'Content-Type': 'application/json' };
const bearer = (key: string | null) => (key === null ? {} : { Authorization: `Bearer ${key}` });
const basic = (key: string | null) =>
  key === null ? {} : { Authorization: `Basic ${Buffer.from(`api:${key}`).toString('base64')}` };

const get = (path: string, headers = {}): Asked => ({ method: 'GET', path, headers });
const post = (path: string, body: string, headers = {}): Asked => ({
  ...{ method: 'POST', path, body },
  headers: { ...form, ...headers },
});
const open = (...asks: ((place: Place) => Asked)[]): Row => ({
  may: 'anyone',
  asks: (place) => asks.map((ask) => ask(place)),
});
const fixed = (path: string) => open(() => get(path, browser));
const byKey = (may: KeyRow['may'], ask: KeyRow['ask'], more: Partial<KeyRow> = {}): Row => ({
  ...{ may, ask },
  ...more,
});

const somebody = 'email=stranger@example.com';
const mailerGet = (path: (place: Place) => string, more: Partial<KeyRow>): Row =>
  byKey('mailer', (place, key) => get(path(place), { ...program, ...bearer(key) }), more);

/** Each route but the console's, which has a matrix of its own: who may, and how it is asked. A route without a row fails the build. */
export const rows: Readonly<Record<string, readonly Row[]>> = {
  '/healthz': [fixed('/healthz')],
  '/readyz': [fixed('/readyz')],
  '/signoff.css': [fixed('/signoff.css')],
  '/robots.txt': [fixed('/robots.txt')],
  // To the holder of METRICS_TOKEN alone: test/http/metrics.test.ts; here, nobody has it.
  '/metrics': [fixed('/metrics')],

  '/l/:id': [
    open(
      ({ list, canary }) => get(`/l/${list.publicId}?email=${canary}`, browser),
      ({ list, canary }) => get(`/l/${list.publicId}?email=${canary.slice(0, -1)}`, imageOfBrowser),
      ({ list }) => post(`/l/${list.publicId}?${somebody}`, 'List-Unsubscribe=One-Click'),
    ),
    mailerGet(({ list }) => `/l/${list.publicId}?${somebody}`, { orFromWhitelist: true }),
  ],
  '/l/:id/opt-out': [open(({ list }) => post(`/l/${list.publicId}/opt-out`, somebody, browser))],
  '/l/:id/undo': [open(({ list }) => post(`/l/${list.publicId}/undo`, 'token=x', browser))],
  '/l/:id/reason': [open(({ list }) => post(`/l/${list.publicId}/reason`, 'token=x&reason=other', browser))],
  '/o/:id': [
    open(
      ({ token }) => get(`/o/${token}`, browser),
      ({ token }) => post(`/o/${token}`, 'List-Unsubscribe=One-Click'),
    ),
    // Whoever asks with an address of the whitelist or a key is told the link's own address, as it came.
    mailerGet(({ token }) => `/o/${token}`, { orFromWhitelist: true }),
  ],
  '/o/:id/opt-out': [open(({ token }) => post(`/o/${token}/opt-out`, '', browser))],
  '/l/:id/pixel.gif': [open(({ list }) => get(`/l/${list.publicId}/pixel.gif?${somebody}`, imageOfBrowser))],
  '/o/:id/pixel.gif': [open(({ token }) => get(`/o/${token}/pixel.gif`, imageOfBrowser))],
  '/l/:id/notify': [
    mailerGet(({ list }) => `/l/${list.publicId}/notify?${somebody}`, { orFromWhitelist: true }),
    byKey('mailer', ({ list }, key) => post(`/l/${list.publicId}/notify`, somebody, bearer(key)), {
      orFromWhitelist: true,
    }),
  ],
  '/o/:id/notify': [mailerGet(({ token }) => `/o/${token}/notify`, { orFromWhitelist: true })],
  '/l/:id/download': [
    mailerGet(({ list }) => `/l/${list.publicId}/download`, { tells: true }),
    byKey(
      'mailer',
      ({ list }, key) => get(`/l/${list.publicId}/download?format=plain${key === null ? '' : `&key=${key}`}`),
      { tells: true },
    ),
  ],
  '/l/:id/scrub': [
    byKey(
      'mailer',
      ({ list, canary }, key) => ({
        ...{ method: 'POST', path: `/l/${list.publicId}/scrub?return=black` },
        headers: { 'Content-Type': 'text/plain', ...bearer(key) },
        body: `${canary}\n`,
      }),
      { tells: true },
    ),
  ],

  '/api/v1/': [fixed('/api/v1/')],
  '/api/v1/page.css': [fixed('/api/v1/page.css')],
  '/api/v1/openapi.json': [fixed('/api/v1/openapi.json')],
  ...apiRows(),

  ...Object.fromEntries(
    (['json', 'xml'] as const).flatMap((type) => [
      [`/transaction/v2/unsubscribes/download.${type}`, [mailCloud(`download.${type}`, 'read')]],
      [`/transaction/v2/unsubscribes/cancel.${type}`, [mailCloud(`cancel.${type}`, 'remove')]],
    ]),
  ),
  [String(/^\/transaction\/v2(?:\/.*)?$/)]: [fixed('/transaction/v2/lists.json')],

  [String(/^\/v3\/[^/]+\/unsubscribes(?:\/.*)?$/)]: [
    mailgun('GET', '', 'read', { tells: true }),
    mailgun('GET', '/CANARY', 'read', { tells: true }),
    mailgun('POST', '', 'record'),
    mailgun('POST', '/import', 'record'),
    mailgun('DELETE', '/CANARY', 'remove'),
    mailgun('DELETE', '', 'remove'),
  ],
  [String(/^\/v3(?:\/.*)?$/)]: [fixed('/v3/domains')],

  '/apiv2/unsubscribe/list': [sendcloud('list', 'read', { tells: true })],
  '/apiv2/unsubscribe/add': [sendcloud('add', 'record', { namesNoList: true })],
  '/apiv2/unsubscribe/delete': [sendcloud('delete', 'remove')],
  [String(/^\/apiv2(?:\/.*)?$/)]: [fixed('/apiv2/template/list')],
};

/** By Express's path of each. */
function apiRows(): Record<string, Row[]> {
  const byPath: Record<string, Row[]> = {};
  for (const operation of operations) {
    const path = `/api/v1${operation.path.replace(/\{(\w+)\}/g, ':$1')}`;
    const tells = ['listOptOuts', 'getOptOut', 'readFeed'].includes(operation.id);
    const ask: KeyRow['ask'] = (place, key) => apiCall(operation, place, key);
    const namesNoList = !path.includes(':list');
    (byPath[path] ??= []).push(byKey('api', ask, { right: operation.right, tells, namesNoList }));
  }
  return byPath;
}

function apiCall({ method, path, body, example }: AnyOperation, place: Place, key: string | null): Asked {
  const { list, samples, canary } = place;
  const values: Record<string, string> = { ...samples, list: list.publicId, address: canary };
  const where = path.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? name);
  const query = new URLSearchParams(example.query).toString().replace('THE-ID-ONCE-MORE', list.publicId);
  const asked = { method: method.toUpperCase(), path: `/api/v1${where}?${query}` };
  if (body === null) return { ...asked, headers: bearer(key) };
  if (!isJson(body)) {
    return { ...asked, headers: { ...bearer(key), 'Content-Type': 'text/csv' }, body: `${canary}\n` };
  }
  return { ...asked, headers: { ...bearer(key), ...json }, body: JSON.stringify(example.body ?? {}) };
}

function mailgun(method: string, rest: string, right: Right, more: Partial<KeyRow> = {}): Row {
  const ask: KeyRow['ask'] = ({ name, canary }, key) => {
    const asked = {
      method,
      path: `/v3/${name}/unsubscribes${rest.replace('CANARY', canary)}`,
      headers: basic(key),
    };
    if (method !== 'POST') return asked;
    if (rest === '')
      return { ...asked, headers: { ...asked.headers, ...form }, body: 'address=new@example.com' };
    const type = { 'Content-Type': 'multipart/form-data; boundary=b' };
    const part = 'Content-Disposition: form-data; name="file"; filename="a.csv"\r\nContent-Type: text/csv';
    const body = `--b\r\n${part}\r\n\r\naddress\nnew@example.com\n\r\n--b--\r\n`;
    return { ...asked, headers: { ...asked.headers, ...type }, body };
  };
  return byKey('mailgun', ask, { right, ...more });
}

function sendcloud(call: string, right: Right, more: Partial<KeyRow> = {}): Row {
  const ask: KeyRow['ask'] = ({ name, canary }, key) => {
    const fields = { apiUser: name, apiKey: key ?? '', apiUserList: name, email: canary };
    return post(`/apiv2/unsubscribe/${call}`, new URLSearchParams(fields).toString());
  };
  return byKey('sendcloud', ask, { right, ...more });
}

function mailCloud(call: string, right: Right): Row {
  const ask: KeyRow['ask'] = ({ name, canary }, key) => {
    const shown = key === null ? {} : { api_key: key };
    const fields = { api_user: name, ...shown, server_composition: name };
    const body = JSON.stringify(call.startsWith('cancel') ? { ...fields, email: canary } : fields);
    return { method: 'POST', path: `/transaction/v2/unsubscribes/${call}`, headers: json, body };
  };
  return byKey('customers-mail-cloud', ask, { right });
}
