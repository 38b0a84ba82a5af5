import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseThankYou, validateThankYou, type Block, type Inline } from '../../src/core/thank-you.js';
import { cpuTimeOf } from '../support/cpu-time.js';

describe('A thank-you text', () => {
  it('is read into paragraphs, lists, quotes and code', () => {
    const { title, blocks } = parseThankYou(
      'Bye **now** *or* `later`\nsee https://acme.example\n\n- a\n- b\n\n3. c\n\n> d\n\n---\n\n```\n<e>\n```',
    );
    assert.equal(title, null);
    assert.deepEqual(blocks, [
      {
        type: 'paragraph',
        children: [
          text('Bye '),
          { type: 'strong', children: [text('now')] },
          text(' '),
          { type: 'em', children: [text('or')] },
          text(' '),
          { type: 'code', text: 'later' },
          { type: 'br' },
          text('see '),
          link('https://acme.example', 'https://acme.example'),
        ],
      },
      { type: 'list', start: null, items: [[paragraph('a')], [paragraph('b')]] },
      { type: 'list', start: 3, items: [[paragraph('c')]] },
      { type: 'blockquote', children: [paragraph('d')] },
      { type: 'hr' },
      { type: 'code', text: '<e>\n' },
    ]);
  });

  it('gives the page its heading where it begins with one, and leaves out no level below it', () => {
    const headed = parseThankYou('# Goodbye *Mai*\n\n#### Deep\n\n# High\n\n###### Deeper');
    assert.deepEqual(headed.title, [text('Goodbye '), { type: 'em', children: [text('Mai')] }]);
    assert.deepEqual(levels(headed.blocks), [2, 2, 3]);
    const unheaded = parseThankYou('Bye\n\n###### Deep\n\n# High\n\n## Lower\n\n> ###### In a quote');
    assert.equal(unheaded.title, null);
    assert.deepEqual(levels(unheaded.blocks), [2, 2, 3, 4]);
    assert.equal(parseThankYou('#\n\nBye').title, null);
    assert.deepEqual(levels(parseThankYou('Bye\n\n#\n\n## &nbsp;').blocks), []);
    assert.equal(parseThankYou('> # In a quote').title, null);
  });

  it('links to http, https and mailto, and to nothing else', () => {
    const links = [
      ['[a](https://acme.example/x?y=1&z=2)', 'https://acme.example/x?y=1&z=2'],
      ['<http://acme.example>', 'http://acme.example'],
      ['write to care@acme.example', 'mailto:care@acme.example'],
      ['[a][1]\n\n[1]: https://acme.example "title"', 'https://acme.example'],
      ['[bücher](https://bücher.example/ä)', 'https://xn--bcher-kva.example/%C3%A4'],
      ['[](https://acme.example)', 'https://acme.example'],
    ];
    for (const [markdown = '', href] of links)
      assert.deepEqual(hrefs(parseThankYou(markdown).blocks), [href]);

    const unlinked = [
      '[a](javascript:alert(1))',
      '[a](JaVaScRiPt:alert(1))',
      '[a](java&#115;cript:alert(1))',
      '[a](&#1;javascript:alert(1))',
      '[a](<java\tscript:alert(1)>)',
      '[a](vbscript:x) [a](data:text/html,x) [a](file:///etc/passwd) [a](ftp://acme.example)',
      '[a](/l/x/opt-out) [a](//evil.example) [a](../x) [a](#x) [a](?x) [a](x) [a]() [a](https:evil.example)',
      '[a](https:///evil.example) [a](mailto:)',
      '<javascript:alert(1)> <data:text/html,x>',
      'Node.js, README.md, www.acme.example and //acme.example',
      '[a][1]\n\n[1]: javascript:alert(1)',
    ];
    for (const markdown of unlinked) assert.deepEqual(hrefs(parseThankYou(markdown).blocks), [], markdown);
  });

  it('shows where a link leads that has no words', () => {
    const [block] = parseThankYou('[](https://acme.example)').blocks;
    assert.deepEqual(block, {
      type: 'paragraph',
      children: [link('https://acme.example', 'https://acme.example')],
    });
  });

  it('has no HTML, images, tables or deleted text: they stay the characters they are', () => {
    for (const markdown of [
      '<b>x</b>',
      '<script>x</script>',
      '<!-- x -->',
      '~~x~~',
      '<img src=x onerror=y>',
    ]) {
      assert.deepEqual(parseThankYou(markdown).blocks, [paragraph(markdown)]);
    }
    assert.deepEqual(parseThankYou('![alt](https://evil.example/p.gif)').blocks, [
      { type: 'paragraph', children: [text('!'), link('https://evil.example/p.gif', 'alt')] },
    ]);
    assert.deepEqual(
      kinds(parseThankYou('|a|b|\n|-|-|\n|c|d|').blocks),
      new Set(['paragraph', 'text', 'br']),
    );
    assert.deepEqual(parseThankYou('&lt;b&gt; &amp;amp;').blocks, [paragraph('<b> &amp;')]);
  });

  it('is one of the known nodes, whatever is written, and never deeper than it may be', () => {
    const known = 'paragraph heading list blockquote code hr text strong em link br'.split(' ');
    const bits = [
      '*',
      '**',
      '_',
      '> ',
      '- ',
      '1. ',
      '# ',
      '`',
      '```',
      '[',
      '](',
      ')',
      'https://a.b',
      '<',
      '!',
      '\n',
      '  ',
      'x',
      '\\',
      '&#0;',
    ];
    const markdown = fc.oneof(
      fc.array(fc.constantFrom(...bits), { maxLength: 200 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
    );
    fc.assert(
      fc.property(markdown, (given) => {
        const problem = validateThankYou(given);
        const { title, blocks } = parseThankYou(given);
        for (const kind of kinds(blocks)) assert.ok(known.includes(kind), kind);
        for (const href of hrefs(blocks)) assert.match(href, /^(?:https?:\/\/|mailto:)/i);
        assert.ok(depthOf(blocks) <= 6 + 6);
        if (problem === null) assert.ok(title !== null || blocks.length > 0);
        if (problem === 'empty') assert.deepEqual({ title, blocks }, { title: null, blocks: [] });
      }),
      { numRuns: 1000 },
    );
  });

  it('is read in little time, even where it is made to take long', async () => {
    const bombs = [
      '*a **a ',
      '[',
      '![',
      '[](',
      '`',
      '> ',
      '- ',
      '<',
      '&',
      '*',
      '_',
      '\\',
      '[a](<',
      'a@',
      'https://',
      '](',
      '"',
      '~',
      '1. ',
      '\n',
      '[a]: <',
    ];
    for (const bomb of bombs) {
      const cpuMs = await cpuTimeOf(() => parseThankYou(bomb.repeat(10_000 / bomb.length)));
      assert.ok(cpuMs < 1000, bomb);
    }
  });

  it('is read once, however many recipients see it', () => {
    assert.equal(parseThankYou('# Once\n\nonly'), parseThankYou('# Once\n\nonly'));
    const first = parseThankYou('the first');
    for (let i = 0; i < 100; i++) parseThankYou(`another ${i}`);
    assert.notEqual(parseThankYou('the first'), first, 'what is kept is bounded');
  });

  it('keeps what is nested too deep, moved up, and what is too long, cut off', () => {
    const deep = `${'> '.repeat(20)}bottom`;
    assert.match(JSON.stringify(parseThankYou(deep)), /bottom/);
    assert.equal(depthOf(parseThankYou(deep).blocks), 6);
    const list = Array.from({ length: 12 }, (_, level) => `${'  '.repeat(level)}- level ${level}`).join('\n');
    assert.match(JSON.stringify(parseThankYou(list)), /level 11/);
    const stars = `${'*a **a '.repeat(20)}bottom${'***'.repeat(20)}`;
    assert.match(JSON.stringify(parseThankYou(stars)), /bottom/);
    assert.equal(JSON.stringify(parseThankYou('a'.repeat(20_000))).match(/a{9,}/)?.[0].length, 10_000);
  });
});

describe('The check of a thank-you text', () => {
  it('passes a text of up to 10,000 characters', () => {
    assert.equal(validateThankYou('# Goodbye\r\n\n\t- 日本語\n- العربية 👋'), null);
    assert.equal(validateThankYou('a'.repeat(10_000)), null);
    assert.equal(validateThankYou('a'.repeat(10_001)), 'too-long');
  });

  it('refuses control characters, and what shows nothing', () => {
    for (const control of ['\u0000', '\u001b', '\u007f', '\u0085']) {
      assert.equal(validateThankYou(`Bye${control}`), 'control-character');
    }
    for (const empty of [
      '',
      ' \n\t',
      '#',
      '> ',
      '- ',
      '---',
      '[a]: https://acme.example',
      '\u200b',
      '&nbsp;',
    ]) {
      assert.equal(validateThankYou(empty), 'empty', JSON.stringify(empty));
    }
  });

  it('refuses what has too many marks or lines, which a page shows as they are', () => {
    for (const bomb of ['[', '*a_', '*a**b', 'https://a.b/(', '[a][', '//a.b/']) {
      const written = bomb.repeat(9990 / bomb.length);
      assert.equal(validateThankYou(written), 'too-many-marks', bomb);
      assert.deepEqual(parseThankYou(written).blocks, [paragraph(written)]);
    }
    assert.equal(validateThankYou('- a\n'.repeat(1001)), 'too-many-marks');
    assert.equal(validateThankYou('- [Acme *News*](https://acme.example)\n'.repeat(200)), null);
    assert.equal(validateThankYou('Bye **now**, [dear](https://acme.example) _you_. '.repeat(20)), null);
  });

  it('refuses what is nested deeper than six', () => {
    assert.equal(validateThankYou(`${'> '.repeat(6)}x`), null);
    assert.equal(validateThankYou(`${'> '.repeat(7)}x`), 'too-deep');
    assert.equal(validateThankYou(`${'> '.repeat(150)}x`), 'too-deep');
    assert.equal(validateThankYou(`${'*a **b '.repeat(4)}x${'***'.repeat(4)}`), 'too-deep');
  });
});

function text(words: string): Inline {
  return { type: 'text', text: words };
}

function link(href: string, words: string): Inline {
  return { type: 'link', href, children: [text(words)] };
}

function paragraph(words: string): Block {
  return { type: 'paragraph', children: [text(words)] };
}

type Node = Block | Inline;

function inside(node: Node): readonly Node[] {
  if ('children' in node) return node.children;
  return node.type === 'list' ? node.items.flat() : [];
}

function all(nodes: readonly Node[]): Node[] {
  return nodes.flatMap((node) => [node, ...all(inside(node))]);
}

function kinds(nodes: readonly Node[]): Set<string> {
  return new Set(all(nodes).map((node) => node.type));
}

function hrefs(nodes: readonly Node[]): string[] {
  return all(nodes).flatMap((node) => (node.type === 'link' ? [node.href] : []));
}

function levels(nodes: readonly Node[]): number[] {
  return all(nodes).flatMap((node) => (node.type === 'heading' ? [node.level] : []));
}

/** Lists, quotes and inline marks in one another. */
function depthOf(nodes: readonly Node[]): number {
  const nesting = (node: Node) => (node.type === 'paragraph' || node.type === 'heading' ? 0 : 1);
  const below = nodes.filter((node) => 'children' in node || 'items' in node);
  return Math.max(0, ...below.map((node) => nesting(node) + depthOf(inside(node))));
}
