import assert from 'node:assert/strict';
import { readAddressLines, type AddressLine } from '../../src/cli/address-lines.js';
import { createList } from '../../src/core/lists.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { environmentOf, signoff } from './signoff.js';

async function read(...chunks: (string | Buffer)[]): Promise<AddressLine[][]> {
  const batches: AddressLine[][] = [];
  const input = (async function* () {
    await Promise.resolve();
    yield* chunks;
  })();
  for await (const batch of readAddressLines(input)) batches.push(batch);
  return batches;
}

const told = (batches: AddressLine[][]) =>
  batches.flat().map(({ line, result }) => [line, result.ok ? result.address.normalised : result.problem]);

describe('Addresses, a line each', () => {
  it('are read with their line numbers, whatever ends a line; blank lines count and are passed over', async () => {
    assert.deepEqual(told(await read('a@b.example\n\n  c@d.example \r\ne@f.example\rg@h.example')), [
      [1, 'a@b.example'],
      [3, 'c@d.example'],
      [4, 'e@f.example'],
      [5, 'g@h.example'],
    ]);
    assert.deepEqual(await read(''), []);
    assert.deepEqual(told(await read('a@b.example\r\n')), [[1, 'a@b.example']]);
  });

  it('may be cut anywhere by the chunks they come in', async () => {
    const text = Buffer.from('\uFEFFann@bücher.example\r\nbob@example.com\r\n\r\ncyd@example.com');
    const whole = told(await read(text));
    assert.deepEqual(whole, [
      [1, 'ann@xn--bcher-kva.example'],
      [2, 'bob@example.com'],
      [4, 'cyd@example.com'],
    ]);
    for (let cut = 0; cut <= text.length; cut++) {
      assert.deepEqual(told(await read(text.subarray(0, cut), text.subarray(cut))), whole, String(cut));
    }
    assert.deepEqual(told(await read(...Array.from(text, (octet) => Buffer.from([octet])))), whole);
  });

  it('are refused where they are none, each with its reason', async () => {
    assert.deepEqual(told(await read('ann\nann@\n{{email}}\n', Buffer.from([0xff, 0x40, 0x61]))), [
      [1, 'no-at'],
      [2, 'bad-domain'],
      [3, 'merge-tag'],
      [4, 'control-character'],
    ]);
  });

  it('come in batches of 1,000, and take no more memory for a line without an end', async () => {
    const batches = await read(Array.from({ length: 2500 }, (_, i) => `p${i}@example.com\n`).join(''));
    assert.deepEqual(
      batches.map((batch) => batch.length),
      [1000, 1000, 500],
    );
    const chunk = 'x'.repeat(1024 * 1024);
    const endless = Array.from({ length: 200 }, () => chunk);
    const before = process.memoryUsage().heapUsed;
    assert.deepEqual(told(await read(...endless, '\nann@example.com')), [
      [1, 'too-long'],
      [2, 'ann@example.com'],
    ]);
    assert.ok(process.memoryUsage().heapUsed - before < 50 * 1024 * 1024);
  });
});

describe('signoff opt-out add LIST - and check LIST -', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  let listId: string;
  before(async () => {
    database = await migratedDatabase();
    listId = (await createList(database.db, 1, { name: 'Acme News' }, { actor: 'test' })).publicId;
  });
  after(() => database.close());

  const run = (input: string, ...args: string[]) => signoff(environmentOf(database.url), args, { input });
  const people = Array.from({ length: 2200 }, (_, i) => `person${i}@example.com`);

  it('records all that are addresses, and tells the others by their line', async () => {
    const lines = [
      ...people.slice(0, 1100),
      'nobody',
      ...people.slice(1100),
      'ann@example.com, bob@example.com',
    ];
    const ran = await run(lines.join('\n'), 'opt-out', 'add', listId, '-', '--json');
    assert.equal(ran.code, 1);
    assert.equal(
      ran.stderr,
      'line 1101: the address has no @\nline 2202: what stands before the @ is not possible there\n',
    );
    assert.deepEqual(ran.json(), { list: listId, tag: '*', recorded: 2200, refused: 2 });
    const rows = await rowsOfList(database.db, 1);
    assert.equal(rows.length, 2200);
    assert.deepEqual([...new Set(rows.map((row) => row.source))], ['console']);
  });

  it('ends with 0 where every line was recorded, again or anew', async () => {
    const ran = await run(`${people[0]}\nann@example.com\n`, 'opt-out', 'add', listId, '-');
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    assert.equal(ran.stdout, '2 opt-outs of Acme News recorded.\n');
    assert.equal((await rowsOfList(database.db, 1)).length, 2201);
  });

  it('answers each line in its place', async () => {
    const ran = await run(
      [...people.slice(0, 1500), 'zoe@example.com'].join('\n'),
      ...['opt-out', 'check', listId, '-'],
    );
    assert.deepEqual([ran.code, ran.stderr], [0, '']);
    const answers = ran.stdout.trimEnd().split('\n');
    assert.equal(answers.length, 1501);
    assert.equal(answers[1499], 'person1499@example.com\tsuppressed');
    assert.equal(answers[1500], 'zoe@example.com\tnot suppressed');
  });

  it('answers in JSON, an object a line, and with an exit code of its own where asked', async () => {
    const ran = await run(
      'zoe@example.com\nAnn@example.com\n',
      'opt-out',
      'check',
      listId,
      '-',
      '--json',
      '--exit-code',
    );
    assert.equal(ran.code, 3);
    assert.deepEqual(
      ran.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      [
        { line: 1, address: 'zoe@example.com', suppressed: false, on_global_list: false },
        { line: 2, address: 'ann@example.com', suppressed: true, on_global_list: false },
      ],
    );
    const bad = await run('Ann@example.com\nnobody', 'opt-out', 'check', listId, '-', '--exit-code');
    assert.equal(bad.code, 1);
    assert.equal((await run('zoe@example.com', 'opt-out', 'check', listId, '-', '--exit-code')).code, 0);
  });
});
