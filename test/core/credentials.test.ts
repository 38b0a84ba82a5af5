import assert from 'node:assert/strict';
import { rotateCredential } from '../../src/core/credential-rotation.js';
import { allowsList, createCredential, endCredential, getCredential } from '../../src/core/credentials.js';
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

  it('that has ended does not come back by being ended later', async () => {
    const { db } = database;
    const settings = { surface: 'mailgun', name: 'Shop', rights: ['read'] as const };
    const { credential } = await createCredential(db, 1, settings, { actor: 'test' });
    const ended = await endCredential(db, credential, { actor: 'test' });
    // As it was read before, too: somebody else may have ended it since.
    for (const one of [ended, credential]) {
      await assert.rejects(endCredential(db, one, { actor: 'test', afterMs: 60_000 }), { reason: 'ended' });
      await assert.rejects(rotateCredential(db, one, { actor: 'test', overlapMs: 60_000 }), {
        reason: 'ended',
      });
    }
    assert.equal((await getCredential(db, credential.id)).expiresAt, ended.expiresAt);
    assert.equal((await db('credentials').select('id')).length, 1, 'no new key is left of it');
  });

  it('that has lost its lists is not rotated into one for all of them', async () => {
    const { db } = database;
    const news = await createList(db, 1, { name: 'News' }, { actor: 'test' });
    const settings = { surface: 'mailgun', name: 'Shop', rights: ['read'] as const, lists: [news] };
    const { credential } = await createCredential(db, 1, settings, { actor: 'test' });
    await db('credential_lists').delete();
    const left = await getCredential(db, credential.id);
    await assert.rejects(rotateCredential(db, left, { actor: 'test', overlapMs: 0 }), /lost its lists/);
    assert.equal((await db('credentials').select('id')).length, 1);
  });
});
