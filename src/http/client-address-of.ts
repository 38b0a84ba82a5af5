import type { IncomingMessage } from 'node:http';
import { isPrivateIp } from '../core/ip-whitelist.js';
import type { Deps } from '../deps.js';
import { clientAddress, type ClientAddress } from './client-address.js';

const warnEveryMs = 60 * 60_000;

/**
 * Whose request this is. Notes it when a forwarding header came from a peer that TRUST_PROXY does not
 * name: then every visitor may have the proxy's address, and the operator has to know.
 */
export function addressOf(deps: Deps, req: IncomingMessage): ClientAddress {
  const address = clientAddress(req, deps.trust);
  if (address.forwardedByStranger) {
    const before = deps.state.forwardedByStrangerAt;
    deps.state.forwardedByStrangerAt = Date.now();
    if (before === null || before < Date.now() - warnEveryMs) {
      deps.log.warn(
        'a forwarding header came from a peer that TRUST_PROXY does not name; if that is your proxy, every visitor has its address now',
      );
    }
  }
  return address;
}

/**
 * The address to hold against an IP whitelist, and to name in a refusal.
 *
 * @returns a null `ip` where a proxy inside the operator's own network forwarded the request and
 *   TRUST_PROXY does not name it: a whitelist that holds that network would let in everybody.
 */
export function whitelistAddressOf(deps: Deps, req: IncomingMessage): { ip: string | null; seen: string } {
  const { ip, forwardedByStranger } = addressOf(deps, req);
  if (ip === null) return { ip, seen: 'Your address could not be told' };
  if (forwardedByStranger && isPrivateIp(ip)) {
    return { ip: null, seen: `This request was forwarded by ${ip}, which TRUST_PROXY does not name` };
  }
  return { ip, seen: `Your address, ${ip}, is not on the IP whitelist of this list` };
}
