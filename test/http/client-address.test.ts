import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { clientAddress, compileTrust, type ClientAddress } from '../../src/http/client-address.js';

const proxy = '10.0.0.1';
const hanako = '203.0.113.7';

/** A request as Node would hand it over; repeated headers of most names arrive joined by commas. */
function request(peer: string | undefined, headers: Record<string, string> = {}): IncomingMessage {
  return { socket: { remoteAddress: peer }, headers } as unknown as IncomingMessage;
}

function seen(trustProxy: string[], peer: string | undefined, forwardedFor?: string): ClientAddress {
  const headers = forwardedFor === undefined ? undefined : { 'x-forwarded-for': forwardedFor };
  return clientAddress(request(peer, headers), compileTrust(trustProxy));
}

const direct = (ip: string | null) => ({ ip, forwardedByStranger: false });
const strange = (ip: string | null) => ({ ip, forwardedByStranger: true });

describe('The address of a client', () => {
  it('is the peer where nobody is trusted, canonical', () => {
    assert.deepEqual(seen([], hanako), direct(hanako));
    assert.deepEqual(seen([], `::ffff:${hanako}`), direct(hanako));
    assert.deepEqual(seen([], '2001:DB8:0::1'), direct('2001:db8::1'));
    assert.deepEqual(seen([], 'fe80::1%eth0'), direct('fe80::1'));
    assert.deepEqual(seen([proxy], hanako), direct(hanako));
  });

  it('is nobody where the connection is gone, and that makes no proxy a stranger', () => {
    assert.deepEqual(seen([], undefined, hanako), direct(null));
    assert.deepEqual(seen([proxy], undefined, hanako), direct(null));
  });

  it('is what a trusted proxy wrote, whichever way the proxy is spelled', () => {
    for (const peer of [proxy, `::ffff:${proxy}`, '::ffff:a00:1']) {
      assert.deepEqual(seen([proxy], peer, hanako), direct(hanako), peer);
      assert.deepEqual(seen(['10.0.0.0/8'], peer, hanako), direct(hanako), peer);
      assert.deepEqual(seen([`::ffff:${proxy}`], peer, hanako), direct(hanako), peer);
      assert.deepEqual(seen(['::/1', 'fe80::/10'], peer, hanako), strange(proxy), peer);
    }
    assert.deepEqual(seen(['fd00::/8'], 'fd00::1', ` ::ffff:${hanako} `), direct(hanako));
    assert.deepEqual(seen(['fe80::1'], 'fe80::1%eth0', '2001:DB8::0'), direct('2001:db8::'));
    assert.deepEqual(seen([proxy], proxy), direct(proxy));
    assert.deepEqual(seen([proxy], proxy, ''), direct(proxy));
  });

  it('is the first stranger from the right, whatever that stranger wrote to the left', () => {
    const trusted = [proxy, '10.1.0.0/16'];
    assert.deepEqual(seen(trusted, proxy, `8.8.8.8, ${hanako}`), direct(hanako));
    assert.deepEqual(
      seen(trusted, proxy, `8.8.8.8,${proxy} , ${hanako}, 10.1.2.3,,10.1.0.1`),
      direct(hanako),
    );
    assert.deepEqual(seen(trusted, proxy, `<script>, ${hanako}`), direct(hanako));
    assert.deepEqual(seen(trusted, proxy, `${'9.9.9.9,'.repeat(2000)}${hanako}`), direct(hanako));
    assert.deepEqual(seen(trusted, proxy, `${'x'.repeat(15_000)}, ${hanako}, 10.1.0.1`), direct(hanako));
    assert.deepEqual(seen(trusted, proxy, '10.1.0.2, 10.1.0.1'), direct('10.1.0.2'));
  });

  it('is nobody where the trusted chain ends in junk', () => {
    const junk = [
      ...[
        'unknown',
        '<script>',
        '_hidden',
        'localhost',
        '203.0.113.7:443',
        '[2001:db8::1]',
        '[2001:db8::1]:443',
      ],
      ...[
        '010.0.0.1',
        '0x7f.1',
        '127.1',
        '2130706433',
        '::1.2.3.4',
        '203.0.113.7\t',
        '"203.0.113.7"',
        '1.2.3.4;x',
      ],
      ...['203.0.113.7 8.8.8.8', 'for=203.0.113.7', 'a'.repeat(8000)],
    ];
    for (const text of junk) {
      assert.deepEqual(seen([proxy], proxy, text), direct(null), text);
      assert.deepEqual(seen([proxy], proxy, `${hanako}, ${text}, ${proxy}`), direct(null), text);
    }
  });

  it('is nobody behind more than 30 trusted hops', () => {
    const chain = (hops: number) => `${hanako}${`, ${proxy}`.repeat(hops)}`;
    assert.deepEqual(seen([proxy], proxy, chain(30)), direct(hanako));
    assert.deepEqual(seen([proxy], proxy, chain(31)), direct(null));
    assert.deepEqual(seen([proxy], proxy, chain(1000)), direct(null));
  });

  it('is never what a stranger says, under any header', () => {
    const names = [
      ...[
        'X-Forwarded-For',
        'Forwarded',
        'X-Forwarded',
        'Forwarded-For',
        'X-Real-IP',
        'X-Client-IP',
        'Client-IP',
      ],
      ...[
        'CF-Connecting-IP',
        'True-Client-IP',
        'X-Cluster-Client-IP',
        'Fastly-Client-IP',
        'X-Azure-ClientIP',
      ],
      ...['X-Original-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Envoy-External-Address'],
    ];
    for (const name of names) {
      const headers = { [name.toLowerCase()]: '127.0.0.1' };
      for (const trusted of [[], [proxy], ['127.0.0.1']]) {
        assert.deepEqual(
          clientAddress(request(hanako, headers), compileTrust(trusted)),
          strange(hanako),
          name,
        );
      }
    }
    for (const name of names.slice(1)) {
      const headers = { [name.toLowerCase()]: '8.8.8.8', 'x-forwarded-for': hanako };
      assert.deepEqual(clientAddress(request(proxy, headers), compileTrust([proxy])), direct(hanako), name);
    }
    assert.deepEqual(
      clientAddress(request(hanako, { via: '1.1 x', from: 'y' }), compileTrust([])),
      direct(hanako),
    );
  });

  it('is canonical or nobody, whatever the header holds', () => {
    const trust = compileTrust([proxy]);
    const junk = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom(...'0123456789.:,% f[]') }),
      fc.ipV6(),
    );
    fc.assert(
      fc.property(junk, (header) => {
        const { ip } = clientAddress(request(proxy, { 'x-forwarded-for': header }), trust);
        assert.ok(ip === null || /^[0-9a-f:.]{2,39}$/.test(ip), String(ip));
      }),
    );
  });

  it('is found in real requests, however the header is spelled and repeated', async () => {
    const trust = compileTrust(['127.0.0.1', '::1', '10.0.0.0/8']);
    const server = createServer((req, res) => res.end(JSON.stringify(clientAddress(req, trust))));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const ask = async (headers: string): Promise<unknown> => {
      const socket = connect(port, '127.0.0.1');
      socket.end(`GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`);
      return JSON.parse(/\{.*\}/.exec(await text(socket))?.[0] ?? 'null');
    };
    try {
      assert.deepEqual(await ask(''), direct('127.0.0.1'));
      assert.deepEqual(await ask(`x-FORWARDED-for: ${hanako}\r\n`), direct(hanako));
      assert.deepEqual(
        await ask(`X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-For: ${hanako}\r\n`),
        direct(hanako),
      );
      assert.deepEqual(
        await ask(`X-Forwarded-For: ${hanako}\r\nx-forwarded-for: 10.0.0.9\r\nX-Real-IP: 8.8.8.8\r\n`),
        direct(hanako),
      );
      assert.deepEqual(
        await ask('X_Forwarded_For: 8.8.8.8\r\nForwarded: for=8.8.8.8\r\n'),
        direct('127.0.0.1'),
      );
    } finally {
      server.close();
    }
  });
});

