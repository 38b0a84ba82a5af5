import assert from 'node:assert/strict';
import {
  editAccount,
  getAccountSettings,
  getZipEncryption,
  type AccountEdits,
} from '../../src/core/account-settings.js';
import { createAccount, getAccount } from '../../src/core/accounts.js';
import { audit, type Breach } from '../../src/core/audit.js';
import type { Db } from '../../src/db/connect.js';
import { Invalid, Refused } from '../../src/errors.js';
import { migratedDatabase, type TestDatabase } from '../support/core.js';

const secret = 'a secret of at least 32 characters';
const password = 'correct horse';

describe("An account's settings", () => {
  let test: TestDatabase;
  let db: Db;
  beforeEach(async () => {
    test = await migratedDatabase();
    db = test.db;
    await db('leases').update({ fencing: 1 });
  });
  afterEach(() => test.close());

  const edit = async (edits: AccountEdits, id = 1) =>
    editAccount(db, secret, await getAccount(db, id), edits, { actor: 'test' });
  const stored = () => db<{ id: number; zip_password: Buffer | null }>('accounts').where({ id: 1 }).first();

  it('are none at first', async () => {
    assert.deepEqual(await getAccountSettings(db, 1), {
      ...{ timeZone: null, zipCipher: 'aes-256', hasZipPassword: false },
    });
    assert.equal(await getZipEncryption(db, secret, 1), null);
  });

  it('stay as they are unless they are given', async () => {
    await edit({ timeZone: 'Europe/Berlin', zipPassword: password });
    await edit({ zipCipher: 'zipcrypto' });
    assert.deepEqual(await edit({}), {
      ...{ timeZone: 'Europe/Berlin', zipCipher: 'zipcrypto', hasZipPassword: true },
    });
    assert.deepEqual(await getZipEncryption(db, secret, 1), { password, cipher: 'zipcrypto' });
    await edit({ timeZone: null, zipPassword: null });
    const { timeZone, hasZipPassword } = await getAccountSettings(db, 1);
    assert.deepEqual([timeZone, hasZipPassword], [null, false]);
    assert.equal(await getZipEncryption(db, secret, 1), null);
  });

  it('keep a password where nobody reads it who has the database alone', async () => {
    await edit({ zipPassword: password });
    const first = (await stored())?.zip_password;
    assert.ok(first != null && !first.includes('correct') && !first.includes('horse'));
    await edit({ zipPassword: password });
    assert.notDeepEqual((await stored())?.zip_password, first, 'the same is not seen to be the same');
    const noted = await db<{ action: string; details: string }>('history').where({
      action: 'account.edited',
    });
    assert.equal(noted.length, 2);
    assert.deepEqual(JSON.parse(noted[0]?.details ?? ''), { zip_password: 'set' });
  });

  it('do not give out a password that was sealed otherwise, and no ZIP without one', async () => {
    await edit({ zipPassword: password });
    const refused = (error: unknown) => error instanceof Refused && error.reason === 'zip-password';
    await assert.rejects(getZipEncryption(db, 'another secret of at least 32 chars', 1), refused);
    const other = await createAccount(db, 'Other');
    const row = await stored();
    await db('accounts').where({ id: other.id }).update({ zip_password: row?.zip_password });
    await assert.rejects(getZipEncryption(db, secret, other.id), refused);
    const changed = Buffer.from(row?.zip_password ?? '');
    changed[20] = (changed[20] ?? 0) ^ 1;
    await db('accounts').where({ id: 1 }).update({ zip_password: changed });
    await assert.rejects(getZipEncryption(db, secret, 1), refused);
    await db('accounts')
      .where({ id: 1 })
      .update({ zip_password: Buffer.alloc(0) });
    await assert.rejects(getZipEncryption(db, secret, 1), refused);
  });

  const wrong: [edits: AccountEdits, field: string, problem: string][] = [
    [{ zipPassword: 'seven 7' }, 'zipPassword', 'length'],
    [{ zipPassword: '' }, 'zipPassword', 'length'],
    [{ zipPassword: 'x'.repeat(129) }, 'zipPassword', 'length'],
    [{ zipPassword: 'passwörd' }, 'zipPassword', 'malformed'],
    [{ zipPassword: 'pass\tword' }, 'zipPassword', 'malformed'],
    [{ zipPassword: 'password ' }, 'zipPassword', 'malformed'],
    [{ zipCipher: 'rot13' }, 'zipCipher', 'unknown'],
    [{ timeZone: 'Berlin' }, 'timeZone', 'unknown'],
  ];
  for (const [edits, field, problem] of wrong) {
    it(`refuse ${JSON.stringify(edits).slice(0, 60)}, and change nothing with it`, async () => {
      await assert.rejects(
        edit({ timeZone: 'UTC', ...edits }),
        (error) => error instanceof Invalid && error.field === field && error.problem === problem,
      );
      assert.equal((await getAccountSettings(db, 1)).timeZone, null);
    });
  }

  it('pass the audit as they are stored, and nothing else does', async () => {
    const breaches = async () => {
      const found: Breach[] = [];
      for await (const breach of audit(db)) found.push(breach);
      return found;
    };
    for (const zipPassword of ['x'.repeat(8), 'x'.repeat(128)]) {
      await edit({ timeZone: 'Asia/Tokyo', zipCipher: 'zipcrypto', zipPassword });
      assert.deepEqual(await breaches(), []);
    }
    await db('accounts')
      .where({ id: 1 })
      .update({
        ...{ time_zone: 'Berlin', zip_cipher: 'rot13', zip_password: Buffer.from('correct horse') },
      });
    assert.deepEqual(
      (await breaches()).map(({ code, table, description }) => [code, table, description]),
      [
        'time_zone is no time zone',
        'zip_cipher is none of those that there are',
        'zip_password is no password that was sealed',
      ].map((what) => ['settings', 'accounts', `account 1: ${what}`]),
    );
  });
});
