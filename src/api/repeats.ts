import type { IncomingMessage } from 'node:http';
import type { Credential } from '../core/credentials.js';
import {
  claimRequest,
  endClaim,
  keepAnswer,
  releaseClaim,
  type Claim,
  type Claimed,
} from '../core/idempotency.js';
import type { Db } from '../db/connect.js';
import type { Deps } from '../deps.js';
import { isUpload, takesKey, type Answer, type AnyOperation } from './operation.js';
import { ApiProblem, invalid, isRefusal } from './problems.js';

/** Larger answers are not kept; none of ours that changes anything comes near. */
const largestAnswer = 64 * 1024; // octets

interface Repeatable {
  readonly operation: AnyOperation;
  readonly credential: Credential;
  /** The path and query as they came. */
  readonly target: string;
  /** The body as it came. */
  readonly octets: Buffer;
  readonly now: number;
}

/**
 * Carries a request out; with an Idempotency-Key once, however often it comes within a day.
 *
 * @throws ApiProblem `under-way`, `key-reused`.
 */
export async function onceAKey(
  deps: Deps,
  req: IncomingMessage,
  { operation, credential, target, octets, now }: Repeatable,
  carryOut: (firstAt: number) => Promise<Answer>,
): Promise<Answer> {
  const key = isKept(operation) ? keyIn(req) : null;
  if (key === null) return carryOut(now);
  const { db, secret, config } = deps;
  const parts = [operation.method, target, octets];
  const retryMs = config.databaseTimeoutMs;
  const request = { credentialId: credential.id, key, parts };
  const claimed = await claimRequest(db, secret, request, { now, retryMs });
  if (claimed.is !== 'ours') return replayOf(claimed);
  return keeping(deps, claimed.claim, () => carryOut(claimed.firstAt));
}

/** What changes nothing need not be kept; an upload keeps its key itself (import-once.ts). */
function isKept(operation: AnyOperation): boolean {
  return takesKey(operation) && !isUpload(operation.body);
}

/**
 * The answer that the same request got before.
 *
 * @throws ApiProblem `under-way`, `key-reused`.
 */
export function replayOf(claimed: Exclude<Claimed, { is: 'ours' }>): Answer {
  if (claimed.is === 'reused') {
    throw new ApiProblem('key-reused', 'This Idempotency-Key came with another request: take a new one.');
  }
  if (claimed.is === 'under-way') {
    throw new ApiProblem('under-way', 'The same request is being carried out.', {
      headers: { 'Retry-After': String(Math.ceil(claimed.forMs / 1000)) },
    });
  }
  const { headers, ...answer } = JSON.parse(claimed.answer.content.toString()) as Answer;
  return { ...answer, headers: { ...headers, 'Idempotent-Replayed': 'true' } };
}

async function keeping({ db, log }: Deps, claim: Claim, carryOut: () => Promise<Answer>): Promise<Answer> {
  let answer: Answer;
  try {
    answer = await carryOut();
  } catch (error) {
    await giveUp(db, claim, error).catch(() =>
      log.warn('the claim on an Idempotency-Key stays until it ends'),
    );
    throw error;
  }
  const content = Buffer.from(JSON.stringify(answer));
  // What was done is done, and is said so: where its answer cannot be kept, the next one who brings the key
  // has it done once more, which changes nothing.
  const kept = { status: answer.status, content };
  const fits = content.length <= largestAnswer;
  await (fits ? keepAnswer(db, claim, kept) : endClaim(db, claim)).catch(() =>
    log.warn('an answer could not be kept under its Idempotency-Key'),
  );
  return answer;
}

/** After whatever was thrown: only a refusal says that nothing was done. */
export function giveUp(db: Db, claim: Claim, error: unknown): Promise<void> {
  return isRefusal(error) ? releaseClaim(db, claim) : endClaim(db, claim);
}

/**
 * The Idempotency-Key, as the draft writes it (a string in quotes) or bare, as many programs send it.
 *
 * @returns null where there is none.
 * @throws ApiProblem for one that is malformed.
 */
export function keyIn(req: IncomingMessage): string | null {
  const header = req.headers['idempotency-key'];
  if (header === undefined) return null;
  const text = String(header).trim();
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)?.[1]?.replace(/\\(.)/g, '$1');
  const key = quoted ?? text;
  if (!/^[\x20-\x7e]{1,255}$/.test(key) || (quoted === undefined && /["\s]/.test(key))) {
    const detail = 'It must have 1 to 255 characters of ASCII, and may stand in quotes.';
    throw invalid([{ header: 'Idempotency-Key', code: 'malformed', detail }]);
  }
  return key;
}
