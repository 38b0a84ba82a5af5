import type { IncomingMessage } from 'node:http';
import { allowsNetwork, findCredential, type Credential } from '../core/credentials.js';
import { clientNetworkOf } from '../db/client-network.js';
import type { Deps } from '../deps.js';
import { Refused } from '../errors.js';
import { whitelistAddressOf } from './client-address-of.js';
import { HttpError } from './http-error.js';

/** Keys that a client may get wrong in a minute, before it is told to wait. */
const mostFailures = 60;
const windowMs = 60_000;
const mostClients = 10_000;

/**
 * Tells whose key a request of an API shows. Made once a service; it counts what fails, by client (IPv6:
 * by /56), in this process. Keys cannot be guessed: the count is there for programs that have a wrong one and
 * never stop. So a key that is right passes, whoever else sends wrong ones from the same address.
 */
export function createAuthentication(deps: Deps, surface: string) {
  const failures = new Map<string, { count: number; since: number }>();

  /**
   * @param shown the key and, where the surface has one, the user's name; null where the request shows none.
   * @returns null for a key that opens nothing: each surface has its own words for that.
   * @throws Refused for a known key from a network that it may not be used from, naming the address seen.
   * @throws HttpError 429 for a client that keeps trying.
   */
  return async (
    req: IncomingMessage,
    shown: { readonly key: string; readonly login?: string } | null,
  ): Promise<Credential | null> => {
    if (shown === null) return null;
    const { ip, seen } = whitelistAddressOf(deps, req);
    const { key, ...more } = shown;
    const credential = await findCredential(deps.db, surface, key, more);
    if (credential === null) {
      // Where the address cannot be told, it may be anybody's.
      if (ip !== null) countFailure(clientNetworkOf(ip), Date.now());
      return null;
    }
    if (!allowsNetwork(credential, ip))
      throw new Refused('not-whitelisted', seen.replace('of this list', 'of this key'));
    return credential;
  };

  function countFailure(client: string, now: number): void {
    const before = failures.get(client);
    const isRecent = before !== undefined && now - before.since < windowMs;
    if (isRecent && before.count >= mostFailures) {
      const seconds = Math.ceil((before.since + windowMs - now) / 1000);
      const message = 'Too many wrong keys from here. Wait a minute.';
      throw new HttpError(429, 'too-many-requests', message, undefined, seconds);
    }
    failures.delete(client);
    failures.set(client, isRecent ? { ...before, count: before.count + 1 } : { count: 1, since: now });
    for (const oldest of failures.keys()) {
      if (failures.size <= mostClients) break;
      failures.delete(oldest);
    }
  }
}
