import { z } from 'zod';
import type { List } from '../core/lists.js';
import type { Deps } from '../deps.js';
import { defineOperation, nothing } from './operation.js';
import { address, newOptOut, optOutOf, tag, unknownTag, unknownTags } from './opt-out-shapes.js';
import { invalid, type Fault } from './problems.js';
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
  faultsInList: (deps, list, body) => tagFaults(deps, list, tagsIn(body)),
  example: {
    body: {
      opt_outs: [
        { address: 'ann@example.com' },
        { address: 'bob@example.com', created_at: '2026-01-31T12:00:00Z' },
      ],
    },
  },
  async carryOut({ deps, credential, list, body: { opt_outs }, ip, now }) {
    const faults = await tagFaults(
      deps,
      list,
      opt_outs.map(({ tag }) => tag),
    );
    if (faults.length > 0) throw invalid(faults);
    await deps.recorder.record(
      opt_outs.map(({ address, ...said }) => optOutOf(credential, list, { address, ip, now }, said)),
    );
    return { status: 200, body: { recorded: opt_outs.length } };
  },
});

async function tagFaults(deps: Deps, list: List, tags: readonly (string | undefined)[]): Promise<Fault[]> {
  const unknown = await unknownTags(deps.db, list, tags);
  return tags.flatMap((one, i) =>
    one !== undefined && unknown.has(one) ? [{ pointer: `#/opt_outs/${i}/tag`, ...unknownTag }] : [],
  );
}

/** Those that can be read, of a body of which something else cannot. */
function tagsIn(body: unknown): (string | undefined)[] {
  const { data } = z.object({ opt_outs: z.array(z.unknown()).max(mostOptOuts) }).safeParse(body);
  return (data?.opt_outs ?? []).map((one) => z.object({ tag }).safeParse(one).data?.tag);
}
