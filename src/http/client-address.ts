import type { IncomingMessage } from 'node:http';
import proxyaddr from 'proxy-addr';
import { isWhitelisted, parseIp, parseIpWhitelist } from '../core/ip-whitelist.js';

export interface ClientAddress {
  /** Canonical, as `parseIp` prints it; null where the connection or its trusted proxies gave none. */
  ip: string | null;
  /** A forwarding header came from a peer that no `TRUST_PROXY` entry names: it was not believed. */
  forwardedByStranger: boolean;
}

/** Whether the address at so many hops from us (0: the peer itself) is a proxy of ours. */
export type Trust = (address: string, hop: number) => boolean;

const mostHops = 30;

// Only X-Forwarded-For is ever read. The others are watched for, since a proxy that sends one of them
// from an address we do not trust means that TRUST_PROXY is not set, or that someone plays proxy.
const forwardingHeaders = [
  'x-forwarded-for',
  'forwarded',
  'x-forwarded',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded-for',
  'x-original-forwarded-for',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-remote-ip',
  'x-remote-addr',
  'x-originating-ip',
  'client-ip',
  'true-client-ip',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'cf-pseudo-ipv4',
  'fastly-client-ip',
  'fly-client-ip',
  'x-appengine-user-ip',
  'x-azure-clientip',
  'x-azure-socketip',
  'x-envoy-external-address',
  'x-nf-client-connection-ip',
  'x-vercel-forwarded-for',
  'x-proxyuser-ip',
];

/**
 * Compiles `TRUST_PROXY`: addresses and CIDRs, each spelled out. An empty list trusts nobody.
 *
 * @throws Error naming the entry, where it is none (`true`, `*`, a number of hops, `loopback`), has
 *   host bits, trusts everybody (`/0`), or is an IPv6 CIDR of mapped IPv4 addresses, which has let
 *   strangers in through more than one matcher.
 */
export function compileTrust(trustProxy: readonly string[]): Trust {
  const proxies = trustProxy.flatMap((entry) => {
    const result = parseIpWhitelist(entry, { confirmWide: true, confirmPrivate: true });
    if (!result.ok) {
      const { problem, hint } = result.problems[0] ?? { problem: 'not-an-address', hint: '' };
      throw new Error(`"${entry}" is no address or CIDR (${problem})${hint && `; did you mean ${hint}?`}`);
    }
    const [network] = result.networks;
    if (network === undefined || result.networks.length > 1) {
      throw new Error(`"${entry}" is not one address or CIDR`);
    }
    if (network.prefix === 0) throw new Error(`"${entry}" trusts everybody`);
    if (network.words.length === 1 && /:.*\//.test(entry)) {
      throw new Error(`"${entry}" is a CIDR of mapped addresses: write it as ${network.text}`);
    }
    return [network];
  });
  if (proxies.length === 0) return () => false;
  return (address) => isWhitelisted(proxies, parseIp(address));
}

/**
 * Who sent a request: the peer, or, where the peer is a trusted proxy, the first address from the right
 * of `X-Forwarded-For` that is no proxy. What stands to the left of it was written by that stranger, and
 * changes nothing, whatever its length. An address with a port or brackets is junk (null), and a chain
 * of more than 30 trusted hops gives null too.
 */
export function clientAddress(req: IncomingMessage, trust: Trust): ClientAddress {
  const peer = req.socket.remoteAddress;
  // A connection that is gone has no peer: a proxy that hung up is no stranger.
  if (peer === undefined) return { ip: null, forwardedByStranger: false };
  if (!trust(peer, 0)) {
    const isForwarded = forwardingHeaders.some((name) => req.headers[name] !== undefined);
    return { ip: parseIp(peer), forwardedByStranger: isForwarded };
  }
  let isTooLong = false;
  const client = proxyaddr(req, (address, hop) => {
    isTooLong = hop > mostHops;
    return !isTooLong && trust(address, hop);
  });
  return { ip: isTooLong ? null : parseIp(client), forwardedByStranger: false };
}
