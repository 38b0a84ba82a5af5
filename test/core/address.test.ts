import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  addressForms,
  isMergeTag,
  md5Of,
  parseAddress,
  sha256Of,
  type AddressProblem,
} from '../../src/core/address.js';

type Options = { typed?: boolean; query?: boolean };

function keyOf(text: string, options?: Options): string {
  const result = parseAddress(text, options);
  assert.ok(result.ok, `${JSON.stringify(text)}: ${result.ok ? '' : result.problem}`);
  return result.address.normalised;
}

function problemOf(text: string, options?: Options): AddressProblem {
  const result = parseAddress(text, options);
  assert.ok(!result.ok, `${JSON.stringify(text)} was taken`);
  return result.problem;
}

const taken: [text: string, key: string][] = [
  ['hanako@example.jp', 'hanako@example.jp'],
  ['Hanako.Yamada@EXAMPLE.Co.Jp', 'hanako.yamada@example.co.jp'],
  ['john+news@example.com', 'john+news@example.com'],
  ["o'brien@example.ie", "o'brien@example.ie"],
  ['=cmd|calc!a1@example.com', '=cmd|calc!a1@example.com'],
  ['{braces}%percent%*@example.com', '{braces}%percent%*@example.com'],
  // docomo gave these out for years
  ['ta..ro@docomo.ne.jp', 'ta..ro@docomo.ne.jp'],
  ['taro.@docomo.ne.jp', 'taro.@docomo.ne.jp'],
  ['.taro@docomo.ne.jp', '.taro@docomo.ne.jp'],
  ['-taro...@docomo.ne.jp', '-taro...@docomo.ne.jp'],
  // quoted, as they are
  ['"John Doe"@example.com', '"john doe"@example.com'],
  ['"a@b,c;<>()"@example.com', '"a@b,c;<>()"@example.com'],
  ['"a\\"b\\\\"@example.com', '"a\\"b\\\\"@example.com'],
  ['"ta..ro."@docomo.ne.jp', '"ta..ro."@docomo.ne.jp'],
  // internationalised
  ['bücher@bücher.de', 'bücher@xn--bcher-kva.de'],
  ['BU\u0308CHER@BU\u0308CHER.DE', 'bücher@xn--bcher-kva.de'],
  ['x@xn--bcher-kva.de', 'x@xn--bcher-kva.de'],
  ['x@XN--BCHER-KVA.de', 'x@xn--bcher-kva.de'],
  ['名前@例え.jp', '名前@xn--r8jz45g.jp'],
  ['x@例え。jp', 'x@xn--r8jz45g.jp'],
  ['x@ｅｘａｍｐｌｅ．ｃｏｍ', 'x@example.com'],
  ['x@faß.de', 'x@xn--fa-hia.de'],
  ['😀☃@example.com', '😀☃@example.com'],
  ['İ@example.com', 'i\u0307@example.com'],
  // wrappings
  ['  hanako@example.jp\r\n', 'hanako@example.jp'],
  ['\u3000hanako@example.jp\u00a0', 'hanako@example.jp'],
  ['\ufeffhanako@example.jp', 'hanako@example.jp'],
  ['hanako @ example.jp', 'hanako@example.jp'],
  ['hanako\u3000@example.jp', 'hanako@example.jp'],
  ['"a b" @example.jp', '"a b"@example.jp'],
  ['<hanako@example.jp>', 'hanako@example.jp'],
  ['mailto:hanako@example.jp', 'hanako@example.jp'],
  ['<MailTo: hanako@example.jp >', 'hanako@example.jp'],
  ['mailto:<hanako@example.jp>', 'hanako@example.jp'],
  ['hanako@example.jp.', 'hanako@example.jp'],
  [`${'x'.repeat(70)}@example.com`, `${'x'.repeat(70)}@example.com`],
];

