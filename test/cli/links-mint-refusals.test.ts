import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createProgress } from '../../src/cli/progress.js';
import type { List } from '../../src/core/lists.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

describe('What signoff links mint refuses', function () {
  this.timeout(180_000);
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
  });
  after(() => service.close());

  const run = (input: string | Buffer, ...more: string[]) =>
    signoff(environmentOf(service.databaseUrl), ['links', 'mint', '-', '--list', list.publicId, ...more], {
      input: input as string,
    });

  const refused: [what: string, input: string | Buffer, args: string[], why: RegExp][] = [
    ['nothing', '', [], /^The file is empty\.$/m],
    ['blank lines', '\n \r\n', [], /^The file is empty\.$/m],
    [
      'no such column',
      'mail,name\na@b.example,x',
      [],
      /names no column "email", but "mail", "name": say which with --column/,
    ],
    [
      'no such tag column',
      'email\na@b.example',
      ['--tag-column', 'part'],
      /no column "part", .* --tag-column/,
    ],
    ['the column twice', 'email,EMAIL\na@b.example,x', [], /several columns "email"/],
    ['a column link', 'email,Link\na@b.example,x', [], /has a column link already/],
    ['no header line', 'ann@example.com,Ann\n', [], /first line holds an address where the names/],
    ['an open header', 'email,"name\na@b.example,x', [], /opens a quote that nothing closes/],
    ['UTF-16', Buffer.from('\uFEFFemail\nann@example.com\n', 'utf16le'), [], /no UTF-8 text/],
    [
      'a line without an end',
      'email'.repeat(300_000),
      [],
      /^The file is no text of lines: line 1 has no end\.$/m,
    ],
    ['an unknown tag', 'a@b.example', ['--tag', 'none'], /does not know this tag/],
  ];
  for (const [what, input, args, why] of refused) {
    it(what, async () => {
      const ran = await run(input, ...args);
      assert.equal(ran.code, 1, ran.stdout);
      assert.equal(ran.stdout, '');
      assert.match(ran.stderr, why);
      assert.doesNotMatch(ran.stderr, /\n {4}at |fault of Signoff/);
    });
  }

  it('leaves nothing where a file cannot be read or written, and what stood there as it was', async () => {
    const folder = emptyFolder();
    const output = path.join(folder, 'out.csv');
    writeFileSync(output, 'before');
    mkdirSync(path.join(folder, 'sub'));
    const tries: [string, string][] = [
      [path.join(folder, 'none.csv'), output],
      [path.join(folder, 'sub'), output],
      [output, path.join(folder, 'sub')],
      [output, path.join(folder, 'none', 'out.csv')],
      [output, '/dev/null'],
    ];
    for (const [file, to] of tries) {
      const args = ['links', 'mint', file, '--list', list.publicId, '--output', to];
      const ran = await signoff(environmentOf(service.databaseUrl), args);
      assert.equal(ran.code, 1);
      assert.match(ran.stderr, /(cannot be (read|written) \(E[A-Z]+\)|is no file)\.$/m);
    }
    assert.equal(readFileSync(output, 'utf8'), 'before');
    assert.deepEqual(readdirSync(folder).sort(), ['out.csv', 'sub']);
    assert.ok(existsSync('/dev/null'));
  });

  it('refuses to mint with another secret, and never makes one', async () => {
    const args = ['links', 'mint', '-', '--list', list.publicId];
    const env = environmentOf(service.databaseUrl);
    const other = await signoff({ ...env, SIGNOFF_SECRET: 'x'.repeat(32) }, args, {
      input: 'ann@example.com',
    });
    assert.deepEqual([other.code, other.stdout], [1, '']);
    assert.match(other.stderr, /is not the one this database was set up with/);
    const folder = emptyFolder();
    const none = await signoff(
      { NODE_ENV: 'development', DATABASE_URL: service.databaseUrl, DATA_DIR: folder },
      args,
    );
    assert.equal(none.code, 1);
    assert.match(none.stderr, /^There is no secret: /);
    assert.deepEqual(readdirSync(folder), []);
  });
});

describe('The progress of signoff links mint', () => {
  const shown = (isTTY: boolean, columns = 60) => {
    const written: string[] = [];
    let now = 0;
    const terminal = { isTTY, columns, write: (text: string) => written.push(text) };
    const progress = createProgress(terminal, () => now);
    for (const [at, lines, share] of [
      [10, 5, 0.01],
      [1000, 50_000, 0.5],
      [1001, 50_001, 0.5],
      [2000, 90_000, null],
    ] as const) {
      now = at;
      progress.show(lines, share);
    }
    progress.clear();
    progress.clear();
    return written;
  };

  it('is one line on a terminal, a few times a second, and goes away', () => {
    assert.deepEqual(shown(true), [
      '\r\x1b[K[############............]  50% 50,000 lines, 50,000 a seco',
      '\r\x1b[K90,000 lines, 45,000 a second',
      '\r\x1b[K',
    ]);
    assert.match(shown(true, 0)[0] ?? '', /a second$/);
  });

  it('is nothing elsewhere', () => assert.deepEqual(shown(false), []));
});
