import { z } from 'zod';
import { bulkRemovalsOfList, getBulkRemoval, removeAll, type BulkRemoval } from '../core/bulk-removals.js';
import type { List } from '../core/lists.js';
import { restoreRemoval } from '../core/restore-removal.js';
import type { Db } from '../db/connect.js';
import { NotFound } from '../errors.js';
import { defineOperation, nothing, type Answer } from './operation.js';
import { invalid } from './problems.js';
import { listParameter, timeOrNull, timeText, wholeNumber } from './schemas.js';

const group = 'Removals';

const removalAnswer = z
  .object({
    id: z.int(),
    kind: z.enum(['all', 'some']).meta({ description: 'All that the list held, or some of it.' }),
    state: z.enum(['removing', 'removed', 'restoring', 'restored']).meta({
      description: 'It counts from the first moment, however long it takes to be carried out.',
    }),
    at: z.iso.datetime().meta({ description: 'What was recorded from then on stays.' }),
    credential_id: z.int().nullable().meta({ description: 'The key that removed them.' }),
    removed: z.int().meta({ description: 'Opt-outs that it has removed so far.' }),
    restored: z.int().meta({ description: 'Opt-outs that were brought back so far.' }),
    finished_at: z.iso.datetime().nullable(),
    restored_at: z.iso.datetime().nullable().meta({ description: 'When it was taken back.' }),
  })
  .meta({ id: 'Removal' });

const exampleRemoval = {
  id: 12,
  kind: 'all',
  state: 'removed',
  at: '2026-01-31T12:00:00.000Z',
  credential_id: 7,
  removed: 1204,
  restored: 0,
  finished_at: '2026-01-31T12:00:00.400Z',
  restored_at: null,
};

const over = { description: 'It is over.', schema: removalAnswer, example: exampleRemoval };
const goesOn = {
  description: 'It counts already, and is being carried out: ask for the removal to see how far it is.',
  schema: removalAnswer,
  example: { ...exampleRemoval, state: 'removing', finished_at: null },
};

const one = z.strictObject({
  list: listParameter,
  removal: wholeNumber(1, 999_999_999).meta({ description: "The removal's id.", example: 12 }),
});

export const deleteOptOuts = defineOperation({
  id: 'deleteOptOuts',
  method: 'delete',
  path: '/lists/{list}/opt-outs',
  right: 'remove',
  group,
  summary: 'Remove all opt-outs',
  description:
    'Empties the list, however much it holds; the global list is left as it is. For 30 days it can be taken ' +
    'back. Mail somebody who has opted out only where they asked you to.',
  parameters: z.strictObject({ list: listParameter }),
  query: z.strictObject({
    confirm: z.string().meta({ description: "The list's id once more.", example: 'kq8mt3wzn5vx7rjcb2hd' }),
  }),
  body: null,
  answers: { 200: over, 202: goesOn },
  // Refused until it is filled in: whoever pastes what the page prints does not mean to empty a list.
  example: { query: { confirm: 'THE-ID-ONCE-MORE' } },
  async carryOut({ deps, credential, list, query, now, firstAt }) {
    if (query.confirm.toLowerCase() !== list.publicId) {
      const detail = 'It must be the id of the list whose opt-outs are all to be removed.';
      throw invalid([{ parameter: 'confirm', code: 'not-confirmed', detail }]);
    }
    const by = { actor: `credential ${credential.id}`, credentialId: credential.id };
    return answerOf(await removeAll(deps.db, list, firstAt < now ? { ...by, at: firstAt } : by));
  },
});

export const listRemovals = defineOperation({
  id: 'listRemovals',
  method: 'get',
  path: '/lists/{list}/removals',
  right: 'read',
  group,
  summary: 'All removals',
  description: 'Removals of many opt-outs at once, by whichever door, the newest first; at most 1,000.',
  parameters: z.strictObject({ list: listParameter }),
  query: nothing,
  body: null,
  answers: {
    200: {
      description: 'The removals.',
      schema: z.object({ removals: z.array(removalAnswer) }),
      example: { removals: [exampleRemoval] },
    },
  },
  example: {},
  async carryOut({ deps, list }) {
    const removals = await bulkRemovalsOfList(deps.db, list.id);
    return { status: 200, body: { removals: removals.map(told) } };
  },
});

export const getRemoval = defineOperation({
  id: 'getRemoval',
  method: 'get',
  path: '/lists/{list}/removals/{removal}',
  right: 'read',
  group,
  summary: 'One removal',
  description: 'How far it is, and whether it was taken back.',
  parameters: one,
  query: nothing,
  body: null,
  answers: { 200: { ...over, description: 'The removal.' } },
  example: {},
  async carryOut({ deps, list, parameters }) {
    return { status: 200, body: told(await removalOf(deps.db, list, parameters.removal)) };
  },
});

export const postRestoration = defineOperation({
  id: 'restoreRemoval',
  method: 'post',
  path: '/lists/{list}/removals/{removal}/restore',
  right: 'remove',
  group,
  summary: 'Take a removal back',
  description:
    'What it removed suppresses again, but for what was recorded anew or has expired since. An erased person ' +
    'stays erased: the hashes come back.',
  parameters: one,
  query: nothing,
  body: null,
  problems: ['conflict'],
  answers: { 200: over, 202: goesOn },
  example: {},
  async carryOut({ deps, credential, list, parameters, now, firstAt }) {
    const { db } = deps;
    const actor = `credential ${credential.id}`;
    const removal = await removalOf(db, list, parameters.removal);
    const restored = await restoreRemoval(db, removal, { actor, now }).catch(async (error: unknown) => {
      const standing = await getBulkRemoval(db, removal.id);
      // This request has done it, when it came before.
      if (standing.restoredBy === actor && (standing.restoredAt ?? -1) >= firstAt) return standing;
      throw error;
    });
    return answerOf(restored);
  },
});

async function removalOf(db: Db, list: List, id: number): Promise<BulkRemoval> {
  const removal = await getBulkRemoval(db, id).catch((error: unknown) => {
    if (error instanceof NotFound) return null;
    throw error;
  });
  if (removal === null || removal.listId !== list.id)
    throw new NotFound('There is no such removal of this list.');
  return removal;
}

function answerOf(removal: BulkRemoval): Answer {
  const isOver = removal.state === 'removed' || removal.state === 'restored';
  return { status: isOver ? 200 : 202, body: told(removal) };
}

function told({ id, kind, state, at, credentialId, optOuts, restored, finishedAt, restoredAt }: BulkRemoval) {
  return {
    ...{ id, kind, state, at: timeText(at), credential_id: credentialId, removed: optOuts, restored },
    finished_at: timeOrNull(finishedAt),
    restored_at: timeOrNull(restoredAt),
  };
}