const refused: [text: string, problem: AddressProblem][] = [
  ['', 'missing'],
  [' \t\r\n\u3000', 'missing'],
  ['x'.repeat(1025), 'too-long'],
  [`${' '.repeat(1025)}a@example.com`, 'too-long'],
  [`${'x'.repeat(243)}@example.com`, 'too-long'],
  [`${'é'.repeat(122)}@example.com`, 'too-long'],
  [`${'x'.repeat(200)}${' '.repeat(120)}@example.com`, 'too-long'],
  ['hanako', 'no-at'],
  ['hanako＠example.jp', 'no-at'],
  ['"hanako@example.jp', 'bad-local-part'],
  ['"hanako"x@example.jp', 'bad-local-part'],
  ['"ha"na"ko"@example.jp', 'bad-local-part'],
  ['""@example.jp', 'bad-local-part'],
  ['"a\u00a0b"@example.jp', 'bad-local-part'],
  ['@example.jp', 'bad-local-part'],
  ['<@example.jp>', 'bad-local-part'],
  ['a@b@example.jp', 'bad-local-part'],
  ['a＠b@example.jp', 'bad-local-part'],
  ['john tag@example.com', 'bad-local-part'],
  ['Hanako <hanako@example.jp>', 'bad-local-part'],
  ['a@example.jp,b@example.jp', 'bad-local-part'],
  ['<<a@example.jp>>', 'merge-tag'],
  ...[...',;:<>()[]\\"'].map((mark): [string, AddressProblem] => [`a${mark}b@example.jp`, 'bad-local-part']),
  ['a@', 'bad-domain'],
  ['a@example', 'bad-domain'],
  ['a@example..jp', 'bad-domain'],
  ['a@.example.jp', 'bad-domain'],
  ['a@example.jp..', 'bad-domain'],
  ['a@-example.jp', 'bad-domain'],
  ['a@example-.jp', 'bad-domain'],
  ['a@exa_mple.jp', 'bad-domain'],
  ['a@exa mple.jp', 'bad-domain'],
  ['a@example.jp/path', 'bad-domain'],
  ['a@example.jp?subject=x', 'bad-domain'],
  ['a@example.jp#x', 'bad-domain'],
  ['a@example.jp\\x', 'bad-domain'],
  ['a@ex%61mple.jp', 'bad-domain'],
  ['a@example.jp:25', 'bad-domain'],
  ['a@192.0.2.1', 'bad-domain'],
  ['a@１９２．０．２．１', 'bad-domain'],
  ['a@0x7f.1', 'bad-domain'],
  ['a@[192.0.2.1]', 'bad-domain'],
  ['a@[IPv6:2001:db8::1]', 'bad-domain'],
  ['a@example.123', 'bad-domain'],
  ['a@xn--a.jp', 'bad-domain'],
  ['a@xn--zzzz--.jp', 'bad-domain'],
  ['a@℀.jp', 'bad-domain'],
  [`a@${'x'.repeat(64)}.jp`, 'bad-domain'],
  [`a@${'x.'.repeat(126)}xx`, 'bad-domain'],
  ['a\u0000b@example.jp', 'control-character'],
  ['a\tb@example.jp', 'control-character'],
  ['a\r\nBcc: b@example.jp', 'control-character'],
  ['a\u0085b@example.jp', 'control-character'],
  ['a\u2028b@example.jp', 'control-character'],
  ['a\ud800b@example.jp', 'control-character'],
  ['a@\udc00example.jp', 'control-character'],
  ['a\ue000b@example.jp', 'control-character'],
  ['a\uffffb@example.jp', 'control-character'],
  ['caf\ufffd@example.jp', 'control-character'],
  ...[
    ...'\u00ad\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2064\u2066\u2069',
    ...'\u2800\u3164\ufe00\ufe0f\uffa0\ufff9\u{1d173}\u{e0001}\u{e0041}\u{e0100}',
  ].map((mark): [string, AddressProblem] => [`a${mark}b@example.jp`, 'invisible-character']),
  ['a\ufeffb@example.jp', 'invisible-character'],
  ['a@exam\u200bple.jp', 'invisible-character'],
  ['hanako@example.jp\u200b', 'invisible-character'],
];

const mergeTags = [
  ...['{{email}}', '{{ contact.email }}', '{{{email}}}', "{{ email | default('a@b.example') }}", '%%email%%'],
  ...['*|EMAIL|*', '[[email]]', '[Email]', '${email}', '#{email}', '<%= email %>', '%email%', '%recipient%'],
  ...['##email##', '#email#', '{email}', '{$email}', '{!Contact.Email}', '<<Email>>', '-email-', '{メール}'],
];

