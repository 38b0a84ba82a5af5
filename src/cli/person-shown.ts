import type { Account } from '../core/accounts.js';
import { EVERYTHING, type OptOutRecord } from '../core/opt-outs.js';
import { mailersOf, rowJson, type PersonHeld } from '../core/person-held.js';
import { kindOf } from './opt-out-check.js';
import { counted, facts, timeOf } from './output.js';
import { reading, type Session } from './session.js';

/** All that is held about a person, as it was read. */
export interface Shown extends PersonHeld {
  readonly account: Account;
}

/** The names of the mailers that brought opt-outs, by id. */
type Mailers = ReadonlyMap<number, string>;

export async function heldText(session: Session, shown: Shown): Promise<string> {
  const { account, normalised, held, history, refusedRows, erasedAt } = shown;
  const mailers = await reading(session, (db) => mailersOf(db, shown));
  const rows = held.reduce((sum, one) => sum + one.rows.length, 0);
  const parts = [
    rows === 0
      ? `The lists of ${account.name} hold nothing about ${normalised}.`
      : `${account.name} holds ${counted(rows, 'opt-out', 'opt-outs')} of ${normalised} on ${counted(held.length, 'list', 'lists')}.`,
    ...(erasedAt === null ? [] : [`The account erased this person on ${timeOf(erasedAt)}.`]),
  ];
  for (const { list, rows: ofList } of held) {
    parts.push(`\nOn ${list.internalName} (${list.publicId}):`);
    for (const row of ofList) parts.push(`\n${rowText(row, mailers)}`);
  }
  if (refusedRows > 0) {
    const what = counted(
      refusedRows,
      'row that an import could not take',
      'rows that imports could not take',
    );
    parts.push(`\nThe address stands in ${what}; such texts are kept for 30 days.`);
  }
  if (history.length > 0) {
    parts.push('\nThe history notes by the hash of the address:');
    for (const { at, actor, action } of history) parts.push(`  ${timeOf(at)}  ${action} by ${actor}`);
  }
  return parts.join('\n');
}

const kinds = {
  address: 'the address',
  md5: 'an MD5 alone',
  sha256: 'a SHA-256 alone',
  erased: 'an erased person: MD5 and SHA-256',
} as const;

function rowText(row: OptOutRecord, mailers: Mailers): string {
  const { tag, ...json } = rowJson(row, mailers);
  const known: [string, unknown][] = [
    ['Opted out of', tag === EVERYTHING ? 'everything' : tag],
    ['Kept', kinds[kindOf(row)]],
    ['Typed as', json.given],
    ['When', json.created_at],
    ['Recorded', json.recorded_at],
    ['Again', row.repeats === 0 ? null : `${row.repeats} times, last ${timeOf(row.last_at)}`],
    ['Source', json.source],
    ['Reason', row.reason === null ? null : JSON.stringify(row.reason.toString())],
    ['Mailer', json.mailer],
    ['IP address', json.ip],
    ['Receipt', json.receipt],
    ['Expires', json.expires_at],
    ['Removed', json.removed_at],
  ];
  return facts(
    known.flatMap(([name, value]) => (typeof value === 'string' ? [[`  ${name}`, value] as const] : [])),
  );
}
