import { z } from 'zod';
import { defineOperation, nothing } from './operation.js';
import { address, newOptOut, optOutOf, unknownTag, unknownTags } from './opt-out-shapes.js';
import { invalid } from './problems.js';
import { listParameter } from './schemas.js';

const mostOptOuts = 1000;

export const postOptOuts = defineOperation({
  id: 'postOptOuts',
  method: 'post',
  path: '/lists/{list}/opt-outs',
  right: 'record',
  group: 'Opt-outs',
  summary: 'Record many opt-outs',
  description:
    'Up to 1,000 at once, all of them or none: where one does not pass, nothing is recorded, and each fault ' +
    'is named by its place. Answered once they are committed; to send them again is harmless.',
  parameters: z.strictObject({ list: listParameter }),
  query: nothing,
  body: {
    schema: z.strictObject({
      opt_outs: z
        .array(z.strictObject({ address, ...newOptOut }).meta({ id: 'NewOptOut' }))
        .min(1)
        .max(mostOptOuts),
    }),
    limit: 1024 * 1024,
  },
  answers: {
    200: {
      description: 'All of them are recorded.',
      schema: z.object({ recorded: z.int().meta({ description: 'How many were sent.' }) }),
      example: { recorded: 2 },
    },
  },
  records: true,
  example: {
    body: {
      opt_outs: [
        { address: 'ann@example.com' },
        { address: 'bob@example.com', created_at: '2026-01-31T12:00:00Z' },
      ],
    },
  },
  async carryOut({ deps, credential, list, body: { opt_outs }, ip, now }) {
    const unknown = await unknownTags(
      deps.db,
      list,
      opt_outs.map((one) => one.tag),
    );
    const faults = opt_outs.flatMap(({ tag }, i) =>
      tag !== undefined && unknown.has(tag) ? [{ pointer: `#/opt_outs/${i}/tag`, ...unknownTag }] : [],
    );
    if (faults.length > 0) throw invalid(faults);
    await deps.recorder.record(
      opt_outs.map(({ address, ...said }) => optOutOf(credential, list, { address, ip, now }, said)),
    );
    return { status: 200, body: { recorded: opt_outs.length } };
  },
});
