import assert from 'node:assert/strict';
import {
  explainNetwork,
  isPrivateIp,
  isWhitelisted,
  parseIp,
  parseIpWhitelist,
  type Network,
} from '../../src/core/ip-whitelist.js';

const confirmed = { confirmWide: true, confirmPrivate: true };

function networksOf(text: string, options = {}): Network[] {
  const result = parseIpWhitelist(text, options);
  assert.ok(result.ok, JSON.stringify(result));
  return result.networks;
}

function textsOf(text: string, options = {}): string[] {
  return networksOf(text, options).map((network) => network.text);
}

function faultsOf(text: string, options = {}): string[] {
  const result = parseIpWhitelist(text, options);
  assert.ok(!result.ok, `${text} was taken`);
  return result.problems.map((fault) => `${fault.position} ${fault.problem} ${fault.hint}`.trimEnd());
}

const printedAs: [text: string, canonical: string][] = [
  ['203.0.113.7', '203.0.113.7'],
  ['255.255.255.255', '255.255.255.255'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:0db8:0001:0000:0000:0001:0000:0000', '2001:db8:1::1:0:0'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1::1', '2001:0:0:1::1'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['::1', '::1'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::FFFF:cb00:7107', '203.0.113.7'],
  ['0:0:0:0:0:ffff:203.0.113.7', '203.0.113.7'],
  ['fe80::1%eth0', 'fe80::1'],
  ['::ffff:203.0.113.7%1', '203.0.113.7'],
];

const notAddresses = [
  ...[
    '',
    ' ',
    'x',
    '010.0.0.1',
    '10.0.0.01',
    '0x0a.0.0.1',
    '0xa000001',
    '167772161',
    '10.1',
    '10.0.1',
    '10.0.0',
  ],
  ...[
    '1.2.3.4.',
    '1.2.3.4.5',
    '.1.2.3',
    '1..2.3',
    '256.0.0.1',
    '1.2.3.999',
    '1.2.3.4 ',
    ' 1.2.3.4',
    '1.2.3.-4',
  ],
  ...[
    '+1.2.3.4',
    '1e1.2.3.4',
    '１.2.3.4',
    '1.2.3.4\n',
    '1.2.3.4%eth0',
    '1.2.3.4:80',
    '[::1]',
    '[::1]:80',
    ':::',
  ],
  ...[
    '::1.2.3.4',
    '64:ff9b::1.2.3.4',
    '::ffff:0:1.2.3.4',
    '::ffff:010.0.0.1',
    '::ffff:1.2.3',
    '::ffff:1.2.3.256',
  ],
  ...[
    '1::2::3',
    '12345::',
    ':1',
    '1:',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    'g::',
    '::1%',
  ],
  ...['::1%<script>', '::1%%', '::1 ', '<script>', '127.0.0.1\0', '::1\0', 'localhost', 'a'.repeat(5000)],
];

describe('An IP address', () => {
  for (const [text, canonical] of printedAs) {
    it(`${text} is ${canonical}`, () => {
      assert.equal(parseIp(text), canonical);
      assert.equal(parseIp(canonical), canonical);
    });
  }

  for (const text of notAddresses) {
    it(`${JSON.stringify(text).slice(0, 40)} is none`, () => {
      assert.equal(parseIp(text), null);
      assert.equal(isPrivateIp(text), true);
      assert.equal(isWhitelisted(networksOf('0.0.0.0/0,::/0', confirmed), text), false);
    });
  }

  it('is private where it is anything but a public one', () => {
    const privates = [
      ...[
        '0.0.0.0',
        '10.0.0.1',
        '100.64.0.1',
        '100.127.255.255',
        '127.0.0.1',
        '127.255.255.255',
        '169.254.1.1',
      ],
      ...[
        '172.16.0.1',
        '172.31.255.255',
        '192.0.0.8',
        '192.168.0.1',
        '198.18.0.1',
        '198.19.255.255',
        '224.0.0.1',
      ],
      ...['240.0.0.1', '255.255.255.255', '::', '::1', '::102:304', '::ffff:10.0.0.1', '64:ff9b::808:808'],
      ...[
        '100::1',
        '2001::1',
        '2001:10::1',
        '2002:808:808::1',
        'fc00::1',
        'fdff::1',
        'fe80::1',
        'fec0::1',
        'ff02::1',
      ],
    ];
    const publics = [
      ...[
        '8.8.8.8',
        '9.255.255.255',
        '11.0.0.0',
        '100.63.255.255',
        '100.128.0.0',
        '126.255.255.255',
        '128.0.0.0',
      ],
      ...['172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0', '223.255.255.255', '192.0.2.1'],
      ...[
        '198.51.100.1',
        '203.0.113.7',
        '::ffff:8.8.8.8',
        '2001:200::1',
        '2001:db8::1',
        '2606:4700::1',
        '2a00::1',
      ],
    ];
    for (const ip of privates) assert.equal(isPrivateIp(ip), true, ip);
    for (const ip of publics) assert.equal(isPrivateIp(ip), false, ip);
  });
});

describe('An IP whitelist', () => {
  it('is read between commas, semicolons and white space, in order, each network once', () => {
    const text = ' 203.0.113.7,, 198.51.100.0/24;\r\n2001:DB8::/32\t203.0.113.7/32 \u3000 2001:db8:0::/32,';
    assert.deepEqual(textsOf(text), ['203.0.113.7', '198.51.100.0/24', '2001:db8::/32']);
    assert.deepEqual(textsOf(' ,;\n'), []);
  });

  it('takes mapped IPv6 addresses and networks as the IPv4 they are', () => {
    assert.deepEqual(textsOf('::ffff:203.0.113.0/120 ::ffff:cb00:7107 ::FFFF:203.0.113.9/128'), [
      ...['203.0.113.0/24', '203.0.113.7', '203.0.113.9'],
    ]);
    assert.deepEqual(faultsOf('::ffff:0.0.0.0/95 ::ffff:203.0.113.0/24'), ['1 bad-prefix', '2 bad-prefix']);
    assert.deepEqual(faultsOf('::ffff:0.0.0.0/96'), ['1 too-wide 0.0.0.0/0', '1 private 0.0.0.0/0']);
  });

  it('names each fault, its place, and what was probably meant', () => {
    assert.deepEqual(faultsOf('203.0.113.5/24,198.51.100.1 2001:db8::1/32'), [
      ...['1 host-bits 203.0.113.0/24', '3 host-bits 2001:db8::/32'],
    ]);
    assert.deepEqual(faultsOf('010.0.0.1 1.2.3 office ::1.2.3.4 fe80::1%eth0 1.2.3.4-1.2.3.9'), [
      ...['1', '2', '3', '4', '5', '6'].map((place) => `${place} not-an-address`),
    ]);
    assert.deepEqual(faultsOf('203.0.113.* 203.0.113.7:443 [2001:DB8::1]:443 https://203.0.113.7/'), [
      ...['1 not-an-address 203.0.113.0/24', '2 not-an-address 203.0.113.7'],
      ...['3 not-an-address 2001:db8::1', '4 not-an-address 203.0.113.7'],
    ]);
    assert.deepEqual(faultsOf('8.8.8.0/33 8.8.8.0/024 8.8.8.0/ 8.8.8.0/-1 8.8.8.0/24/24 8.8.8.0/+24'), [
      ...['1', '2', '3', '4', '5', '6'].map((place) => `${place} bad-prefix`),
    ]);
    assert.deepEqual(faultsOf('2001:db8::/129 203.0.113.9/255.255.255.0 203.0.113.9/255.0.255.0'), [
      ...['1 bad-prefix', '2 bad-prefix 203.0.113.0/24', '3 bad-prefix'],
    ]);
    const [fault] = (parseIpWhitelist('x'.repeat(300)) as { problems: { entry: string }[] }).problems;
    assert.equal(fault?.entry.length, 100);
  });

  it('asks before it lets in a wide network, and before it lets in a private one', () => {
    assert.deepEqual(faultsOf('8.0.0.0/15'), ['1 too-wide 8.0.0.0/15']);
    assert.deepEqual(faultsOf('2600::/31'), ['1 too-wide 2600::/31']);
    assert.deepEqual(textsOf('8.8.0.0/16 2600::/32'), ['8.8.0.0/16', '2600::/32']);
    assert.deepEqual(textsOf('8.0.0.0/15 2600::/31', { confirmWide: true }), ['8.0.0.0/15', '2600::/31']);
    assert.deepEqual(faultsOf('192.168.1.0/24 ::1'), ['1 private 192.168.1.0/24', '2 private ::1']);
    assert.deepEqual(textsOf('192.168.1.0/24 ::1', { confirmPrivate: true }), ['192.168.1.0/24', '::1']);
    assert.deepEqual(faultsOf('0.0.0.0/0', { confirmWide: true }), ['1 private 0.0.0.0/0']);
    assert.deepEqual(faultsOf('::/0', { confirmPrivate: true }), ['1 too-wide ::/0']);
    assert.deepEqual(faultsOf('8.0.0.0/6', { confirmWide: true }), ['1 private 8.0.0.0/6']);
  });

  it('holds a thousand entries and 64 KB, no more', () => {
    const many = Array.from({ length: 1001 }, (_, i) => `203.0.${i >> 8}.${i & 255}`);
    assert.equal(networksOf(many.slice(1).join('\n')).length, 1000);
    assert.deepEqual(faultsOf(many.join('\n')), ['0 too-many']);
    assert.deepEqual(faultsOf(' '.repeat(65_537)), ['0 too-long']);
    assert.deepEqual(faultsOf('あ'.repeat(22_000)), ['0 too-long']);
  });

  it('lets in mapped and zoned spellings of an address, and nothing but its own family', () => {
    const networks = networksOf('203.0.113.0/24 fe80::/64', confirmed);
    for (const ip of ['203.0.113.255', '::ffff:203.0.113.1', '::ffff:cb00:7101', 'fe80::9%eth0']) {
      assert.equal(isWhitelisted(networks, ip), true, ip);
    }
    for (const ip of ['203.0.112.255', '203.0.114.0', 'fe80:0:0:1::', '::203.0.113.1', '::cb00:7101', null]) {
      assert.equal(isWhitelisted(networks, ip), false, String(ip));
    }
    assert.equal(isWhitelisted([], '203.0.113.1'), false);
    assert.equal(isWhitelisted(networksOf('::/0', confirmed), '::ffff:203.0.113.1'), false);
  });

  it('is explained by how many addresses it holds', () => {
    const all = networksOf('203.0.113.0/24 203.0.113.7 2001:db8::/32 0.0.0.0/0 2001:db8::/96 ::1', confirmed);
    assert.deepEqual(all.map(explainNetwork), [
      ...['203.0.113.0/24: 256 addresses', '203.0.113.7: 1 address', '2001:db8::/32: 2^96 addresses'],
      ...['0.0.0.0/0: 4,294,967,296 addresses', '2001:db8::/96: 4,294,967,296 addresses', '::1: 1 address'],
    ]);
  });
});
