import assert from 'node:assert/strict';
import { connect, type Db } from '../../src/db/connect.js';
import { migrate, migrationNames } from '../../src/db/migrate.js';
import { freshDatabaseUrl, type FreshDatabase } from '../support/engine.js';
import { tablesOf } from '../support/schema.js';

interface Column {
  readonly type: string;
  readonly maxLength: number | string | null;
  readonly nullable: boolean;
  readonly defaultValue: unknown;
}

type Tables = Record<string, Record<string, Column>>;

// While nodes are replaced one by one, those of the older version go on with the tables of the newer one.
describe('A version beside the next one', function () {
  this.timeout(60_000);
  let database: FreshDatabase;
  let db: Db;
  before(async () => {
    database = await freshDatabaseUrl();
    db = connect(database.url, { timeoutMs: 10_000, poolSize: 2 });
  });
  after(async () => {
    await db.destroy();
    await database.drop();
  });

  it('finds every table and column that it knows, as it knows it, and may leave out the new ones', async () => {
    let before: Tables = {};
    for (const [i, name] of migrationNames.entries()) {
      await migrate(db, undefined, migrationNames.slice(0, i + 1));
      const now = await tables();
      assert.deepEqual(faultsBetween(before, now), [], name);
      before = now;
    }
    assert.ok(Object.keys(before).length > 30);
  });

  it('would be told of a table that is gone, a column that is another, and one that must be given', () => {
    const text = { type: 'text', maxLength: null, nullable: false, defaultValue: null };
    const older: Tables = { lists: { name: text, state: text }, gone: {} };
    const newer: Tables = { lists: { name: { ...text, type: 'integer' }, added: text } };
    assert.deepEqual(faultsBetween(older, newer), [
      'lists.name is another',
      'lists.state is gone',
      'lists.added has to be given',
      'gone is gone',
    ]);
    const lax: Tables = { lists: { ...older.lists, added: { ...text, nullable: true } }, gone: {} };
    assert.deepEqual(faultsBetween(older, lax), []);
  });

  async function tables(): Promise<Tables> {
    const found: Tables = {};
    for (const table of await tablesOf(db)) {
      if (/^(migrations|sqlite)/.test(table)) continue;
      found[table] = await db(table).columnInfo();
    }
    return found;
  }
});

function faultsBetween(older: Tables, newer: Tables): string[] {
  return Object.entries(older).flatMap(([table, columns]) => {
    const now = newer[table];
    if (now === undefined) return [`${table} is gone`];
    const known = Object.entries(columns).flatMap(([name, column]) => {
      const found = now[name];
      if (found === undefined) return [`${table}.${name} is gone`];
      const isWider = found.nullable || !column.nullable;
      return found.type === column.type && isWider ? [] : [`${table}.${name} is another`];
    });
    const added = Object.entries(now)
      .filter(
        ([name, { nullable, defaultValue }]) => !(name in columns) && !nullable && defaultValue === null,
      )
      .map(([name]) => `${table}.${name} has to be given`);
    return [...known, ...added];
  });
}
