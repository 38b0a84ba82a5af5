import { z } from 'zod';
import { getCounts } from '../core/feed.js';
import { getGlobalMark } from '../core/global-list.js';
import { grantedLists } from '../core/granted-lists.js';
import { linksOf } from '../core/links.js';
import { getListById, type List } from '../core/lists.js';
import type { Deps } from '../deps.js';
import { defineOperation, nothing } from './operation.js';
import { cursorParameter, linkHeader, placeOf, readPage } from './paging.js';
import { listParameter, timeText, wholeNumber } from './schemas.js';

const listAnswer = z
  .object({
    id: listParameter,
    name: z.string().meta({ description: 'What recipients know the list by.' }),
    internal_name: z.string().meta({ description: 'For your own people.' }),
    state: z.enum(['open', 'closed', 'archived']).meta({
      description: 'All but an open list are closed to downloads. Opt-outs are taken whatever the state.',
    }),
    is_global: z.boolean().meta({ description: 'It counts for all lists of the account.' }),
    tags: z.array(z.string()).meta({ description: 'The parts of its mail that can be left one by one.' }),
    created_at: z.iso.datetime(),
    urls: z
      .object({
        page: z.url().meta({ description: 'The opt-out page.' }),
        direct_link: z.string().meta({
          description: 'For mails: your mail program puts the address in place of {{email}}.',
        }),
        one_click: z.string().meta({ description: 'For the header List-Unsubscribe (RFC 8058).' }),
        pixel: z.string().meta({ description: 'For the thank-you page of a mailer.' }),
        notify: z.url().meta({ description: 'For servers that send opt-outs.' }),
        download: z.url().meta({ description: 'For mailers that take the list.' }),
      })
      .meta({ id: 'ListUrls' }),
    counts: z
      .object({
        addresses: z.int(),
        md5_only: z.int().meta({ description: 'Entries of which only the MD5 is known.' }),
        sha256_only: z.int(),
        erased: z.int().meta({ description: 'People who were erased; they stay suppressed.' }),
      })
      .meta({
        id: 'ListCounts',
        description: 'Entries that suppress, one a tag; a second or so behind the opt-outs.',
      }),
    last_feed_number: z.int().meta({ description: 'The newest change that is counted.' }),
  })
  .meta({ id: 'List' });

const exampleList = {
  id: 'kq8mt3wzn5vx7rjcb2hd',
  name: 'Acme News',
  internal_name: 'news',
  state: 'open',
  is_global: false,
  tags: ['offers'],
  created_at: '2026-01-31T12:00:00.000Z',
  urls: {
    page: 'https://out.example.com/l/kq8mt3wzn5vx7rjcb2hd',
    direct_link: 'https://out.example.com/l/kq8mt3wzn5vx7rjcb2hd?email={{email}}',
    one_click: 'https://out.example.com/l/kq8mt3wzn5vx7rjcb2hd?email={{email}}',
    pixel: 'https://out.example.com/l/kq8mt3wzn5vx7rjcb2hd/pixel.gif?email={{email}}',
    notify: 'https://out.example.com/l/kq8mt3wzn5vx7rjcb2hd/notify',
    download: 'https://out.example.com/l/kq8mt3wzn5vx7rjcb2hd/download',
  },
  counts: { addresses: 1204, md5_only: 0, sha256_only: 0, erased: 3 },
  last_feed_number: 98213,
};

export const listLists = defineOperation({
  id: 'listLists',
  method: 'get',
  path: '/lists',
  right: 'read',
  group: 'Lists',
  summary: 'All lists',
  description: 'The lists that the key is granted, oldest first, archived ones included.',
  parameters: nothing,
  query: z.strictObject({
    limit: wholeNumber(1, 100).optional().meta({ description: 'Lists a page; 50 unless given.' }),
    cursor: cursorParameter,
  }),
  body: null,
  answers: {
    200: {
      description: 'A page of lists.',
      schema: z.object({ lists: z.array(listAnswer) }),
      example: { lists: [exampleList] },
      headers: { Link: 'The other pages: rel `first`, `prev` and `next` (RFC 8288).' },
    },
  },
  example: { query: { limit: '10' } },
  async carryOut({ deps, credential, query: { limit, cursor } }) {
    const search = ['lists', String(credential.accountId)];
    const place = placeOf(deps, search, cursor);
    const page = await readPage(place, limit ?? 50, (most) =>
      grantedLists(deps.db, credential, {
        beyond: place === null ? null : Number(place.beyond),
        backwards: place?.backwards ?? false,
        limit: most,
      }),
    );
    const { listId } = await getGlobalMark(deps.db, credential.accountId);
    const lists: unknown[] = [];
    for (const list of page.items) lists.push(await told(deps, list, list.id === listId));
    const headers = linkHeader(deps, search, page, {
      path: '/lists',
      query: { limit },
      placeIn: ({ id }) => String(id),
    });
    return { status: 200, body: { lists }, headers };
  },
});

export const getList = defineOperation({
  id: 'getList',
  method: 'get',
  path: '/lists/{list}',
  right: 'read',
  group: 'Lists',
  summary: 'One list',
  description: 'Its names, state and URLs, and what it holds.',
  parameters: z.strictObject({ list: listParameter }),
  query: nothing,
  body: null,
  answers: { 200: { description: 'The list.', schema: listAnswer, example: exampleList } },
  example: {},
  async carryOut({ deps, list }) {
    const { listId } = await getGlobalMark(deps.db, list.accountId);
    // What the door knows of it may be two seconds old.
    const fresh = await getListById(deps.db, list.id);
    return { status: 200, body: await told(deps, fresh, list.id === listId) };
  },
});

async function told({ db, baseUrl }: Deps, list: List, isGlobal: boolean): Promise<unknown> {
  const { addresses, md5_only, sha256_only, erased, last_number } = await getCounts(db, list.id);
  const { page, directLink, pixel, notify, download } = linksOf(baseUrl, list);
  return {
    id: list.publicId,
    name: list.name,
    internal_name: list.internalName,
    state: list.archivedAt === null ? list.state : 'archived',
    is_global: isGlobal,
    tags: [...list.tags].sort(),
    created_at: timeText(list.createdAt),
    urls: { page, direct_link: directLink, one_click: directLink, pixel, notify, download },
    counts: { addresses, md5_only, sha256_only, erased },
    last_feed_number: last_number,
  };
}
