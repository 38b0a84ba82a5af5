import { createHash, randomBytes } from 'node:crypto';
import { retrying, type Db } from '../db/connect.js';
import { seal, sealingKey, unseal } from './sealed.js';

/**
 * Requests that are sent again under the key that they had the first time
 * (draft-ietf-httpapi-idempotency-key-header): they get the answer that the first one got.
 *
 * Of a request only a hash is kept, under the installation's secret. Its answer may hold an address, and
 * whoever is erased has to be gone from here as well: so it is encrypted under a key that is made of the
 * secret and of the request itself. Only who sends that request again, address and all, can have it opened.
 *
 * All that is done under a key can be done twice without harm. So a process that dies between its work and
 * its answer costs nothing: its claim ends after a minute, and the work is done once more. (What removes has to
 * leave alone whatever was recorded since the request first came.)
 *
 * Only what succeeded is kept. After a refusal nothing was done, and the key is free. After a failure nobody
 * knows: the same request may come again at once, and still counts from when it first came; the key stays its own.
 */

/** How long an answer is kept: milliseconds. */
export const keptMs = 24 * 3_600_000;

/** Answers of one credential; beyond, the oldest go before their time. */
export const mostKept = 10_000;

/** Far longer than any request takes. */
const claimMs = 60_000;

export interface RepeatableRequest {
  readonly credentialId: number;
  /** The Idempotency-Key: anything at all. */
  readonly key: string;
  /** All that makes it this request: its method, path, query and body. */
  readonly parts: readonly (string | Buffer)[];
}

export interface KeptAnswer {
  readonly status: number;
  /** What it takes to give the same answer again. */
  readonly content: Buffer;
}

/** The right to carry a request out, for a minute. */
export interface Claim {
  readonly where: { readonly credential_id: number; readonly key_hash: Buffer };
  readonly id: Buffer;
  readonly sealing: Buffer;
  /** Somebody had it before and did not come to an end: something may have been done. */
  readonly isTakenOver: boolean;
}

export type Claimed =
  /** To be carried out; `firstAt` is when it came for the first time: earlier than now where that one died. */
  | { readonly is: 'ours'; readonly claim: Claim; readonly firstAt: number }
  | { readonly is: 'answered'; readonly answer: KeptAnswer }
  | { readonly is: 'under-way'; readonly forMs: number }
  /** The key has come with another request. */
  | { readonly is: 'reused' };

interface KeyRow {
  credential_id: number;
  key_hash: Buffer;
  fingerprint: Buffer;
  claim: Buffer;
  claimed_until: number;
  created_at: number;
  status: number | null;
  answer: Buffer | null;
}

/**
 * Asks what to do with a request that has a key.
 *
 * @param retryMs how long this is repeated while the database is busy.
 * @throws Unavailable
 */
export async function claimRequest(
  db: Db,
  secret: string,
  { credentialId, key, parts }: RepeatableRequest,
  { now = Date.now(), retryMs }: { now?: number; retryMs: number },
): Promise<Claimed> {
  const where = { credential_id: credentialId, key_hash: createHash('sha256').update(key).digest() };
  const fingerprint = sealingKey(secret, 'fingerprint of a request', ...parts);
  const sealing = sealingKey(secret, 'answer to a request', key, ...parts);
  const id = randomBytes(16);
  const claim = { where, id, sealing, isTakenOver: false };

  const row = await retrying(db, retryMs, async () => {
    await db<KeyRow>('idempotency_keys')
      .insert({ ...where, fingerprint, claim: id, claimed_until: now + claimMs, created_at: now })
      .onConflict(['credential_id', 'key_hash'])
      // Nothing: whose row it is, its claim tells. (INSERT IGNORE would swallow other errors as well.)
      .merge(['credential_id']);
    return db<KeyRow>('idempotency_keys').where(where).first();
  });
  // Released, or forgotten, in between.
  if (row === undefined) return { is: 'under-way', forMs: 1000 };
  if (row.claim.equals(id)) return { is: 'ours', claim, firstAt: now };
  if (!row.fingerprint.equals(fingerprint)) return { is: 'reused' };
  if (row.status !== null) {
    const content = row.answer === null ? null : unseal(sealing, row.answer);
    if (content === null) throw new Error('the kept answer of a request does not open');
    return { is: 'answered', answer: { status: row.status, content } };
  }
  if (row.claimed_until > now) return { is: 'under-way', forMs: row.claimed_until - now };
  // Whoever had it did not come back. Of several who see that, one gets it.
  const taken = await retrying(db, retryMs, () =>
    db<KeyRow>('idempotency_keys')
      .where({ ...where, claim: row.claim })
      .whereNull('status')
      .update({ claim: id, claimed_until: now + claimMs }),
  );
  if (taken !== 1) return { is: 'under-way', forMs: claimMs };
  return { is: 'ours', claim: { ...claim, isTakenOver: true }, firstAt: row.created_at };
}

