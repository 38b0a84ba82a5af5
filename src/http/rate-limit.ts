import type { Credential } from '../core/credentials.js';

/** What a caller is told of its limit. */
export interface Allowance {
  readonly isOver: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until the minute is over. */
  readonly resetSeconds: number;
}

const windowMs = 60_000;

/**
 * How many requests a minute each credential may make, counted in this process. A limit against programs
 * that run wild, not against attackers: on several nodes it is that many times as high.
 */
export function createRateLimit(requestsPerMinute: number): (credential: Credential) => Allowance {
  const used = new Map<number, number>();
  let since = Date.now();

  return ({ id }) => {
    const now = Date.now();
    if (now - since >= windowMs) {
      used.clear();
      since = now;
    }
    const count = (used.get(id) ?? 0) + 1;
    used.set(id, count);
    return {
      isOver: count > requestsPerMinute,
      limit: requestsPerMinute,
      remaining: Math.max(0, requestsPerMinute - count),
      resetSeconds: Math.ceil((since + windowMs - now) / 1000),
    };
  };
}

/** An allowance in the words of draft-ietf-httpapi-ratelimit-headers-11: its policy, and what is left of it. */
export function rateLimitHeaders({ limit, remaining, resetSeconds }: Allowance): Record<string, string> {
  return {
    'RateLimit-Policy': `"default";q=${limit};w=${windowMs / 1000}`,
    RateLimit: `"default";r=${remaining};t=${resetSeconds}`,
  };
}
