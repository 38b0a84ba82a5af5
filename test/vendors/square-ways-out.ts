import assert from 'node:assert/strict';
import request, { type Test } from 'supertest';
import { md5Of } from '../../src/core/address.js';
import { followerOf } from '../api/follower.js';
import type { Store } from './square-store.js';

/** What an address has left, `*` for all mail: none where it is not suppressed. */
export type Left = Readonly<Record<string, readonly string[]>>;

/** Tells, of each address, what stands there: its tags, or yes or no for each that is asked about. */
export interface WayOut {
  readonly name: string;
  readonly see: (store: Store, emails: readonly string[]) => Promise<Record<string, unknown>>;
  /** What is to be seen of an address that has left these. */
  readonly expected: (tags: readonly string[]) => unknown;
}

type Tags = Map<string, string[]>;

/** Shows each tag of an address, in its own words. */
function showing(name: string, read: (store: Store, emails: readonly string[]) => Promise<Tags>): WayOut {
  return {
    name,
    async see(store, emails) {
      const found = await read(store, emails);
      return Object.fromEntries(emails.map((email) => [email, (found.get(email) ?? []).sort()]));
    },
    expected: (tags) => [...tags].sort(),
  };
}

/** Gives opt-outs of one tag alone, where it is asked for one. */
function narrowed(name: string, read: (store: Store, tag: string) => Promise<string[]>): WayOut {
  return {
    name,
    async see(store, emails) {
      const found = await read(store, 'offers');
      return Object.fromEntries(emails.map((email) => [email, found.includes(email)]));
    },
    expected: (tags) => tags.includes('offers'),
  };
}

/** Tells whom mail must not reach: any mail, and mail of each tag. */
function counting(
  name: string,
  read: (store: Store, emails: readonly string[], tag: string | undefined) => Promise<string[]>,
): WayOut {
  const asked = [undefined, 'offers', 'news'];
  return {
    name,
    async see(store, emails) {
      const found: string[][] = [];
      for (const tag of asked) found.push(await read(store, emails, tag));
      return Object.fromEntries(emails.map((email) => [email, found.map((one) => one.includes(email))]));
    },
    expected: (tags) =>
      asked.map((tag) => tags.includes('*') || (tag === undefined ? tags.length > 0 : tags.includes(tag))),
  };
}

const tagged = (tag: string | undefined) => (tag === undefined ? {} : { tag });
const linesOf = ({ text }: { text: string }) => text.split('\n').filter(Boolean);

function mailgunOf({ service, name, mailgun }: Store, path: string): Test {
  return request(service.url).get(`/v3/${name}/unsubscribes${path}`).auth('api', mailgun.key);
}

async function sendcloudOf(
  { service, name, sendcloud }: Store,
  asked: Record<string, string>,
): Promise<Tags> {
  const fields = { apiUser: name, apiKey: sendcloud.key, ...asked };
  const answer = await request(service.url).get('/apiv2/unsubscribe/list').query(fields);
  const { statusCode, info } = answer.body as {
    statusCode: number;
    info: { dataList: { email: string; labelName: string }[] };
  };
  assert.equal(statusCode, 200, answer.text);
  return tagsOf(info.dataList.map(({ email, labelName }) => [email, labelName]));
}

async function zipOf({ customersMailCloud }: Store, asked: Record<string, string> = {}): Promise<Tags> {
  const lines = await customersMailCloud.lines(asked);
  return tagsOf(
    lines.map((line) => line.split('"').flatMap((part, i) => (i === 3 || i === 5 ? [part] : []))),
  );
}

/** @param pairs an address and a tag; none is all mail. */
function tagsOf(pairs: readonly (readonly string[])[]): Tags {
  const tags: Tags = new Map();
  for (const [email = '', tag = ''] of pairs)
    tags.set(email, [...(tags.get(email) ?? []), tag === '' ? '*' : tag]);
  return tags;
}

interface Suppressed {
  address: string;
  opt_outs: { tag: string }[];
}

