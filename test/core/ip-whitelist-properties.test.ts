import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isWhitelisted, parseIp, parseIpWhitelist, type Network } from '../../src/core/ip-whitelist.js';

const confirmed = { confirmWide: true, confirmPrivate: true };

function networksOf(text: string): Network[] {
  const result = parseIpWhitelist(text, confirmed);
  assert.ok(result.ok, JSON.stringify(result));
  return result.networks;
}

function textsOf(text: string): string[] {
  return networksOf(text).map((network) => network.text);
}

describe('Any IP whitelist', () => {
  // An independent reading of the rules: addresses as whole numbers, and none of the code under test.
  const address = fc.oneof(
    fc.bigInt(0n, 2n ** 32n - 1n).map((number) => ({ bits: 32, number })),
    fc.bigInt(0n, 2n ** 128n - 1n).map((number) => ({ bits: 128, number })),
    fc.bigInt(0n, 2n ** 32n - 1n).map((number) => ({ bits: 128, number: number << 96n })),
  );
  const network = fc
    .tuple(address, fc.nat(128))
    .map(([{ bits, number }, prefix]) => ({ bits, number, prefix: prefix % (bits + 1) }));

  function spelled(bits: number, number: bigint): string {
    const width = bits === 32 ? 8 : 16;
    const parts = Array.from({ length: bits / width }, (_, i) => {
      const part = (number >> BigInt(bits - width * (i + 1))) & ((1n << BigInt(width)) - 1n);
      return part.toString(bits === 32 ? 10 : 16);
    });
    return parts.join(bits === 32 ? '.' : ':');
  }

  const floor = (bits: number, prefix: number, number: bigint) =>
    (number >> BigInt(bits - prefix)) << BigInt(bits - prefix);
  const isMapped = (bits: number, number: bigint) => bits === 128 && number >> 32n === 0xffffn;

  it('lets in exactly the addresses that whole-number arithmetic puts in its networks', () => {
    const near = fc.bigInt(-(2n ** 20n), 2n ** 20n);
    fc.assert(
      fc.property(fc.array(network, { minLength: 1, maxLength: 8 }), address, near, (list, other, step) => {
        const known = list.filter(({ bits, number }) => !isMapped(bits, number));
        const text = known
          .map((n) => `${spelled(n.bits, floor(n.bits, n.prefix, n.number))}/${n.prefix}`)
          .join();
        const networks = networksOf(text);
        const tried = known.map((n) => ({ bits: n.bits, number: BigInt.asUintN(n.bits, n.number + step) }));
        for (const { bits, number } of [...tried, other].filter((ip) => !isMapped(ip.bits, ip.number))) {
          const expected = known.some(
            (n) => n.bits === bits && floor(bits, n.prefix, n.number) === floor(bits, n.prefix, number),
          );
          assert.equal(isWhitelisted(networks, spelled(bits, number)), expected);
          if (bits === 32) assert.equal(isWhitelisted(networks, `::ffff:${spelled(32, number)}`), expected);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('prints a network that reads as itself, and refuses it with host bits, naming the one meant', () => {
    fc.assert(
      fc.property(network, ({ bits, number, prefix }) => {
        fc.pre(!isMapped(bits, number));
        const first = floor(bits, prefix, number);
        const [meant] = textsOf(`${spelled(bits, first)}/${prefix}`);
        assert.deepEqual(textsOf(meant ?? ''), [meant]);
        if (first === number) return;
        const entry = `${spelled(bits, number)}/${prefix}`;
        const fault = { entry, position: 1, problem: 'host-bits', hint: meant };
        assert.deepEqual(parseIpWhitelist(entry, confirmed), { ok: false, problems: [fault] });
      }),
      { numRuns: 2000 },
    );
  });

  it('is read without an exception, whatever was typed', () => {
    const junk = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...'0123456789abf.:/%*[]-, x'), maxLength: 60 }),
    );
    fc.assert(
      fc.property(junk, (text) => {
        const result = parseIpWhitelist(text, confirmed);
        const texts = result.ok ? result.networks.map((network) => network.text) : [];
        assert.deepEqual(textsOf(texts.join()), texts);
        const ip = parseIp(text);
        if (ip !== null) assert.equal(parseIp(ip), ip);
      }),
      { numRuns: 5000 },
    );
  });
});
