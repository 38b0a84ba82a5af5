import { setImmediate as everyoneElse } from 'node:timers/promises';
import { z } from 'zod';
import type { Entry } from '../core/entries.js';
import { formats, notExpressed, textsOf, type Format } from '../core/entry-texts.js';
import { readChangesPage, readListPage, settle } from '../core/feed-pages.js';
import { cursorText, getCounts, getFeed, readCursor } from '../core/feed.js';
import { getGlobalMark, withGlobal } from '../core/global-list.js';
import { noteDownload } from './access-log.js';
import { feedCursor, linksTo, openFeedCursor, type FeedPlace } from './feed-cursor.js';
import { defineOperation } from './operation.js';
import { tag } from './opt-out-shapes.js';
import { invalid } from './problems.js';
import { listParameter, wholeNumber } from './schemas.js';
import { knowsTag, unknownTagThatCounts } from './tags-that-count.js';
import { readingAll } from './whole-reads.js';

const mostEntries = 10_000;
/** Hashed between two looks at what everyone else wants. */
const entriesAtOnce = 500;

const change = z
  .object({
    change: z.enum(['add', 'remove']),
    item: z.string().meta({ description: 'The address, or its hash, as `format` has it.' }),
  })
  .meta({ id: 'Change', description: 'An address that must not be mailed any more, or that may be again.' });

export const readFeed = defineOperation({
  id: 'readFeed',
  method: 'get',
  path: '/lists/{list}/feed',
  right: 'read',
  group: 'Feed',
  summary: 'The list, and what changes in it',
  description:
    'For programs that keep a copy. Begin without a cursor: the first pages (`part` is `list`) are all that ' +
    'the list and the global list of its account suppress; then come the changes since (`part` is ' +
    '`changes`), and they go on for ever: once `has_more` is false, ask again with the same `next_cursor` ' +
    'whenever you like. Apply each page in its order, and keep its cursor with what you have made of it: so ' +
    'you hold the list as it stands, but for the last second or so. An item may come again, which changes ' +
    'nothing; it comes as `remove` only where nothing suppresses it any more. After `cursor-gone` (a backup ' +
    'was restored, the account has changed its global list, or too much time has passed), empty your copy ' +
    'and begin anew. Removals of entries of which only the SHA-256 is known take a read of the whole list a ' +
    'page: ask for large pages of the format `sha256`.',
  parameters: z.strictObject({ list: listParameter }),
  query: z.strictObject({
    format: z.enum(formats).optional().meta({
      description: 'What items are: `plain` addresses, which is the default, or their hashes in hexadecimal.',
    }),
    tag: tag.optional().meta({
      description:
        'What suppresses mail of this tag: it, and opt-outs from all mail. Without it, any tag counts.',
    }),
    limit: wholeNumber(1, mostEntries)
      .optional()
      .meta({
        description:
          'Entries a page; 1,000 unless given. A page may hold fewer, and more is to come. An address whose ' +
          'domain has a Unicode and an ASCII form is one entry, and two hashes.',
      }),
    cursor: z.string().min(1).max(1000).optional().meta({
      description: 'The `next_cursor` of the page before, of the same list, `format` and `tag`. Opaque.',
    }),
  }),
  body: null,
  answers: {
    200: {
      description: 'A page.',
      schema: z.object({
        part: z.enum(['list', 'changes']),
        changes: z.array(change),
        next_cursor: z.string().meta({ description: 'Where the next page begins: there always is one.' }),
        has_more: z.boolean().meta({ description: 'There is more at once; otherwise, this is all for now.' }),
        not_expressed: z.int().meta({
          description:
            'How many entries of the whole list (one a tag) this format leaves out: those of which only ' +
            'another hash is known.',
        }),
      }),
      example: {
        part: 'changes',
        changes: [
          { change: 'add', item: 'ann@example.com' },
          { change: 'remove', item: 'bob@example.com' },
        ],
        next_cursor: 'W3wDLhGHz0Hi1cyLs0yJ7uvP4kqVXbaMTWcN',
        has_more: false,
        not_expressed: 0,
      },
      headers: { Link: 'rel `first`: the whole list; rel `next` where there is more at once (RFC 8288).' },
    },
  },
  problems: ['cursor-gone'],
  example: { query: { format: 'md5', limit: '100' } },
  async carryOut({
    deps,
    credential,
    list,
    query: { format = 'plain', tag, limit = 1000, cursor },
    req,
    now,
  }) {
    const { db } = deps;
    if (tag !== undefined && !(await knowsTag(db, list, tag))) {
      throw invalid([{ parameter: 'tag', ...unknownTagThatCounts }]);
    }
    const stream = [list.publicId, format, tag ?? ''];
    const asked = cursor === undefined ? null : openFeedCursor(deps, stream, cursor);
    if (asked === null) await noteDownload(deps, credential, list, { part: 'feed', format });
    // The feed before the rows: what is newer comes again. The mark after the feed: no cursor from after a
    // mark goes out with rows from before it.
    const feed = await getFeed(db);
    const mark = await getGlobalMark(db, list.accountId);
    const from = asked === null ? feed.lastNumber : readCursor(feed, asked.feed, mark.number);
    const listIds = withGlobal(list.id, mark.listId);
    const options = { tag, at: now, withoutSha256Only: format !== 'sha256' };

    const place = asked ?? { behind: Buffer.alloc(0) };
    let entries: readonly Entry[];
    let next: FeedPlace;
    if (place.behind === null) {
      const page = await readChangesPage(db, listIds, { from, to: feed.lastNumber, limit }, options);
      const { doubtful, upTo } = page;
      entries =
        doubtful.length === 0
          ? page.entries
          : await readingAll(deps, req, async (signal) => [
              ...page.entries,
              ...(await settle(db, listIds, doubtful, { ...options, signal })),
            ]);
      next = { feed: cursorText({ ...feed, lastNumber: upTo }), behind: null };
    } else {
      const page = await readListPage(db, listIds, { behind: place.behind, limit }, options);
      entries = page.entries;
      next = { feed: cursorText({ ...feed, lastNumber: from }), behind: page.behind };
    }

    const counts = await Promise.all(listIds.map((id) => getCounts(db, id)));
    const hasMore = next.behind !== null || next.feed !== cursorText(feed);
    const nextCursor = feedCursor(deps, stream, next);
    return {
      status: 200,
      body: {
        part: place.behind === null ? 'changes' : 'list',
        changes: await changesIn(entries, format),
        next_cursor: nextCursor,
        has_more: hasMore,
        not_expressed: counts.reduce((sum, held) => sum + notExpressed(held, format), 0),
      },
      headers: linksTo(deps, list.publicId, { format, tag, limit }, hasMore ? nextCursor : null),
    };
  },
});

async function changesIn(entries: readonly Entry[], format: Format): Promise<z.output<typeof change>[]> {
  const changes: z.output<typeof change>[] = [];
  for (const [i, entry] of entries.entries()) {
    const what = entry.isSuppressed ? 'add' : 'remove';
    for (const item of textsOf(entry, format)) changes.push({ change: what, item });
    if (i % entriesAtOnce === entriesAtOnce - 1) await everyoneElse();
  }
  return changes;
}
