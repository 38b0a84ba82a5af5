import assert from 'node:assert/strict';
import { createAccount, getAccount } from '../../src/core/accounts.js';
import { createFirstAdmin, createSetUpLink } from '../../src/core/first-admin.js';
import { createLink, findLink, useLink } from '../../src/core/one-time-links.js';
import { hashPassword, isPassword } from '../../src/core/passwords.js';
import { createRecoveryCodes, takeRecoveryCode } from '../../src/core/recovery-codes.js';
import { createSession, findSession } from '../../src/core/sessions.js';
import { endUser, reviveUser } from '../../src/core/user-ends.js';
import { checkChosen, setPassword, stillStands, storePassword } from '../../src/core/user-passwords.js';
import { createUser, editUser, getUser, listAdmins, type User } from '../../src/core/users.js';
import type { Db } from '../../src/db/connect.js';
import { retrying } from '../../src/db/connect.js';
import { Invalid, type Refused } from '../../src/errors.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

const actor = 'test';
const secret = 'a secret of at least 32 characters';
const password = 'correct horse battery staple';

describe('Users', function () {
  this.timeout(60_000);
  let database: TestDatabase;
  let db: Db;
  let another: Db;
  let made = 0;
  before(async () => {
    database = await migratedDatabase();
    db = database.db;
    another = database.another();
  });
  after(() => database.close());

  const changing = <T>(on: Db, work: (trx: Db) => Promise<T>) =>
    retrying(on, 5000, () => on.transaction((trx) => work(trx)));
  async function owner(accountId = 1, hasPassword = true): Promise<User> {
    const account = await getAccount(db, accountId);
    const email = `olive${++made}@example.com`;
    const user = await createUser(db, { role: 'owner', account }, { email, name: 'Olive' }, { actor });
    if (hasPassword) await setPassword(db, user, password, { actor });
    return getUser(db, user.id);
  }

  it('are known by one address each, in any spelling, also where two take it at once', async () => {
    const account = await getAccount(db, 1);
    const create = (on: Db, email: string) =>
      changing(on, (trx) => createUser(trx, { role: 'owner', account }, { email, name: 'Ann' }, { actor }));
    const all = await Promise.allSettled([
      create(db, 'same@example.com'),
      create(another, 'SAME@Example.com'),
      create(db, 'mailto:same@example.com'),
    ]);
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const one of all) {
      if (one.status === 'rejected') assert.equal((one.reason as Invalid).problem, 'taken');
    }
    const other = await owner();
    await assert.rejects(editUser(db, other, { email: 'Same@example.com' }, { actor }), { problem: 'taken' });
  });

  it('choose passwords of up to 200 characters, and get in with them', async () => {
    for (const long of [
      '\u{1F600}\u{1F680}\u{1F40C}\u{1F409}'.repeat(50),
      'e\u0301'.repeat(100) + 'abcdefgh'.repeat(10),
    ]) {
      const hash = await hashPassword(checkChosen(long, { email: 'ann@example.com', name: 'Ann' }));
      assert.equal(await isPassword(hash, long), true);
      assert.equal(await isPassword(hash, long.normalize('NFC')), true);
      assert.equal(await isPassword(hash, `${long}x`), false);
    }
    assert.equal(await isPassword(null, password), false);
    const refused = [
      'short',
      'x'.repeat(201),
      'aaaaaaaaaaaaaa',
      'password1234',
      'ann@example.com',
      'olive-oyl-123',
      'qwertyuiop12',
    ];
    for (const one of refused) {
      assert.throws(() => checkChosen(one, { email: 'ann@example.com', name: 'Olive-Oyl' }), Invalid, one);
    }
  });

  it('are signed out, and their links are dead, once their password is another one', async () => {
    const user = await owner();
    const token = await createSession(db, user, { ip: null, browser: '' });
    const link = await createLink(db, 'password', user);
    await setPassword(db, user, 'another one, quite as long', { actor });
    assert.equal(await findSession(db, token), null);
    assert.equal(await findLink(db, 'password', link), null);
  });

  it('have no session from before the password was changed, whoever signs in at that moment', async () => {
    for (let i = 0; i < 10; i++) {
      const user = await owner();
      const hash = await hashPassword('another one, quite as long');
      const signIn = (on: Db) =>
        changing(on, async (trx) => {
          if (!(await stillStands(trx, user))) return null;
          return createSession(trx, user, { ip: null, browser: '' });
        });
      const [, ...tokens] = await Promise.all([
        changing(db, (trx) => storePassword(trx, user, hash, { actor })),
        ...[db, another, db, another].map(signIn),
      ]);
      for (const token of tokens) assert.ok(token === null || (await findSession(db, token)) === null);
      assert.equal(await signIn(db), null, 'the password that was shown is the old one');
    }
  });

  it('are not let in by a password alone that was shown as codes were switched on, or the address changed', async () => {
    const user = await owner();
    await db('users')
      .where({ id: user.id })
      .update({ totp_secret: Buffer.from('sealed') });
    assert.equal(await db.transaction((trx) => stillStands(trx, user)), false);
    const now = await getUser(db, user.id);
    assert.equal(await db.transaction((trx) => stillStands(trx, now)), true);
    await editUser(db, now, { email: `new.${now.email}` }, { actor });
    assert.equal(await db.transaction((trx) => stillStands(trx, now)), false);
  });

  it('use a link once, however many come at the same time', async () => {
    const user = await owner(1, false);
    const link = await createLink(db, 'invitation', user);
    const used = await Promise.all(
      [db, another, db, another].map((on) => changing(on, (trx) => useLink(trx, 'invitation', link))),
    );
    assert.equal(used.filter(Boolean).length, 1);
    assert.equal(await findLink(db, 'password', link), null);
  });

  it('have a link that is used for its own purpose alone, and in time', async () => {
    const user = await owner(1, false);
    const link = await createLink(db, 'invitation', user);
    assert.equal(await changing(db, (trx) => useLink(trx, 'password', link)), false);
    const late = await createLink(db, 'invitation', user, { forMs: -1 });
    assert.equal(await findLink(db, 'invitation', late), null);
    assert.equal(await changing(db, (trx) => useLink(trx, 'invitation', late)), false);
    assert.notEqual(await findLink(db, 'invitation', link), null);
    await editUser(db, user, { email: 'elsewhere@example.com' }, { actor });
    assert.equal(await findLink(db, 'invitation', link), null, 'it was sent to the address of before');
  });

  it('keep a link that was handed on, however many mails strangers ask for', async () => {
    const user = await owner();
    const handedOn = await createLink(db, 'handed-on', user);
    const mailed = await createLink(db, 'password', user);
    for (let i = 0; i < 6; i++) await createLink(db, 'password', user);
    assert.equal(await findLink(db, 'password', mailed), null, 'only the last few of these stand');
    assert.notEqual(await findLink(db, 'handed-on', handedOn), null);
    await setPassword(db, user, 'another one, quite as long', { actor });
    assert.equal(await findLink(db, 'handed-on', handedOn), null);
  });

  it('use a recovery code once, however many come at the same time', async () => {
    const user = await owner();
    const codes = await createRecoveryCodes(db, secret, user);
    assert.equal(new Set(codes).size, 8);
    const [first = '', second = ''] = codes;
    const take = (on: Db, code: string) => changing(on, (trx) => takeRecoveryCode(trx, secret, user, code));
    const taken = await Promise.all([db, another, db, another].map((on) => take(on, first)));
    assert.equal(taken.filter(Boolean).length, 1);
    assert.equal(await take(db, first), false);
    const stranger = await owner();
    assert.equal(await changing(db, (trx) => takeRecoveryCode(trx, secret, stranger, second)), false);
    assert.equal(await changing(db, (trx) => takeRecoveryCode(trx, `${secret}!`, user, second)), false);
    const kept = JSON.stringify(await db('recovery_codes'));
    for (const code of codes) assert.ok(!kept.includes(code));
    await createRecoveryCodes(db, secret, user);
    assert.equal(await take(db, second), false, 'those of before are gone');
  });

  it('do not end themselves, or the last owner who can sign in; of two who end each other, one stays', async () => {
    const { id } = await createAccount(db, 'Two owners');
    const [one, two] = [await owner(id), await owner(id)];
    const invited = await owner(id, false);
    await assert.rejects(endUser(db, one, { actor, by: one }), { reason: 'end-self' });
    const ended = await Promise.allSettled([
      changing(db, (trx) => endUser(trx, one, { actor, by: two })),
      changing(another, (trx) => endUser(trx, two, { actor, by: one })),
    ]);
    assert.equal(ended.filter(({ status }) => status === 'fulfilled').length, 1);
    const refused = ended.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    assert.equal((refused.reason as Refused).reason, 'last-owner');
    await endUser(db, invited, { actor });
    assert.notEqual(
      (await getUser(db, invited.id)).endedAt,
      null,
      'somebody who is only invited may be ended',
    );
    const [left] = [await getUser(db, one.id), await getUser(db, two.id)].filter(
      ({ endedAt }) => endedAt === null,
    );
    assert.ok(left !== undefined);
    await endUser(db, left, { actor, evenLast: true });
  });

  it('come back from their end with nothing of before', async () => {
    const { id } = await createAccount(db, 'Revived');
    const user = await owner(id);
    await createRecoveryCodes(db, secret, user);
    await endUser(db, user, { actor, evenLast: true });
    const revived = await reviveUser(db, await getUser(db, user.id), { actor });
    assert.equal(revived.hasPassword, false);
    assert.equal((await db('recovery_codes').where({ user_id: user.id })).length, 0);
    assert.equal(await db.transaction((trx) => stillStands(trx, user)), false);
    await assert.rejects(reviveUser(db, revived, { actor }), { reason: 'not-ended' });
  });

  it('begin with one admin, however many set-up links are used at once', async () => {
    const links = [await createSetUpLink(db), await createSetUpLink(db)].map((link) => link ?? '');
    assert.ok(links.every((link) => link.length === 43));
    const passwordHash = await hashPassword(password);
    const tries = [0, 1, 0, 1].map((which, i) =>
      changing(i < 2 ? db : another, (trx) =>
        createFirstAdmin(trx, links[which] ?? '', {
          email: `ada${i}@example.com`,
          name: 'Ada',
          passwordHash,
        }),
      ),
    );
    const admins = (await Promise.all(tries)).filter((admin) => admin !== null);
    assert.equal(admins.length, 1);
    assert.equal((await listAdmins(db)).length, 1);
    assert.equal(await createSetUpLink(db), null);
    for (const link of links) assert.equal(await findLink(db, 'set-up', link), null);
    // Printed by a process that started at the very moment.
    const late = await createLink(db, 'set-up', null);
    const eve = { email: 'eve@example.com', name: 'Eve', passwordHash };
    assert.equal(await changing(db, (trx) => createFirstAdmin(trx, late, eve)), null);
    const [admin] = admins;
    assert.ok(admin !== undefined && admin !== null);
    await assert.rejects(endUser(db, admin, { actor }), { reason: 'last-admin' });
  });
});
