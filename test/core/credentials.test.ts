import assert from 'node:assert/strict';
import { allowsList, createCredential, getCredential } from '../../src/core/credentials.js';
import { createList } from '../../src/core/lists.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

describe('A credential', () => {
  let database: TestDatabase;
  beforeEach(async () => {
    database = await migratedDatabase();
  });
  afterEach(() => database.close());

  it('for some lists is for none, not for all, where the database has lost which', async () => {
    const { db } = database;
    const [news, offers] = [
      await createList(db, 1, { name: 'News' }, { actor: 'test' }),
      await createList(db, 1, { name: 'Offers' }, { actor: 'test' }),
    ];
    const made = async (more = {}) => {
      const settings = { surface: 'mailgun', name: 'Shop', rights: ['read'] as const, ...more };
      return (await createCredential(db, 1, settings, { actor: 'test' })).credential;
    };
    const some = await made({ lists: [news] });
    const all = await made();
    assert.deepEqual([allowsList(some, news), allowsList(some, offers)], [true, false]);
    assert.deepEqual([allowsList(all, news), allowsList(all, offers)], [true, true]);

    await db('credential_lists').delete();
    const left = await getCredential(db, some.id);
    assert.deepEqual([allowsList(left, news), allowsList(left, offers)], [false, false]);
    assert.equal((await getCredential(db, all.id)).listIds, null);
  });
});