describe('TRUST_PROXY', () => {
  it('takes addresses and CIDRs that are spelled out', () => {
    const trust = compileTrust(['127.0.0.1', '10.0.0.0/8', '2001:db8::/32', '8.0.0.0/7']);
    for (const ip of ['127.0.0.1', '10.255.0.1', '::ffff:10.0.0.1', '2001:db8::9', '9.9.9.9']) {
      assert.equal(trust(ip, 0), true, ip);
    }
    for (const ip of ['127.0.0.2', '11.0.0.1', '2001:db9::', '::a00:1', '', 'junk', '10.1', '010.0.0.1']) {
      assert.equal(trust(ip, 0), false, ip);
    }
    assert.equal(compileTrust([])('127.0.0.1', 0), false);
  });

  it('refuses, by name, whatever would trust more than was meant', () => {
    const refused = [
      ...[
        'true',
        'false',
        '*',
        '1',
        '2',
        'loopback',
        'uniquelocal',
        'localhost',
        '10.0.0.1/8',
        '10.0.0.0/',
        '',
      ],
      ...[
        '0.0.0.0/0',
        '::/0',
        '::ffff:0:0/96',
        '::ffff:10.0.0.0/104',
        '::ffff:10.0.0.1/128',
        '10.0.0.0/255.0.0.0',
      ],
      ...['127.0.0.1 10.0.0.1', '127.0.0.1,10.0.0.1', '010.0.0.1', '10.1', '::10.0.0.1', '10.0.0.*'],
    ];
    for (const entry of refused) {
      assert.throws(
        () => compileTrust(['127.0.0.1', entry]),
        (error: Error) => error.message.includes(`"${entry}"`),
        entry,
      );
    }
    assert.throws(() => compileTrust(['10.0.0.1/8']), /host-bits\); did you mean 10\.0\.0\.0\/8\?/);
  });
});