/** Keeps what a request came to, for as long as the claim on it is still ours. */
export async function keepAnswer(db: Db, { where, id, sealing }: Claim, answer: KeptAnswer): Promise<void> {
  await db<KeyRow>('idempotency_keys')
    .where({ ...where, claim: id })
    .update({ status: answer.status, answer: seal(sealing, answer.content) });
}

/**
 * For what was refused: the next one who brings the key starts anew. Where somebody had begun before, that may
 * have done something all the same: then the claim just ends.
 */
export async function releaseClaim(db: Db, claim: Claim): Promise<void> {
  if (claim.isTakenOver) return endClaim(db, claim);
  await ownRow(db, claim).delete();
}

/** For what may have been done or not: the same request may come again at once, and counts from the first time. */
export async function endClaim(db: Db, claim: Claim): Promise<void> {
  await ownRow(db, claim).update({ claimed_until: 0 });
}

function ownRow(db: Db, { where, id }: Claim) {
  return db<KeyRow>('idempotency_keys')
    .where({ ...where, claim: id })
    .whereNull('status');
}

const rowsAtOnce = 500;

/**
 * Forgets what is older than a day, and what a credential has too many of.
 *
 * @returns whether there may be more to do at once.
 */
export async function forgetAnswers(db: Db, now: number): Promise<boolean> {
  const old = await db<KeyRow>('idempotency_keys')
    .where('created_at', '<', now - keptMs)
    .orderBy('created_at')
    .limit(rowsAtOnce)
    .select('credential_id', 'key_hash');
  for (const credentialId of new Set(old.map((row) => row.credential_id))) {
    await forget(
      db,
      credentialId,
      old.filter((row) => row.credential_id === credentialId),
    );
  }
  let isMore = old.length === rowsAtOnce;
  for (let after = 0; ;) {
    const next = await db<KeyRow>('idempotency_keys')
      .where('credential_id', '>', after)
      .orderBy('credential_id')
      .first('credential_id');
    if (next === undefined) return isMore;
    after = next.credential_id;
    // Of an index alone: a millisecond or two.
    const extra = await db<KeyRow>('idempotency_keys')
      .where({ credential_id: after })
      .orderBy('created_at', 'desc')
      .offset(mostKept)
      .limit(rowsAtOnce)
      .select('key_hash');
    await forget(db, after, extra);
    isMore ||= extra.length === rowsAtOnce;
    // SQLite answers without ever leaving this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function forget(
  db: Db,
  credentialId: number,
  rows: readonly Pick<KeyRow, 'key_hash'>[],
): Promise<void> {
  if (rows.length === 0) return;
  const keys = rows.map(({ key_hash }) => key_hash);
  await db<KeyRow>('idempotency_keys')
    .where({ credential_id: credentialId })
    .whereIn('key_hash', keys)
    .delete();
}
