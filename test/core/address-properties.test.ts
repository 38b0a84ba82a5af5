import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addressForms, isMergeTag, parseAddress } from '../../src/core/address.js';
import { cpuTimeOf } from '../support/cpu-time.js';

function keyOf(text: string, options?: { typed?: boolean; query?: boolean }): string {
  const result = parseAddress(text, options);
  assert.ok(result.ok, `${JSON.stringify(text)}: ${result.ok ? '' : result.problem}`);
  return result.address.normalised;
}

describe('Any address', () => {
  const domains = fc.constantFrom(
    ...[
      'example.com',
      'EXAMPLE.co.jp',
      'bücher.de',
      'BU\u0308CHER.de',
      'xn--r8jz45g.jp',
      '例え.jp',
      'faß.de',
    ],
    ...['ΣΊΣΥΦΟΣ.gr', 'пример.рф', 'مثال.example', 'a-b.c--d.example.', '💩.la'],
  );
  const locals = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
    fc.string({ unit: fc.constantFrom(...'aZ0.+-_"\\ @＠İıſKÅΣσςßẞÉ\u0301\u0307\u0323각ㄱ') }),
  );
  const anything = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 60 })
      .map((units) => String.fromCharCode(...units)),
    fc.tuple(locals, domains).map(([local, domain]) => `${local}@${domain}`),
    fc.tuple(locals, fc.string({ unit: 'binary' })).map(([local, domain]) => `${local}@${domain}.example`),
    fc.string({ unit: fc.constantFrom(...'ab.@"\\<>{}%[] :-mailto＠。\u200b\ud800xn--1') }),
  );
  const options = fc.record({ typed: fc.boolean(), query: fc.boolean() });

  it('is read without an exception, into a key of at most 254 octets that can be seen', () => {
    fc.assert(
      fc.property(anything, options, (text, how) => {
        const result = parseAddress(text, how);
        if (!result.ok) return;
        const { normalised, given } = result.address;
        assert.ok(Buffer.byteLength(normalised) <= 254);
        assert.ok(given.length <= 320);
        assert.doesNotMatch(given + normalised, /\p{Cs}/u);
        assert.equal(given, given.trim());
        assert.doesNotMatch(
          given + normalised,
          /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u,
        );
        assert.match(normalised, /@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]+$/);
      }),
      { numRuns: 5000 },
    );
  });

  it('normalised twice is what it is normalised once, in every form', () => {
    fc.assert(
      fc.property(anything, options, (text, how) => {
        const result = parseAddress(text, how);
        if (!result.ok) return;
        const { normalised, given } = result.address;
        assert.equal(keyOf(normalised), normalised);
        assert.equal(keyOf(normalised, { typed: false, query: true }), normalised);
        assert.equal(keyOf(given, how), normalised);
        assert.equal(normalised, normalised.normalize('NFC').toLowerCase().normalize('NFC'));
        for (const form of addressForms(normalised)) assert.equal(keyOf(form), normalised);
      }),
      { numRuns: 5000 },
    );
  });

  it('is one key in every letter case, composition, wrapping and form of its domain', () => {
    const letters = fc.string({
      unit: fc.constantFrom(...'abxyz09.+-_éüñжя名'),
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(letters, domains, (local, domain) => {
        const key = keyOf(`${local}@${domain}`);
        assert.equal(keyOf(`${local.toUpperCase()}@${domain.replace('faß', 'Faß')}`), key);
        assert.equal(keyOf(`${local}@${domain}`.normalize('NFD')), key);
        assert.equal(keyOf(`\t\u3000 <mailto:${local} @ ${domain}>\r\n`), key);
        assert.equal(keyOf(`${local}＠${domain.replaceAll('.', '。')}`, { typed: true }), key);
      }),
    );
  });

  it('of a million units of junk is refused in no time', async () => {
    const junk = ['"', '"\\', ' ', '@', 'a.', '{{', '<', '\u3000', '\u0301', 'mailto:', '-a', 'xn--'];
    const cpuMs = await cpuTimeOf(() => junk.forEach(parsed));
    assert.ok(cpuMs < 500, `${cpuMs} ms`);

    function parsed(piece: string) {
      parseAddress(piece.repeat(1_000_000 / piece.length));
      for (const how of [{}, { typed: true, query: true }]) {
        const longest = piece.repeat(Math.floor(1023 / piece.length));
        for (const text of [longest, `${longest}@`, `x${longest}x@example.jp`, `x@${longest}`]) {
          parseAddress(text, how);
          isMergeTag(text);
        }
      }
    }
  });
});
