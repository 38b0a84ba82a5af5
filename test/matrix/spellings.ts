/** Whose address opens doors in these tests, and what proxies of ours have. */
export const partner = '203.0.113.7';
export const partner6 = '2001:db8::7';
export const stranger = '198.51.100.7';
export const proxy = '127.0.0.9';

/** A header as it is sent, with its name; several of them are several lines. */
export type Lines = readonly (readonly [name: string, value: string])[];

/** Under which somebody says where he comes from: what proxies write, and what programs have been seen to believe. */
export const forwardingHeaders = [
  ...['X-Forwarded-For', 'x-forwarded-for', 'X-FORWARDED-FOR', 'Forwarded', 'Forwarded-For', 'X-Forwarded'],
  ...['X-Real-IP', 'X-Client-IP', 'Client-IP', 'True-Client-IP', 'CF-Connecting-IP', 'CF-Connecting-IPv6'],
  ...['Fastly-Client-IP', 'Fly-Client-IP', 'X-Cluster-Client-IP', 'X-Original-Forwarded-For'],
  ...['X-Envoy-External-Address', 'X-Azure-ClientIP', 'X-Vercel-Forwarded-For', 'X-Remote-IP'],
  ...['X-Remote-Addr', 'Remote-Addr', 'X-Originating-IP', 'X-ProxyUser-Ip', 'X-Appengine-User-IP'],
  ...['X_Forwarded_For', 'Via', 'X-Host', 'X-Forwarded-Host', 'X-Custom-IP-Authorization'],
] as const;

/** Texts that somebody may write to be taken for the partner. */
export const claims = [
  ...[
    partner,
    partner6,
    ` ${partner} `,
    `${partner}, ${stranger}`,
    `${stranger}, ${partner}`,
    `,${partner},`,
  ],
  ...[`${partner}:443`, `[${partner6}]`, `[${partner6}]:443`, `${partner6}%eth0`, `"${partner}"`],
  ...[`::ffff:${partner}`, '::FFFF:cb00:7107', `::${partner}`, `64:ff9b::${partner}`, '2002:cb00:7107::'],
  ...['0313.0.0161.7', '203.000.113.007', '0xcb.0x00.0x71.0x07', '0xcb007107', '3405803783', '203.0.28935'],
  ...[
    '203.28935',
    '203.0.113.7.',
    '203.0.113.7/32',
    '203.0.113.0/24',
    `for=${partner}`,
    `for="[${partner6}]"`,
  ],
  ...[`${partner};${stranger}`, `${partner} ${stranger}`, `${partner}\t${stranger}`, '203%2E0%2E113%2E7'],
  ...['127.0.0.1', '::1', 'localhost', '0.0.0.0', '10.0.0.1', 'unknown', '_hidden', '<script>', '*', ''],
] as const;

/** What a proxy of ours may have written where the partner is who asks. */
export const ofPartner: readonly Lines[] = [
  ...[partner, ` ${partner}\t`, `::ffff:${partner}`, '::FFFF:cb00:7107', partner6, '2001:DB8:0:0::7'].map(
    one,
  ),
  ...[`${stranger}, ${partner}`, `<script>, ${partner}`, `${partner},${proxy}`, `,,${partner}`].map(one),
  [...one(stranger), ...one(partner)],
  [...one(partner), ['X-Real-IP', stranger], ['Forwarded', `for=${stranger}`]],
];

/** And where it is somebody else, whatever that one has said to the proxy. */
export const ofStrangers: readonly Lines[] = [
  ...claims
    .filter((claim) => !ofPartner.some(([line]) => line?.[1].trim() === claim.trim()))
    .filter((claim) => claim !== `,${partner},` && claim !== `${partner6}%eth0`)
    .map(one),
  ...claims.map((claim) => one(`${claim}, ${stranger}`)),
  [...one(partner), ...one(stranger)],
  ...forwardingHeaders.slice(3).map((name): Lines => [[name, partner], ...one(stranger)]),
  ...forwardingHeaders.slice(3).map((name): Lines => [[name, partner]]),
];

function one(value: string): Lines {
  return [['X-Forwarded-For', value]];
}
