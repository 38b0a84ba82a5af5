import { md5Of } from '../core/address.js';
import { isWhitelisted } from '../core/ip-whitelist.js';
import type { List } from '../core/lists.js';
import type { OptOut } from '../core/opt-outs.js';
import type { Deps } from '../deps.js';
import type { ClientAddress } from '../http/client-address.js';
import { HttpError } from '../http/http-error.js';

/**
 * Shows an opt-out to the attack rule before it is recorded. Signed links, the owner's own servers, and what
 * has no address pass uncounted.
 *
 * @returns null where it may be recorded; otherwise when the block of its client ends.
 */
export function admit(
  { attackRule, config }: Deps,
  { ip, forwardedByStranger }: ClientAddress,
  { accountId, ipWhitelist }: List,
  { address, source, recordedAt, isVouched }: OptOut,
): number | null {
  if (ip === null || isVouched || isWhitelisted(ipWhitelist, ip)) return null;
  return attackRule.admit({
    accountId,
    ip,
    source,
    addressKey: md5Of(address.normalised),
    at: recordedAt,
    // Where TRUST_PROXY is set, such a header is a stranger's trick to get past the rule.
    isForwarded: forwardedByStranger && config.trustProxy.length === 0,
  });
}

const longestRetryAfter = 3600; // seconds

/** @throws HttpError 429 for a client that is blocked. */
export function checkAdmitted(deps: Deps, client: ClientAddress, list: List, optOut: OptOut): void {
  const endsAt = admit(deps, client, list, optOut);
  if (endsAt === null) return;
  const seconds = Math.ceil((endsAt - optOut.recordedAt) / 1000);
  throw new HttpError(
    429,
    'blocked',
    'Too many different addresses were opted out from your network in a short time: it is blocked here for a ' +
      'while, and nothing was recorded. The form of the opt-out page stays open, and so do signed links.',
    undefined,
    Math.min(Math.max(seconds, 1), longestRetryAfter),
  );
}
