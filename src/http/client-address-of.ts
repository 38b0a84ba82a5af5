import type { IncomingMessage } from 'node:http';
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
