import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Credential } from '../core/credentials.js';
import { claimRequest, keepAnswer, type Claim } from '../core/idempotency.js';
import type { Deps } from '../deps.js';
import type { Answer } from './operation.js';
import { giveUp, keyIn, replayOf } from './repeats.js';

/**
 * An upload under an Idempotency-Key. Unlike of other requests, its octets are known only once they have all
 * come: so the key is claimed then, before the import is let go, with the hash of the octets as a part of the
 * request. The same file again is answered as the first time, and what was stored of it is removed; another
 * file under the same key is refused, and never passes for the first one.
 */
export interface OncePerKey {
  /** The same octets; at their end, throws where they are not to be imported. */
  watch(octets: AsyncIterable<Buffer>): AsyncGenerator<Buffer>;
  /** Makes an import, and an answer of it; or gives the answer that the same request got before. */
  answer(carryOut: () => Promise<Answer>): Promise<Answer>;
}

/** Thrown in place of the octets' end. */
class Replayed extends Error {
  constructor(readonly answer: Answer) {
    super('the request was answered before');
  }
}

export function oncePerKey(deps: Deps, credential: Credential, req: IncomingMessage): OncePerKey {
  const { db, secret, config, log } = deps;
  const key = keyIn(req);
  let claim: Claim | null = null;

  async function* watch(octets: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    if (key === null) return void (yield* octets);
    const hash = createHash('sha256');
    for await (const chunk of octets) {
      hash.update(chunk);
      yield chunk;
    }
    const request = { credentialId: credential.id, key, parts: ['post', req.url ?? '', hash.digest()] };
    const claimed = await claimRequest(db, secret, request, { retryMs: config.databaseTimeoutMs });
    if (claimed.is === 'ours') claim = claimed.claim;
    else throw new Replayed(replayOf(claimed));
  }

  async function settle(work: (held: Claim) => Promise<void>): Promise<void> {
    if (claim === null) return;
    await work(claim).catch(() => log.warn('the claim on an Idempotency-Key stays until it ends'));
  }

  return {
    watch,
    async answer(carryOut) {
      try {
        const answer = await carryOut();
        const content = Buffer.from(JSON.stringify(answer));
        await settle((held) => keepAnswer(db, held, { status: answer.status, content }));
        return answer;
      } catch (error) {
        if (error instanceof Replayed) return error.answer;
        await settle((held) => giveUp(db, held, error));
        throw error;
      }
    },
  };
}
