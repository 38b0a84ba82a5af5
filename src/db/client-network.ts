import ipaddr from 'ipaddr.js';

const wholeOctets = 7; // of IPv6: /56, which is what a household or a small office is given (RFC 6177)

/**
 * What counts as one client: an IPv4 address, or the /56 of an IPv6 one, since whoever has one address of
 * that has them all.
 *
 * @param ip canonical, as `parseIp` prints it.
 * @returns `203.0.113.7` or `2001:db8:0:100::/56`.
 */
export function clientNetworkOf(ip: string): string {
  if (!ip.includes(':')) return ip;
  const octets = ipaddr.IPv6.parse(ip).toByteArray();
  const network = octets.map((octet, i) => (i < wholeOctets ? octet : 0));
  return `${new ipaddr.IPv6(network).toRFC5952String()}/${wholeOctets * 8}`;
}
