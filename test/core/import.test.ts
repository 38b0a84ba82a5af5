import assert from 'node:assert/strict';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { noteErased } from '../../src/core/erased-people.js';
import type { ImportOptions, ImportStep, Record } from '../../src/core/import-batch.js';
import { importOptOuts, type ImportEnd } from '../../src/core/import.js';
import { createList, getListById, type List } from '../../src/core/lists.js';
import { removeOptOuts } from '../../src/core/opt-outs.js';
import { createRecorder, type Recorder } from '../../src/core/recorder.js';
import { isSuppressed } from '../../src/core/suppressed.js';
import { addTags } from '../../src/core/tags.js';
import { migratedDatabase, rowsOfList, type TestDatabase } from '../support/core.js';
import { startFragileService } from '../support/faults.js';
import { makeList } from '../support/service.js';

const options: ImportOptions = {
  ...{ format: 'auto', column: null, tagColumn: null, dateColumn: null, reasonColumn: null },
  ...{ tag: '*', addsTags: false, fromLine: 1, patienceMs: 0, actor: 'test' },
} as const;

async function* octetsOf(text: string): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield Buffer.from(text);
}

describe('An import', () => {
  let test: TestDatabase;
  let recorder: Recorder;
  let list: List;
  before(async () => {
    test = await migratedDatabase();
    recorder = createRecorder(test.db, { queueRows: 20_000, timeoutMs: 5000, onCommit: () => undefined });
  });
  after(() => test.close());
  beforeEach(async () => {
    list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
    await addTags(test.db, list.id, ['sale']);
    list = await getListById(test.db, list.id);
  });

  async function run(
    text: string,
    more: Partial<ImportOptions> = {},
    record: Record | null = (optOuts) => recorder.record(optOuts),
  ) {
    const steps: ImportStep[] = [];
    const generator = importOptOuts(test.db, list, octetsOf(text), { ...options, ...more }, record);
    for (let step = await generator.next(); ; step = await generator.next()) {
      if (step.done) return { steps, end: step.value satisfies ImportEnd };
      steps.push(step.value);
    }
  }
  const rows = () => rowsOfList(test.db, list.id);
  const only = async () => {
    const [row, ...others] = await rows();
    assert.ok(row !== undefined && others.length === 0);
    return row;
  };

  it('records addresses and hashes, with the time at which they left, as vouched for', async () => {
    await run('email,created_at,reason\nAnn@Example.com,2024-05-01,too many\n');
    const row = await only();
    assert.deepEqual(
      [row.address?.toString(), row.given?.toString(), row.tag.toString(), row.source, row.vouched],
      ['ann@example.com', 'Ann@Example.com', '*', 'import', 1],
    );
    assert.deepEqual([row.created_at, row.reason?.toString()], [Date.UTC(2024, 4, 1), 'too many']);
    assert.ok(Math.abs(row.recorded_at - Date.now()) < 60_000);
    await run(
      `${md5Of('bob@example.com').toString('hex')}\n${sha256Of('cyd@example.com').toString('hex')}\n`,
    );
    for (const email of ['bob@example.com', 'cyd@example.com']) {
      assert.equal(await isSuppressed(test.db, list.id, email), true, email);
    }
  });

  it('loses nobody over a date, and never has anybody leave after it was told', async () => {
    const text = 'email,date\nann@example.com,31/12/2023\nbob@example.com,2999-01-01\ncyd@example.com,\n';
    const { steps } = await run(text);
    const now = Date.now();
    assert.deepEqual(
      steps.flatMap(({ warnings }) => warnings.map(({ line, problem }) => `${line} ${problem}`)),
      ['2 date', '3 future'],
    );
    for (const row of await rows()) {
      assert.ok(row.created_at === row.recorded_at && Math.abs(row.recorded_at - now) < 60_000);
    }
    assert.equal((await rows()).length, 3);
  });

  it('takes a tag that the list does not know as all of its mail, unless it is to be added', async () => {
    const text = 'email,tag\nann@example.com,sale\nbob@example.com,other\ncyd@example.com,\n';
    const tags = async (): Promise<unknown> =>
      Object.fromEntries((await rows()).map((row) => [String(row.address)[0], row.tag.toString()]));
    const { steps } = await run(text, { tag: 'sale' });
    assert.deepEqual(await tags(), { a: 'sale', b: '*', c: 'sale' });
    assert.deepEqual(steps[0]?.warnings, [{ line: 3, problem: 'tag', text: 'other' }]);
    await test.db('opt_outs').where({ list_id: list.id }).delete();
    assert.deepEqual((await run(text, { addsTags: true })).steps[0]?.warnings, []);
    assert.deepEqual(await tags(), { a: 'sale', b: 'other', c: '*' });
    assert.ok((await getListById(test.db, list.id)).tags.has('other'));
  });

  it('adds no tag that stands in a row whose fields have shifted, or that cannot be one', async () => {
    const text = `email,name,tag\nann@example.com,Doe, Ann,\nbob@example.com,Bob,${'x'.repeat(200)}\n`;
    await run(text, { addsTags: true });
    assert.deepEqual(
      (await rows()).map((row) => row.tag.toString()),
      ['*', '*'],
    );
    assert.deepEqual([...(await getListById(test.db, list.id)).tags], ['sale']);
  });

  it('may come again: nothing changes but when it was last heard of', async () => {
    const text = 'ann@example.com\nbob@example.com\n';
    await run(text);
    const before = await rows();
    await run(text);
    assert.deepEqual(
      (await rows()).map((row) => ({ ...row, last_at: 0 })),
      before.map((row) => ({ ...row, last_at: 0 })),
    );
    await removeOptOuts(test.db, list.id, 'ann@example.com');
    await run(text);
    assert.equal(await isSuppressed(test.db, list.id, 'ann@example.com'), true);
  });

  it('brings nobody back whom the account has erased, on any of its lists', async () => {
    for (const email of ['ann@example.com', 'eve@xn--bcher-kva.example', 'bob@example.com']) {
      await noteErased(test.db, 1, email, 1000);
    }
    try {
      const bob = md5Of('bob@example.com');
      await run(
        `email,reason\nAnn@example.com,Ann says no\neve@bücher.example,\n${bob.toString('hex')},\ncyd@example.com,\n`,
      );
      const found = await rows();
      assert.deepEqual(
        found.flatMap((row) => row.address?.toString() ?? []),
        ['cyd@example.com'],
      );
      const erased = found.filter((row) => row.address === null);
      assert.equal(erased.length, 4, 'both forms of an internationalised domain');
      const hashes = [
        'ann@example.com',
        'eve@xn--bcher-kva.example',
        'eve@bücher.example',
        'bob@example.com',
      ].map((form) => `${md5Of(form).toString('hex')} ${sha256Of(form).toString('hex')}`);
      assert.deepEqual(
        erased.map((row) => `${row.address_key.toString('hex')} ${row.sha256?.toString('hex')}`).sort(),
        hashes.sort(),
      );
      assert.ok(erased.every((row) => row.reason === null && row.given === null));
      assert.equal(await isSuppressed(test.db, list.id, 'ann@example.com'), true);
    } finally {
      await test.db('erased_people').delete();
    }
  });

  it('goes step by step: each says to which line all is committed', async () => {
    const lines = Array.from({ length: 2500 }, (_, i) => (i % 100 === 7 ? 'nobody' : `p${i}@example.com`));
    const { steps, end } = await run(lines.join('\n'));
    assert.equal(end.lines, 2500);
    assert.deepEqual(
      steps.map(({ line }) => line),
      steps.map(({ line }) => line).toSorted((a, b) => a - b),
    );
    assert.equal(steps.at(-1)?.line, 2500);
    assert.equal(
      steps.reduce((sum, { taken }) => sum + taken, 0),
      2475,
    );
    assert.equal(steps.flatMap(({ refusals }) => refusals).length, 25);
    assert.equal((await rows()).length, 2475);
  });

  it('goes on with a line, and passes over those before it', async () => {
    const text = 'email,note\nann@example.com,"a\nb"\nbob@example.com,\ncyd@example.com,\n';
    const { steps } = await run(text, { fromLine: 4 });
    assert.deepEqual((await rows()).map((row) => String(row.address)).sort(), [
      'bob@example.com',
      'cyd@example.com',
    ]);
    assert.equal(steps[0]?.taken, 2);
  });

  it('records nothing where it only looks', async () => {
    const { steps } = await run('email,tag\nann@example.com,new\nnobody,\n', { addsTags: true }, null);
    assert.deepEqual([steps[0]?.taken, steps[0]?.refusals.length], [1, 1]);
    assert.deepEqual(await rows(), []);
    assert.deepEqual([...(await getListById(test.db, list.id)).tags], ['sale']);
  });

  it('finds the row that the database does not take, and records the others', async () => {
    const lines = Array.from({ length: 300 }, (_, i) => `p${i}@example.com`);
    const record: Record = async (optOuts) => {
      // Longer than the column, which MySQL refuses and SQLite does not hold anybody to.
      if (optOuts.some((one) => 'address' in one && one.address.normalised === 'p77@example.com')) {
        throw new Error('Data too long for column');
      }
      await recorder.record(optOuts);
    };
    const { steps } = await run(lines.join('\n'), {}, record);
    assert.deepEqual(
      steps.flatMap(({ refusals }) => refusals.map(({ line, problem }) => `${line} ${problem}`)),
      ['78 not-taken'],
    );
    assert.equal((await rows()).length, 299);
    const none: Record = () => Promise.reject(new Error('no such table'));
    await assert.rejects(run(lines.join('\n'), {}, none), /no such table/);
  });
});