/** For a title: what cannot be seen is escaped, what is long is cut. */
function shown(text: string): string {
  const escaped = (mark: string) => `\\u{${(mark.codePointAt(0) ?? 0).toString(16)}}`;
  return JSON.stringify(text.replace(/\s/gu, ' '))
    .replace(/[\p{C}\p{Default_Ignorable_Code_Point}\u2800]/gu, escaped)
    .slice(0, 60);
}

describe('An address', () => {
  for (const [text, key] of taken) {
    it(`${shown(text)} is taken`, () => assert.equal(keyOf(text), key));
  }

  for (const [text, problem] of refused) {
    it(`${shown(text)} is refused: ${problem}`, () => assert.equal(problemOf(text), problem));
  }

  it('typed with full-width letters, ＠ and 。 is the ASCII one', () => {
    assert.equal(keyOf('hanako＠example.jp', { typed: true }), 'hanako@example.jp');
    assert.equal(keyOf('ｈａｎａｋｏ＠ｅｘａｍｐｌｅ。ｊｐ', { typed: true }), 'hanako@example.jp');
    assert.equal(keyOf('ｔａ。ro﹫example．jp', { typed: true }), 'ta.ro@example.jp');
    assert.equal(problemOf('a＠b@example.jp', { typed: true }), 'bad-local-part');
    assert.equal(problemOf('ha na＠example.jp', { typed: true }), 'bad-local-part');
  });

  it('keeps what was typed', () => {
    const result = parseAddress(' Ｈａｎａｋｏ＠Example.jp ', { typed: true });
    assert.ok(result.ok);
    assert.equal(result.address.given, 'Ｈａｎａｋｏ＠Example.jp');
  });

  it('from a query string gets back the + that nobody encoded', () => {
    const result = parseAddress('John tag two@Example.com', { query: true });
    assert.ok(result.ok);
    assert.deepEqual(result.address, {
      normalised: 'john+tag+two@example.com',
      given: 'John+tag+two@Example.com',
    });
    assert.equal(keyOf('"a b"@example.com', { query: true }), '"a b"@example.com');
    assert.equal(keyOf('john @example.com', { query: true }), 'john@example.com');
    assert.equal(problemOf('john\u00a0tag@example.com', { query: true }), 'bad-local-part');
  });

  it('of a domain in Unicode has two forms, of any other one', () => {
    assert.deepEqual(addressForms('x@example.com'), ['x@example.com']);
    assert.deepEqual(addressForms('x@xn--bcher-kva.de'), ['x@xn--bcher-kva.de', 'x@bücher.de']);
    assert.deepEqual(addressForms('"a@xn--b"@example.com'), ['"a@xn--b"@example.com']);
    assert.deepEqual(addressForms(keyOf('名前@例え.jp')), ['名前@xn--r8jz45g.jp', '名前@例え.jp']);
  });

  it('is hashed over the UTF-8 of its key', () => {
    assert.equal(md5Of('hanako@example.jp').toString('hex'), '2e8c42e7eabc71004cabed2cd4f4e4df');
    const text = 'bücher@xn--bcher-kva.de';
    assert.deepEqual(md5Of(text), createHash('md5').update(Buffer.from(text, 'utf8')).digest());
    assert.deepEqual(sha256Of(text), createHash('sha256').update(Buffer.from(text, 'utf8')).digest());
  });
});

describe('A merge tag', () => {
  for (const tag of mergeTags) {
    it(`${tag} counts as no address`, () => {
      assert.equal(isMergeTag(tag), true);
      assert.equal(problemOf(tag), 'merge-tag');
      assert.equal(problemOf(` mailto:${tag} `), 'merge-tag');
    });
  }

  it('is not seen in what could be an address, or in other text', () => {
    const others = [
      'hanako@example.jp',
      '{{a}}@example.jp',
      '%a%@example.jp',
      '[a@b.example]',
      '{a@b.example}',
    ];
    for (const text of [
      ...others,
      '-',
      '--',
      '{}',
      '{{}}',
      '-5-',
      '',
      '%',
      '{{a}} and {{b}}',
      'x {{email}}',
    ]) {
      assert.equal(isMergeTag(text), false, text);
    }
  });
});
