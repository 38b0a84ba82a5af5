import ipaddr from 'ipaddr.js';

const wholeOctets = 7; // of IPv6: /56, which is what a household or a small office is given (RFC 6177)
const siteOctets = 6; // /48, which a larger site is given, and whoever asks a tunnel broker for it

/**
 * What counts as one client: an IPv4 address, or the /56 of an IPv6 one, since whoever has one address of
 * that has them all.
 *
 * @param ip canonical, as `parseIp` prints it.
 * @returns `203.0.113.7` or `2001:db8:0:100::/56`.
 */
export function clientNetworkOf(ip: string): string {
  return ip.includes(':') ? networkOf(ip, wholeOctets) : ip;
}

/** The /48 of an IPv6 address, where somebody may have 256 of those networks; null for IPv4. */
export function siteOf(ip: string): string | null {
  return ip.includes(':') ? networkOf(ip, siteOctets) : null;
}

function networkOf(ip: string, kept: number): string {
  const octets = ipaddr.IPv6.parse(ip).toByteArray();
  const network = octets.map((octet, i) => (i < kept ? octet : 0));
  return `${new ipaddr.IPv6(network).toRFC5952String()}/${kept * 8}`;
}
