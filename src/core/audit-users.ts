import type { Db } from '../db/connect.js';
import { parseAddress } from './address.js';
import type { Breach } from './audit.js';
import { sliceRows } from './audit-slices.js';
import { sessionMs } from './sessions.js';
import { isConsoleLanguage, roles, type UserRow } from './users.js';

interface AuditedUser extends UserRow {
  mailer_account_id: number | null;
}

/**
 * Users are of what their role says, are found by the address that they type, and sign in with hashes; nobody who
 * was ended has a session, and none lasts longer than it may.
 */
export async function* auditUsers(db: Db): AsyncGenerator<Breach> {
  for (let after = 0; ;) {
    const rows: AuditedUser[] = await db('users')
      .leftJoin('mailers', 'mailers.id', 'users.mailer_id')
      .where('users.id', '>', after)
      .orderBy('users.id')
      .limit(sliceRows)
      .select('users.*', 'mailers.account_id as mailer_account_id');
    for (const row of rows) {
      for (const what of faultsOf(row)) {
        yield { code: 'user', table: 'users', description: `user ${row.id}: ${what}` };
      }
    }
    after = rows.at(-1)?.id ?? 0;
    if (rows.length < sliceRows) break;
  }
  yield* auditSessions(db);
  yield* auditLinks(db);
  yield* auditRecoveryCodes(db);
}

function* faultsOf(row: AuditedUser): Generator<string> {
  const { role, account_id, mailer_id } = row;
  if (!roles.includes(role)) yield 'its role is none of the known ones';
  if ((role === 'admin') !== (account_id === null)) {
    yield role === 'admin' ? 'an admin is of an account' : 'it is of no account';
  }
  if ((role === 'mailer') !== (mailer_id !== null)) {
    yield role === 'mailer' ? 'it is of no mailer' : `it is of a mailer, and no user of the role mailer`;
  }
  if (mailer_id !== null && row.mailer_account_id !== null && row.mailer_account_id !== account_id) {
    yield `its mailer ${mailer_id} is of another account`;
  }
  const parsed = parseAddress(row.email);
  if (!parsed.ok || parsed.address.normalised !== row.email) yield 'its address is not as it would be typed';
  if (row.password_hash !== null && !row.password_hash.startsWith('$argon2id$')) {
    yield 'its password is not hashed as passwords are';
  }
  if ((row.password_hash === null) !== (row.password_at === null)) {
    yield 'it has a password without its time, or the reverse';
  }
  if (row.language !== null && !isConsoleLanguage(row.language))
    yield 'its language is none of the known ones';
}

async function* auditSessions(db: Db): AsyncGenerator<Breach> {
  const rows: { user_id: number; created_at: number; expires_at: number; ended_at: number | null }[] =
    await db('sessions')
      .join('users', 'users.id', 'sessions.user_id')
      .where((wrong) => {
        void wrong
          .whereNotNull('users.ended_at')
          .orWhere('sessions.expires_at', '>', db.raw('sessions.created_at + ?', [sessionMs]));
      })
      .limit(sliceRows)
      .select('sessions.user_id', 'sessions.created_at', 'sessions.expires_at', 'users.ended_at');
  for (const { user_id, ended_at } of rows) {
    const what = ended_at === null ? 'a session that lasts too long' : 'a session, and was ended';
    yield { code: 'session', table: 'sessions', description: `user ${user_id} has ${what}` };
  }
}

const ofSomebody = ['invitation', 'password', 'handed-on', 'code', 'email'];

/** The first admin's link is nobody's; every other one is somebody's. One for another address has that address. */
async function* auditLinks(db: Db): AsyncGenerator<Breach> {
  const rows: { purpose: string; user_id: number | null }[] = await db('one_time_links')
    .where((wrong) => void wrong.where({ purpose: 'set-up' }).whereNotNull('user_id'))
    .orWhere((wrong) => void wrong.whereIn('purpose', ofSomebody).whereNull('user_id'))
    .orWhere((wrong) => void wrong.whereNotIn('purpose', ['set-up', ...ofSomebody]))
    .orWhere((wrong) => void wrong.where({ purpose: 'email' }).whereNull('email'))
    .orWhere((wrong) => void wrong.whereNot({ purpose: 'email' }).whereNotNull('email'))
    .limit(sliceRows)
    .select('purpose', 'user_id');
  for (const { purpose, user_id } of rows) {
    const whose = user_id === null ? 'nobody' : `user ${user_id}`;
    yield {
      code: 'one-time-link',
      table: 'one_time_links',
      description: `${whose} has a link for ${purpose}`,
    };
  }
}

/** They stand in place of codes: without those, they would open nothing, and yet be kept. */
async function* auditRecoveryCodes(db: Db): AsyncGenerator<Breach> {
  const rows: { user_id: number }[] = await db('recovery_codes')
    .join('users', 'users.id', 'recovery_codes.user_id')
    .whereNull('users.totp_secret')
    .limit(sliceRows)
    .distinct('recovery_codes.user_id');
  for (const { user_id } of rows) {
    const description = `user ${user_id} has recovery codes, and no one-time codes`;
    yield { code: 'recovery-codes', table: 'recovery_codes', description };
  }
}
