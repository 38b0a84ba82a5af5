import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import request from 'supertest';
import type { List } from '../../src/core/lists.js';
import { findOptOuts } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import { formOf } from '../support/html.js';
import { makeList, startTestService, type TestService } from '../support/service.js';
import { browser } from '../support/visitors.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

const baseUrl = 'https://out.example.com';
const linkPattern = /^https:\/\/out\.example\.com\/o\/[\w-]+$/;

describe('signoff links mint', function () {
  this.timeout(180_000);
  let service: TestService;
  let list: List;
  before(async () => {
    service = await startTestService();
    list = await makeList(service);
    await addTags(service.deps.db, list.id, ['sale', 'Æ']);
  });
  after(() => service.close());

  const run = (input: string | Buffer, ...more: string[]) =>
    signoff(environmentOf(service.databaseUrl), ['links', 'mint', '-', '--list', list.publicId, ...more], {
      input: input as string,
    });
  const opened = async (link: string) => service.deps.openLink(link.replace(`${baseUrl}/o/`, ''));
  const linksIn = (text: string) => text.match(/https:\/\/\S+$/gm) ?? [];

  it('gives a CSV links that open and record, with all else as it was', async () => {
    const ran = await run('id,email,name\n1,Ann@Example.com,"Doe, Ann"\n2,bob+x@example.com,\n');
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    const [header, ann = '', bob = ''] = ran.stdout.split('\n');
    assert.equal(header, 'id,email,name,link');
    assert.ok(ann.startsWith('1,Ann@Example.com,"Doe, Ann",https://'));
    assert.ok(bob.startsWith('2,bob+x@example.com,,https://'));
    const pathOf = (row: string) => row.slice(row.indexOf(baseUrl) + baseUrl.length);

    const page = await request(service.url).get(pathOf(ann)).set(browser);
    assert.match(page.text, /<bdi>ann@example\.com<\/bdi>/);
    assert.equal(formOf(page.text)?.isComplete, true);
    const clicked = await request(service.url)
      .post(pathOf(bob))
      .type('form')
      .send('List-Unsubscribe=One-Click');
    assert.equal(clicked.status, 200);
    const { db } = service.deps;
    assert.deepEqual(
      (await findOptOuts(db, list.id, 'bob+x@example.com')).map((row) => [row.source, row.tag.toString()]),
      [['one-click', '*']],
    );
    assert.deepEqual(await findOptOuts(db, list.id, 'ann@example.com'), []);
  });

  it('gives a text with an address a line a CSV', async () => {
    const ran = await run(
      '\uFEFFann@bücher.example\r\n\r\n"a,b"@example.com\r\nａｎｎ@example.com',
      '--tag',
      'sale',
    );
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    const lines = ran.stdout.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => line.replace(/https.*/, '')),
      ['address,link', 'ann@bücher.example,', '"""a,b""@example.com",', 'ａｎｎ@example.com,'],
    );
    const found = await Promise.all(linksIn(ran.stdout).map(opened));
    assert.deepEqual(
      found.map((one) => [one?.address, one?.tag]),
      [
        ['ann@xn--bcher-kva.example', 'sale'],
        ['"a,b"@example.com', 'sale'],
        ['ann@example.com', 'sale'],
      ],
    );
  });

  it('takes semicolons, tabs, a BOM, CRLF, quoted line breaks and other encodings', async () => {
    const odd = Buffer.concat([
      Buffer.from('\uFEFF"E-Mail";"Größe, Maß";x\r\n'),
      Buffer.from('ann@example.com;"two\r\nlines; ""and"" quotes";M\xFCller\r\n', 'latin1'),
      Buffer.from('"bob@example.com"'),
    ]);
    const ran = await run(odd, '--column', 'e-mail');
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    assert.match(ran.stdout, /^"E-Mail";"Größe, Maß";x;link\r\n/, 'text() of the test takes the BOM away');
    assert.match(ran.stdout, /\nann@example\.com;"two\r\nlines; ""and"" quotes";M\uFFFDller;https:\S+\r\n/);
    assert.match(ran.stdout, /\n"bob@example\.com";;;https:\S+\r\n$/);
    assert.deepEqual(
      await Promise.all(linksIn(ran.stdout).map(async (link) => (await opened(link))?.address)),
      ['ann@example.com', 'bob@example.com'],
    );
    const tabs = await run('a;b,c\temail\n1,1,1\tann@example.com\n');
    assert.match(tabs.stdout, /^a;b,c\temail\tlink\n1,1,1\tann@example\.com\thttps:\S+\n$/);
    const single = await run('Email\nann@example.com\n');
    assert.match(single.stdout, /^Email,link\nann@example\.com,https:\S+\n$/);
  });

  it('writes the octets of what it does not read as they came', async () => {
    const folder = emptyFolder();
    const file = path.join(folder, 'in.csv');
    const output = path.join(folder, 'out.csv');
    writeFileSync(file, Buffer.from('\xEF\xBB\xBFemail;n\xE4me\rann@example.com;M\xFCller\r', 'latin1'));
    const ran = await signoff(environmentOf(service.databaseUrl), [
      ...['links', 'mint', file, '--list', list.publicId, '--output', output, '--json'],
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(ran.json(), { list: list.publicId, key: 1, output, links: 1, refused: 0 });
    const written = readFileSync(output, 'latin1').replace(/https:[^\r]*/, 'LINK');
    assert.equal(written, '\xEF\xBB\xBFemail;n\xE4me;link\rann@example.com;M\xFCller;LINK\r');
  });

  it('takes the tag of each line from a column; one that the list does not know is told', async () => {
    const ran = await run(
      'email,part\na@b.example,sale\nc@d.example,\ne@f.example,none\ng@h.example, Æ \n',
      '--tag-column',
      'Part',
    );
    assert.equal(ran.code, 1);
    assert.equal(
      ran.stderr,
      'line 4: the list does not know the tag "none"\n3 links of Acme News minted; 1 line without one.\n',
    );
    const tags = await Promise.all(linksIn(ran.stdout).map(async (link) => (await opened(link))?.tag));
    assert.deepEqual(tags, ['sale', '*', 'Æ']);
  });

  it('tells bad lines by number and reason, and keeps both the good ones and the columns', async () => {
    const ran = await run(
      [
        'email,name',
        'nobody,x',
        ',y',
        '"two\nlines",z',
        'ann@example.com',
        'bob@example.com,a,b',
        'cat@example.com,c,',
        'dan@example.com,"open',
        'eve@example.com,"shut" but',
        'fay@example.com,f',
        '',
        '{{email}},g',
      ].join('\n'),
    );
    assert.equal(ran.code, 1);
    assert.deepEqual(ran.stderr.split('\n'), [
      'line 2: the address has no @',
      'line 3: there is no address',
      'line 4: the address holds a control character, or octets that are not UTF-8',
      'line 7: it has 3 fields, and the first line 2',
      'line 9: its quotes do not close',
      'line 10: its quotes do not close',
      'line 13: this is a merge tag that was not replaced',
      '3 links of Acme News minted; 7 lines without one.',
      '',
    ]);
    assert.deepEqual(ran.stdout.replace(/https:\S+/g, 'LINK').split('\n'), [
      ...['email,name,link', 'nobody,x,', ',y,', '"two', 'lines",z,', 'ann@example.com,,LINK'],
      ...['bob@example.com,a,', 'cat@example.com,c,LINK', 'dan@example.com,"""open",'],
      ...['eve@example.com,"""shut"" but",', 'fay@example.com,f,LINK', '{{email}},g,', ''],
    ]);
  });

  it('shows twenty bad lines, and counts the others', async () => {
    const ran = await run(`email\n${'nobody\n'.repeat(25)}ann@example.com\n`);
    assert.equal(ran.code, 1);
    const said = ran.stderr.trimEnd().split('\n');
    assert.equal(said.length, 22);
    assert.deepEqual(said.slice(-2), [
      '… and 5 lines more.',
      '1 link of Acme News minted; 25 lines without one.',
    ]);
  });

  it('mints 50,000 lines in bounded time and memory', async () => {
    const folder = emptyFolder();
    const [file, output] = [path.join(folder, 'in.csv'), path.join(folder, 'out.csv')];
    const rows = (from: number) =>
      Array.from({ length: 50_000 }, (_, i) => `${i},person${from + i}@example.com,"${'x'.repeat(1000)}"\n`);
    writeFileSync(file, `id,email,note\n${rows(0).join('')}`);
    const start = Date.now();
    const ran = await signoff(
      { ...environmentOf(service.databaseUrl), NODE_OPTIONS: '--max-old-space-size=64' },
      ['links', 'mint', file, '--list', list.publicId, '--output', output],
    );
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(ran.stdout, '50,000 links of Acme News minted.\n');
    assert.ok(Date.now() - start < 60_000);
    const written = readFileSync(output, 'utf8').trimEnd().split('\n');
    assert.equal(written.length, 50_001);
    const lastLink = written.at(-1)?.split(',').at(-1) ?? '';
    assert.match(lastLink, linkPattern);
    assert.equal((await opened(lastLink))?.address, 'person49999@example.com');
  });
});
