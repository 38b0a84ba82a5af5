import { setImmediate as everyoneElse } from 'node:timers/promises';
import { z } from 'zod';
import { checkItems, type Item } from '../core/check.js';
import { itemsIn, type ItemProblem } from '../core/items.js';
import { reasonOf } from '../core/row-faults.js';
import { defineOperation, nothing } from './operation.js';
import { tag } from './opt-out-shapes.js';
import { invalid } from './problems.js';
import { listParameter } from './schemas.js';
import { knowsTag, unknownTagThatCounts } from './tags-that-count.js';
import { readingAll, untilGone } from './whole-reads.js';

const mostItems = 10_000;
/** That many of the longest addresses. */
const bodyLimit = 3 * 1024 * 1024;
/** Read between two looks at what everyone else wants. */
const itemsAtOnce = 500;

const places = ['list', 'global-list'] as const;

const result = z
  .object({
    may_mail: z.boolean().meta({ description: 'False as well for an item that could not be read.' }),
    suppressed_by: z.array(z.enum(places)).meta({
      description: 'What suppresses it: the list, the global list of its account, or both.',
    }),
    error: z
      .object({ code: z.string(), detail: z.string() })
      .optional()
      .meta({ description: 'Why the item could not be read. Nobody can say whether it may be mailed.' }),
  })
  .meta({ id: 'Checked' });

export const checkMany = defineOperation({
  id: 'checkItems',
  method: 'post',
  path: '/lists/{list}/check',
  right: 'read',
  group: 'Check',
  summary: 'Check many addresses',
  description:
    'Up to 10,000 addresses, MD5s and SHA-256s, in any mixture: whether mail of the list may reach them, in ' +
    'the order in which they were asked. What is neither an address nor a hash never counts as one that may ' +
    'be mailed: it has an "error", and "unreadable" tells how many there are. SHA-256s take a read of the ' +
    'whole list, some seconds a million entries; send many of them at once rather than often. Nothing of ' +
    'what is asked is kept.',
  parameters: z.strictObject({ list: listParameter }),
  query: nothing,
  body: {
    schema: z.strictObject({
      items: z
        .array(z.string().meta({ description: 'An address, or the MD5 or SHA-256 of one, in hexadecimal.' }))
        .min(1)
        .max(mostItems),
      tag: tag.optional().meta({
        description:
          'Mail of this tag: what suppresses it, and opt-outs from all mail. Without it, any tag counts.',
      }),
    }),
    limit: bodyLimit,
  },
  answers: {
    200: {
      description: 'An answer for each item, in their order.',
      schema: z.object({
        results: z.array(result),
        suppressed: z.int().meta({ description: 'How many of the items are suppressed.' }),
        unreadable: z.int().meta({ description: 'How many could not be read.' }),
      }),
      example: {
        results: [
          { may_mail: true, suppressed_by: [] },
          { may_mail: false, suppressed_by: ['list'] },
          {
            ...{ may_mail: false, suppressed_by: [] },
            error: { code: 'no-at', detail: 'The address has no @.' },
          },
        ],
        suppressed: 1,
        unreadable: 1,
      },
    },
  },
  isReadOnly: true,
  example: { body: { items: ['ann@example.com', '1b3231655cebb7a1f783eddf27d254ca'] } },
  async carryOut({ deps, list, body: { items, tag }, req, now }) {
    const { db } = deps;
    if (tag !== undefined && !(await knowsTag(db, list, tag))) {
      throw invalid([{ pointer: '#/tag', ...unknownTagThatCounts }]);
    }
    const asked: Item[] = [];
    /** Those of item i end at `ends[i]` in `asked`. */
    const ends: number[] = [];
    const problems = new Map<number, ItemProblem>();
    for (const [i, text] of items.entries()) {
      const read = itemsIn(text);
      if (typeof read === 'string') problems.set(i, read);
      else asked.push(...read);
      ends.push(asked.length);
      if (i % itemsAtOnce === itemsAtOnce - 1) await everyoneElse();
    }
    const look = (signal: AbortSignal) => checkItems(db, list.id, asked, { tag, at: now, signal });
    const takesAll = asked.some(({ sha256 }) => sha256 !== undefined);
    const found = await (takesAll ? readingAll(deps, req, look) : untilGone(req, look));

    const results: z.output<typeof result>[] = [];
    let suppressed = 0;
    for (const [i, end] of ends.entries()) {
      const problem = problems.get(i);
      const ids = found.slice(ends[i - 1] ?? 0, end).flat();
      const by = places.filter((place) => ids.some((id) => (id === list.id) === (place === 'list')));
      if (by.length > 0) suppressed++;
      results.push(
        problem === undefined ? { may_mail: by.length === 0, suppressed_by: by } : unreadable(problem),
      );
      if (i % itemsAtOnce === itemsAtOnce - 1) await everyoneElse();
    }
    return { status: 200, body: { results, suppressed, unreadable: problems.size } };
  },
});

/** "Not suppressed" would be a guess, and whoever was meant may have left. */
function unreadable(problem: ItemProblem): z.output<typeof result> {
  const reason = reasonOf(problem);
  const detail = `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
  return { may_mail: false, suppressed_by: [], error: { code: problem, detail } };
}