async function searched({ api, list }: Store, query: Record<string, string> = {}): Promise<Tags> {
  const { body } = await api(
    'get',
    `/lists/${list.publicId}/opt-outs?${new URLSearchParams(query).toString()}`,
  );
  const { suppressed } = body as { suppressed: Suppressed[] };
  return new Map(suppressed.map(({ address, opt_outs }) => [address, opt_outs.map(({ tag }) => tag)]));
}

async function downloaded({ service, list, mailerKey: key }: Store, asked: Record<string, string>) {
  const answer = await request(service.url)
    .get(`/l/${list.publicId}/download`)
    .query({ key, ...asked });
  assert.equal(answer.status, 200, answer.text);
  return linesOf(answer);
}

export const waysOut: readonly WayOut[] = [
  showing("Mailgun's list", async (store) => {
    const { items } = (await mailgunOf(store, '?limit=1000')).body as {
      items: { address: string; tags: string[] }[];
    };
    return new Map(items.map(({ address, tags }) => [address, tags]));
  }),
  showing("Mailgun's get", async (store, emails) => {
    const found: Tags = new Map();
    for (const email of emails) {
      const answer = await mailgunOf(store, `/${email}`);
      if (answer.status !== 404) found.set(email, (answer.body as { tags: string[] }).tags);
    }
    return found;
  }),
  showing("SendCloud's list of days", (store) => sendcloudOf(store, { days: '1' })),
  showing("SendCloud's list of an address", async (store, emails) => {
    const found: Tags = new Map();
    for (const email of emails) for (const one of await sendcloudOf(store, { email })) found.set(...one);
    return found;
  }),
  narrowed("SendCloud's list of a label", async (store, labelNameList) => [
    ...(await sendcloudOf(store, { days: '1', labelNameList })).keys(),
  ]),
  showing("Customers Mail Cloud's ZIP", (store) => zipOf(store)),
  narrowed("Customers Mail Cloud's ZIP of a filter", async (store, filter_name) => [
    ...(await zipOf(store, { filter_name })).keys(),
  ]),
  showing('our GET', async ({ api, list }, emails) => {
    const found: Tags = new Map();
    for (const email of emails) {
      const { status, body } = await api('get', `/lists/${list.publicId}/opt-outs/${email}`);
      if (status !== 404)
        found.set(
          email,
          (body as Suppressed).opt_outs.map(({ tag }) => tag),
        );
    }
    return found;
  }),
  showing('our search', (store) => searched(store)),
  narrowed('our search of a tag', async (store, tag) => [...(await searched(store, { tag })).keys()]),
  counting('our check', async ({ api, list }, emails, tag) => {
    const body = { items: emails, ...tagged(tag) };
    const answer = await api('post', `/lists/${list.publicId}/check`, { body });
    const { results } = answer.body as { results: { may_mail: boolean }[] };
    return emails.filter((_, i) => results[i]?.may_mail === false);
  }),
  counting('our feed', async ({ api, list }, _emails, tag) => {
    const follower = followerOf(api, list.publicId, tagged(tag));
    await follower.catchUp();
    return [...follower.items];
  }),
  counting('the download', (store, _emails, tag) => downloaded(store, { format: 'plain', ...tagged(tag) })),
  counting('the download of MD5s', async (store, emails, tag) => {
    const md5s = await downloaded(store, { format: 'md5', ...tagged(tag) });
    return emails.filter((email) => md5s.includes(md5Of(email).toString('hex')));
  }),
  counting('the scrub', async ({ service, list, mailerKey: key }, emails, tag) => {
    const answer = await request(service.url)
      .post(`/l/${list.publicId}/scrub`)
      .query({ key, return: 'black', ...tagged(tag) })
      .type('text/plain')
      .send(`${emails.join('\n')}\n`);
    assert.equal(answer.status, 200, answer.text);
    return linesOf(answer);
  }),
];

/** Every way out tells the same of these addresses. */
export async function assertSeen(store: Store, left: Left): Promise<void> {
  const emails = Object.keys(left);
  const seen = await Promise.all(waysOut.map(({ see }) => see(store, emails)));
  for (const [i, { name, expected }] of waysOut.entries()) {
    const all = Object.entries(left).map(([email, tags]) => [email, expected(tags)]);
    assert.deepEqual(seen[i], Object.fromEntries(all), name);
  }
}
