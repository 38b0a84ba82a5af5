import { z } from 'zod';
import { parseAddress, type Address, type AddressProblem } from '../core/address.js';
import type { Credential } from '../core/credentials.js';
import type { List } from '../core/lists.js';
import { EVERYTHING, sources, type OptOut, type OptOutRecord } from '../core/opt-outs.js';
import { reasons } from '../core/receipts.js';
import { findTags } from '../core/tags.js';
import { checkText } from '../core/text.js';
import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { time, timeOrNull, timeText } from './schemas.js';

/** How opt-outs look in the API, and what it takes to record one. */

const addressFaults: Record<AddressProblem, string> = {
  missing: 'It must not be empty.',
  'too-long': 'It must have at most 254 octets.',
  'no-at': 'It has no @.',
  'bad-local-part': 'What stands before the @ is no part of an address.',
  'bad-domain': 'What stands behind the @ is no domain.',
  'control-character': 'It holds a control character.',
  'invisible-character': 'It holds a character that cannot be seen.',
  'merge-tag': 'It is a placeholder that was not replaced.',
};

export const address = z
  .string()
  .transform((text, context): Address => {
    const result = parseAddress(text);
    if (result.ok) return result.address;
    const { problem } = result;
    context.addIssue({ code: 'custom', message: addressFaults[problem], params: { code: problem } });
    return z.NEVER;
  })
  .meta({ type: 'string', description: 'An e-mail address.', example: 'ann@example.com' });

/** A text of a person's, by the rules that hold for all of them. */
function text(max: number) {
  return z.string().transform((given, context) => {
    try {
      const checked = checkText('it', given, { max });
      if (Buffer.byteLength(checked) <= max) return checked;
      context.addIssue({ code: 'custom', message: `It must have at most ${max} octets.`, params: tooLong });
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      context.addIssue({ code: 'custom', message: `${sentence(error)}.`, params: { code: error.problem } });
    }
    return z.NEVER;
  });
}

const tooLong = { code: 'too-long' };

function sentence({ message }: Invalid): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
}

export const tag = text(128).meta({
  type: 'string',
  description: 'A tag that the list knows; `*` is all of its mail.',
  example: 'offers',
});

/** What can be said of an opt-out that is recorded. */
export const newOptOut = {
  tag: tag
    .optional()
    .meta({ description: 'The tag that is left, of those the list knows; without it, all mail.' }),
  created_at: time.optional().meta({
    description: 'When they left, where that was earlier; a time in the future counts as now.',
  }),
  expires_at: time
    // What is no time at all has been told already.
    .refine((text) => !(Date.parse(text) <= Date.now()), {
      message: 'It must be later than now.',
      params: { code: 'past' },
    })
    .optional()
    .meta({ description: 'From then on it suppresses nobody; without it, for ever.' }),
  reason: text(255)
    .optional()
    .meta({ type: 'string', description: `Why; ${reasons.join(', ')} where it is one of these.` }),
};

type Said = z.output<z.ZodObject<typeof newOptOut>>;

export function optOutOf(
  { id }: Credential,
  list: List,
  { address, ip, now }: { address: Address; ip: string | null; now: number },
  { tag = EVERYTHING, created_at, expires_at, reason }: Said,
): OptOut {
  const createdAt = created_at === undefined ? now : Date.parse(created_at);
  return {
    listId: list.id,
    address,
    tag,
    source: 'api',
    createdAt: Math.min(Math.max(createdAt, 0), now),
    recordedAt: now,
    expiresAt: expires_at === undefined ? null : Date.parse(expires_at),
    reason: reason ?? null,
    credentialId: id,
    ip,
    isVouched: true,
  };
}

/** Those of these tags that a list does not know. What is known of it otherwise may be two seconds old. */
export async function unknownTags(
  db: Db,
  list: List,
  tags: readonly (string | undefined)[],
): Promise<Set<string>> {
  const isUnknown = (tag: string | undefined, known: ReadonlySet<string>): tag is string =>
    tag !== undefined && tag !== EVERYTHING && !known.has(tag);
  const unknown = tags.filter((tag) => isUnknown(tag, list.tags));
  if (unknown.length === 0) return new Set();
  const known = await findTags(db, list.id);
  return new Set(unknown.filter((tag) => isUnknown(tag, known)));
}

export const unknownTag = { code: 'unknown-tag', detail: 'The list does not know this tag; its "tags" do.' };

export const optOutAnswer = z
  .object({
    tag: z.string().meta({ description: 'What they left; `*` is all mail.', example: '*' }),
    on_global_list: z.boolean().meta({ description: 'It stands in the global list of the account.' }),
    known_by: z.enum(['address', 'hash']).meta({
      description: 'hash: of an import of hashes, or of somebody who was erased.',
    }),
    source: z.enum(sources).meta({ description: 'The door that it came through.' }),
    created_at: z.iso.datetime().meta({ description: 'When they left.' }),
    recorded_at: z.iso.datetime().meta({ description: 'When we learnt it.' }),
    expires_at: z.iso.datetime().nullable(),
    reason: z.string().nullable(),
    credential_id: z.int().nullable().meta({ description: 'The key that brought it.' }),
    mailer_id: z.int().nullable().meta({ description: 'The mailer that brought it.' }),
  })
  .meta({ id: 'OptOut' });

export const exampleOptOut = {
  tag: '*',
  on_global_list: false,
  known_by: 'address',
  source: 'page',
  created_at: '2026-01-31T12:00:00.000Z',
  recorded_at: '2026-01-31T12:00:00.120Z',
  expires_at: null,
  reason: null,
  credential_id: null,
  mailer_id: null,
};

export function told(row: OptOutRecord, list: List): unknown {
  return {
    tag: row.tag.toString(),
    on_global_list: row.list_id !== list.id,
    known_by: row.address === null ? 'hash' : 'address',
    source: row.source,
    created_at: timeText(row.created_at),
    recorded_at: timeText(row.recorded_at),
    expires_at: timeOrNull(row.expires_at),
    reason: row.reason?.toString() ?? null,
    credential_id: row.credential_id,
    mailer_id: row.mailer_id,
  };
}

/** What a request has said of an opt-out, and nothing of what was known before. */
export function toldAsSaid({ tag, createdAt, recordedAt, expiresAt, reason, credentialId }: OptOut): unknown {
  return {
    ...{ tag, on_global_list: false, known_by: 'address', source: 'api' },
    ...{ created_at: timeText(createdAt), recorded_at: timeText(recordedAt) },
    ...{
      expires_at: timeOrNull(expiresAt ?? null),
      reason: reason ?? null,
      credential_id: credentialId,
      mailer_id: null,
    },
  };
}

export function isLive({ removed_at, expires_at }: OptOutRecord, at: number): boolean {
  return removed_at === null && (expires_at === null || expires_at > at);
}
