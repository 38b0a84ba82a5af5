import type { Account } from '../core/accounts.js';
import { EVERYTHING, type OptOutRecord } from '../core/opt-outs.js';
import { namesOfMailers, type HeldByList, type NotedOfPerson } from '../core/people.js';
import { receiptText } from '../core/receipts.js';
import { kindOf } from './opt-out-check.js';
import { counted, facts, timeOf } from './output.js';
import { reading, type Session } from './session.js';

/** All that is held about a person, as it was read. */
export interface Shown {
  readonly account: Account;
  readonly normalised: string;
  readonly held: readonly HeldByList[];
  readonly history: readonly NotedOfPerson[];
  /** Rows that imports could not take and whose texts name the person. */
  readonly refusedRows: number;
  /** UTC milliseconds; null for somebody who was never erased. */
  readonly erasedAt: number | null;
}

/** The names of the mailers that brought opt-outs, by id. */
type Mailers = ReadonlyMap<number, string>;

export async function heldJson(session: Session, shown: Shown): Promise<Record<string, unknown>> {
  const mailers = await mailersOf(session, shown);
  const listNames = new Map(shown.held.map(({ list }) => [list.id, list.publicId]));
  return {
    address: shown.normalised,
    account: shown.account.id,
    erased_at: timeOf(shown.erasedAt),
    opt_outs: shown.held.flatMap(({ list, rows }) =>
      rows.map((row) => ({
        list: list.publicId,
        internal_name: list.internalName,
        ...rowJson(row, mailers),
      })),
    ),
    refused_rows: shown.refusedRows,
    history: shown.history.map(({ at, listId, actor, action }) => ({
      ...{ at: timeOf(at), list: listId === null ? null : (listNames.get(listId) ?? null) },
      ...{ actor, action },
    })),
  };
}

function rowJson(row: OptOutRecord, mailers: Mailers): Record<string, unknown> {
  return {
    tag: row.tag.toString(),
    kind: kindOf(row),
    address: row.address?.toString() ?? null,
    given: row.given?.toString() ?? null,
    source: row.source,
    created_at: timeOf(row.created_at),
    recorded_at: timeOf(row.recorded_at),
    last_at: timeOf(row.last_at),
    repeats: row.repeats,
    reason: row.reason?.toString() ?? null,
    expires_at: timeOf(row.expires_at),
    removed_at: timeOf(row.removed_at),
    mailer: row.mailer_id === null ? null : (mailers.get(row.mailer_id) ?? String(row.mailer_id)),
    ip: row.ip,
    receipt: receiptOf(row),
  };
}

export async function heldText(session: Session, shown: Shown): Promise<string> {
  const { account, normalised, held, history, refusedRows, erasedAt } = shown;
  const mailers = await mailersOf(session, shown);
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

/** What is no number of ours, an import may have brought: shown as it stands. */
function receiptOf({ receipt }: OptOutRecord): string | null {
  if (receipt === null) return null;
  return receipt.length === 8 ? receiptText(receipt) : receipt.toString('hex');
}

async function mailersOf(session: Session, { held }: Shown): Promise<Mailers> {
  const ids = new Set(
    held.flatMap(({ rows }) => rows.flatMap(({ mailer_id }) => (mailer_id === null ? [] : [mailer_id]))),
  );
  return reading(session, (db) => namesOfMailers(db, [...ids]));
}