describe('An import whose database goes away', () => {
  it('ends, knows to which line all is committed, and goes on from there', async function () {
    this.timeout(60_000);
    const service = await startFragileService({ DATABASE_TIMEOUT_MS: '4000' });
    try {
      const list = await makeList(service);
      const { db, recorder } = service.deps;
      const lines = Array.from({ length: 20_000 }, (_, i) => `p${i}@example.com`);
      let done = 0;
      let mend: (() => Promise<void>) | null = null;
      const go = async (fromLine: number) => {
        const input = octetsOf(lines.join('\n'));
        const record = recorder.record.bind(recorder);
        for await (const { line } of importOptOuts(db, list, input, { ...options, fromLine }, record)) {
          done = line;
          if (line >= 5000 && mend === null) mend = await service.loseDatabase();
        }
      };
      await assert.rejects(go(1));
      assert.ok(done >= 5000 && done < 20_000, String(done));
      await (mend as unknown as () => Promise<void>)();
      const addresses = async () => (await db('opt_outs').pluck<Buffer[]>('address')).map(String);
      const recorded = new Set(await addresses());
      const missing = lines.slice(0, done).filter((email) => !recorded.has(email));
      assert.deepEqual(missing, [], 'said to be recorded');
      await go(done + 1);
      assert.equal((await addresses()).length, 20_000);
    } finally {
      await service.close();
    }
  });

  it('waits for one that is back within its patience', async () => {
    const test = await migratedDatabase();
    try {
      const list = await createList(test.db, 1, { name: 'Acme News' }, { actor: 'test' });
      const recorder = createRecorder(test.db, {
        queueRows: 20_000,
        timeoutMs: 5000,
        onCommit: () => undefined,
      });
      const { Unavailable } = await import('../../src/errors.js');
      let failures = 3;
      const record: Record = async (optOuts) => {
        if (failures-- > 0) throw new Unavailable('the database does not answer');
        await recorder.record(optOuts);
      };
      const input = octetsOf('ann@example.com\n');
      let taken = 0;
      const patient = { ...options, patienceMs: 5000 };
      for await (const step of importOptOuts(test.db, list, input, patient, record)) taken += step.taken;
      assert.deepEqual([taken, failures], [1, -1]);
    } finally {
      await test.close();
    }
  });
});
