import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { md5Of, sha256Of } from '../../src/core/address.js';
import { createList, type List } from '../../src/core/lists.js';
import { writeOptOuts } from '../../src/core/opt-out-writes.js';
import { compareRows, removeOptOuts, rowOf, type OptOutRecord } from '../../src/core/opt-outs.js';
import { addTags } from '../../src/core/tags.js';
import {
  migratedDatabase,
  optOutOf,
  plant,
  rowKinds,
  rowsOfList,
  type TestDatabase,
} from '../support/core.js';
import { emptyFolder, environmentOf, signoff } from './signoff.js';

const never = 4_000_000_000_000;
const hex = (octets: Buffer) => octets.toString('hex');

describe('signoff export', function () {
  this.timeout(120_000);
  let database: TestDatabase;
  let list: List;
  let cwd: string;
  before(async () => {
    database = await migratedDatabase();
    const { db } = database;
    list = await createList(db, 1, { name: 'Acme News' }, { actor: 'test' });
    await addTags(db, list.id, ['sale']);
    cwd = emptyFolder();
    const out = (email: string, more = {}) =>
      optOutOf(list.id, email, { recordedAt: 5_000_000_000_00, createdAt: 4_000_000_000_00, ...more });
    const optOuts = [
      out('ann@example.com', { reason: 'too many, "really"' }),
      out('ann@example.com', { tag: 'sale' }),
      out('bob@example.com', { expiresAt: never }),
      out('cyd@example.com', { expiresAt: 5_000_000_000_01 }),
      out('dan@example.com'),
      out('eve@bücher.example'),
      out('=cmd|x@example.com'),
    ];
    await writeOptOuts(db, optOuts.map(rowOf).sort(compareRows));
    await removeOptOuts(db, list.id, 'dan@example.com');
    const old = { created_at: 4_000_000_000_00, recorded_at: 5_000_000_000_00, last_at: 5_000_000_000_00 };
    const kinds = [
      rowKinds.md5Only('fay@example.com'),
      rowKinds.sha256Only('gus@example.com'),
      rowKinds.erased('hal@example.com'),
    ];
    await plant(
      db,
      list.id,
      kinds.map((kind) => ({ ...kind, ...old })),
    );
  });
  after(() => database.close());

  const run = (...args: string[]) => signoff(environmentOf(database.url), args, { cwd });
  const suppressing = async (listId: number) =>
    (await rowsOfList(database.db, listId))
      .filter(
        ({ removed_at, expires_at }: OptOutRecord) =>
          removed_at === null && (expires_at ?? never) > Date.now(),
      )
      .map((row) => [
        ...[hex(row.address_key), row.tag.toString(), row.address?.toString(), row.sha256 && hex(row.sha256)],
        ...[row.created_at, row.reason?.toString(), row.expires_at],
      ]);

  it('comes back by an import: the same people, tags, dates, reasons and hashes', async () => {
    const ran = await run('export', list.publicId, '--output', 'all.csv.gz', '--json');
    assert.equal(ran.code, 0, ran.stderr);
    assert.equal(ran.json<{ entries: number }>().entries, 8);
    assert.equal(statSync(path.join(cwd, 'all.csv.gz')).mode & 0o777, 0o600);
    const csv = gunzipSync(readFileSync(path.join(cwd, 'all.csv.gz'))).toString();
    assert.match(csv, /^email,md5,sha256,tag,created_at,recorded_at,source,reason,expires_at\n/);
    assert.match(
      csv,
      /\nann@example\.com,,,\*,1982-09-04T15:06:40\.000Z,1985-11-05T00:53:20\.000Z,server,"too many, ""really""",\n/,
    );

    const copy = await createList(database.db, 1, { name: 'Copy' }, { actor: 'test' });
    const back = await run('import', 'all.csv.gz', '--list', copy.publicId, '--add-tags');
    assert.deepEqual([back.code, back.stderr], [0, '']);
    assert.deepEqual(await suppressing(copy.id), await suppressing(list.id));
  });

  it('writes addresses or hashes, each once, and says what it cannot express', async () => {
    const plain = await run('export', list.publicId, '--format', 'plain');
    assert.deepEqual(plain.stdout.trimEnd().split('\n').sort(), [
      '=cmd|x@example.com',
      'ann@example.com',
      'bob@example.com',
      'eve@xn--bcher-kva.example',
    ]);
    assert.equal(plain.stderr, '3 opt-outs are not in it: this format cannot express them.\n');
    const people = ['=cmd|x@example.com', 'ann@example.com', 'bob@example.com', 'hal@example.com'];
    const forms = [...people, 'eve@xn--bcher-kva.example', 'eve@bücher.example'];
    const md5 = await run('export', list.publicId, '--format', 'md5');
    assert.deepEqual(
      md5.stdout.trimEnd().split('\n').sort(),
      [...forms, 'fay@example.com'].map((email) => hex(md5Of(email))).sort(),
    );
    const sha256 = await run('export', list.publicId, '--format', 'sha256');
    assert.deepEqual(
      sha256.stdout.trimEnd().split('\n').sort(),
      [...forms, 'gus@example.com'].map((email) => hex(sha256Of(email))).sort(),
    );
  });

  it('goes through more than one slice, with every row once', async () => {
    const big = await createList(database.db, 1, { name: 'Big' }, { actor: 'test' });
    const emails = Array.from({ length: 2345 }, (_, i) => `p${i}@example.com`);
    await plant(database.db, big.id, emails.map(rowKinds.plain));
    const ran = await run('export', big.publicId, '--format', 'plain');
    assert.deepEqual(ran.stdout.trimEnd().split('\n').sort(), emails.sort());
    const empty = await createList(database.db, 1, { name: 'Empty' }, { actor: 'test' });
    assert.deepEqual((await run('export', empty.publicId, '--format', 'md5')).stdout, '');
  });

  it('replaces no file unless it is told to, and is noted before its first octet', async () => {
    const args = ['export', list.publicId, '--format', 'md5', '--output', 'hashes.txt'];
    assert.match((await run(...args)).stdout, /^7 lines of Acme News exported\.\n$/);
    const again = await run(...args);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /hashes\.txt is there already: .*--force/);
    assert.equal((await run(...args, '--force')).code, 0);
    assert.ok(!existsSync(path.join(cwd, 'hashes.txt.part')));
    const history = (await database
      .db('history')
      .where({ list_id: list.id })
      .whereIn('action', ['list.export-started', 'list.exported'])
      .orderBy('id', 'desc')
      .limit(3)
      .pluck('action')) as string[];
    assert.deepEqual(history, ['list.exported', 'list.export-started', 'list.export-started']);
  });
});
