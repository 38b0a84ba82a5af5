import { z } from 'zod';
import { listsThatCount } from '../core/global-list.js';
import type { List } from '../core/lists.js';
import { searchStretch } from '../core/opt-out-search.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { removeAddresses, removeMany } from '../core/removals.js';
import { findOptOuts } from '../core/suppressed.js';
import { retrying, type Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { noteDownload } from './access-log.js';
import { defineOperation, nothing } from './operation.js';
import {
  address,
  exampleOptOut,
  isLive,
  newOptOut,
  optOutAnswer,
  optOutOf,
  tag,
  told,
  toldAsSaid,
  unknownTag,
  unknownTags,
} from './opt-out-shapes.js';
import { cursorParameter, linkHeader, pageOf, placeOf } from './paging.js';
import { invalid } from './problems.js';
import { listParameter, wholeNumber } from './schemas.js';
import { knowsTag, unknownTagThatCounts } from './tags-that-count.js';
import { untilGone } from './whole-reads.js';

const group = 'Opt-outs';

/** Of each list, what a page looks at: some hundred milliseconds, in which others have their turns. */
const rowsAPage = 20_000;

const suppressed = z
  .object({
    address: z.string().meta({ description: 'As it is compared: in lower case, the domain in ASCII.' }),
    opt_outs: z.array(optOutAnswer),
  })
  .meta({ id: 'Suppressed', description: 'An address, and each of its opt-outs: one a tag and list.' });

const exampleSuppressed = { address: 'ann@example.com', opt_outs: [exampleOptOut] };

const one = z.strictObject({ list: listParameter, address });

export const listOptOuts = defineOperation({
  id: 'listOptOuts',
  method: 'get',
  path: '/lists/{list}/opt-outs',
  right: 'read',
  group,
  summary: 'Search opt-outs',
  description:
    'The addresses that the list suppresses, and those that the global list of the account does, in their ' +
    'order by octets. Entries of which only a hash is known have no place in it. Pages stay right while ' +
    'opt-outs come and go: each goes on behind the last address of the one before. A page may hold fewer ' +
    'than asked for, or none, and still have a `next`: with a `tag`, most of what was looked at may be of others.',
  parameters: z.strictObject({ list: listParameter }),
  query: z.strictObject({
    prefix: z
      .string()
      .max(254)
      // What stands for octets that are no UTF-8: it would find nobody, without a word.
      .refine((text) => !text.includes('\ufffd'), { message: 'It must be UTF-8.' })
      .optional()
      .meta({ description: 'Addresses that begin with this.', example: 'ann' }),
    tag: tag.optional().meta({
      description: 'Opt-outs of this tag alone; `*` are those from all mail.',
    }),
    limit: wholeNumber(1, 1000).optional().meta({ description: 'Addresses a page; 100 unless given.' }),
    cursor: cursorParameter,
  }),
  body: null,
  answers: {
    200: {
      description: 'A page of addresses.',
      schema: z.object({ suppressed: z.array(suppressed) }),
      example: { suppressed: [exampleSuppressed] },
      headers: { Link: 'The other pages: rel `first`, `prev` and `next` (RFC 8288).' },
    },
  },
  example: { query: { prefix: 'ann', limit: '10' } },
  async carryOut({ deps, credential, list, query: { prefix, tag, limit = 100, cursor }, req, now }) {
    if (tag !== undefined && !(await knowsTag(deps.db, list, tag))) {
      throw invalid([{ parameter: 'tag', ...unknownTagThatCounts }]);
    }
    const search = ['opt-outs', list.publicId, prefix ?? '', tag ?? ''];
    const place = placeOf(deps, search, cursor);
    if (place === null && (prefix ?? '') === '') {
      await noteDownload(deps, credential, list, { part: 'search', format: 'plain' });
    }
    const listIds = await listsThatCount(deps.db, list.id);
    const options = {
      prefix: (prefix ?? '').normalize('NFC').toLowerCase(),
      ...(place ?? {}),
      ...(tag === undefined ? {} : { tag }),
      ...{ limit: limit + 1, at: now, rows: rowsAPage },
    };
    const { found, stoppedAt } = await untilGone(req, (signal) =>
      searchStretch(deps.db, listIds, { ...options, signal }),
    );
    const page = pageOf(place, limit, found, stoppedAt);
    const headers = linkHeader(deps, search, page, {
      path: `/lists/${list.publicId}/opt-outs`,
      query: { prefix, tag, limit },
      placeIn: (item) => item.address,
    });
    const suppressed = page.items.map((item) => ({
      address: item.address,
      opt_outs: item.optOuts.map((row) => told(row, list)),
    }));
    return { status: 200, body: { suppressed }, headers };
  },
});

export const getOptOut = defineOperation({
  id: 'getOptOut',
  method: 'get',
  path: '/lists/{list}/opt-outs/{address}',
  right: 'read',
  group,
  summary: 'One address',
  description:
    'Whether mail of this list must not reach an address, and why. 404: it may. An entry of which only a ' +
    'hash is known is found as well. Percent-encode the address.',
  parameters: one,
  query: nothing,
  body: null,
  answers: { 200: { description: 'It is suppressed.', schema: suppressed, example: exampleSuppressed } },
  example: {},
  async carryOut({ deps, list, parameters, now }) {
    const body = await suppressedBy(deps.db, list, parameters.address.normalised, now);
    if (body.opt_outs.length === 0) throw new NotFound('Nobody of this address has opted out of this list.');
    return { status: 200, body };
  },
});

export const putOptOut = defineOperation({
  id: 'putOptOut',
  method: 'put',
  path: '/lists/{list}/opt-outs/{address}',
  right: 'record',
  group,
  summary: 'Record an opt-out',
  description:
    'Answered once it is committed. To record one again is harmless: the earliest time and the latest end ' +
    'count. Leave the body out for an opt-out from all mail, now and for ever. A key without the right `read` ' +
    'gets 201 and what it has said itself, whatever was there before.',
  parameters: one,
  query: nothing,
  body: { schema: z.strictObject(newOptOut), limit: 4096, isOptional: true },
  answers: {
    200: {
      description: 'It was there already; told to keys with the right `read` alone.',
      schema: suppressed,
      example: exampleSuppressed,
    },
    201: { description: 'It is recorded.', schema: suppressed, example: exampleSuppressed },
  },
  records: true,
  example: { body: { reason: 'unwanted' } },
  async carryOut({ deps, credential, list, parameters, body, ip, now }) {
    if ((await unknownTags(deps.db, list, [body.tag])).size > 0)
      throw invalid([{ pointer: '#/tag', ...unknownTag }]);
    const { normalised } = parameters.address;
    const optOut = optOutOf(credential, list, { address: parameters.address, ip, now }, body);
    // What stands on the list is for readers alone.
    if (!credential.rights.has('read')) {
      await deps.recorder.record([optOut]);
      return { status: 201, body: { address: normalised, opt_outs: [toldAsSaid(optOut)] } };
    }
    const before = await findOptOuts(deps.db, list.id, normalised);
    const standing = before.some(
      (row) => isLive(row, now) && row.tag.toString() === (body.tag ?? EVERYTHING),
    );
    await deps.recorder.record([optOut]);
    return { status: standing ? 200 : 201, body: await suppressedBy(deps.db, list, normalised, now) };
  },
});

export const deleteOptOut = defineOperation({
  id: 'deleteOptOut',
  method: 'delete',
  path: '/lists/{list}/opt-outs/{address}',
  right: 'remove',
  group,
  summary: 'Remove an opt-out',
  description:
    'Takes the address off this list again: all of its opt-outs, or those of one tag. The global list is ' +
    'left as it is. The history notes it, by the hash of the address. Mail somebody who has opted out only ' +
    'where they asked you to.',
  parameters: one,
  query: z.strictObject({
    tag: tag.optional().meta({ description: 'This tag alone; `*` is the opt-out from all mail.' }),
  }),
  body: null,
  answers: { 204: { description: 'It is removed.' } },
  example: {},
  async carryOut({ deps: { db, config }, credential, list, parameters, query, now, firstAt }) {
    const { normalised } = parameters.address;
    const by = { tag: query.tag, actor: `credential ${credential.id}`, credentialId: credential.id };
    const retryMs = config.databaseTimeoutMs;
    if (firstAt < now) {
      // The one before may have done it: whoever has left again since stays.
      await removeMany(db, list, once([normalised]), { ...by, at: firstAt, retryMs });
      return { status: 204 };
    }
    const removed = await retrying(db, retryMs, () =>
      removeAddresses(db, list, [normalised], { ...by, at: now }),
    );
    if (removed.size === 0) throw new NotFound('This list holds no such opt-out.');
    return { status: 204 };
  },
});

async function* once<T>(batch: T): AsyncGenerator<T> {
  yield await Promise.resolve(batch);
}

async function suppressedBy(db: Db, list: List, normalised: string, at: number) {
  const optOuts: unknown[] = [];
  for (const listId of await listsThatCount(db, list.id)) {
    const rows = await findOptOuts(db, listId, normalised);
    optOuts.push(...rows.filter((row) => isLive(row, at)).map((row) => told(row, list)));
  }
  return { address: normalised, opt_outs: optOuts };
}
