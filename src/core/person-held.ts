import type { Db } from '../db/connect.js';
import { md5Of } from './address.js';
import { findErased } from './erased-people.js';
import { refusalsNaming } from './import-refusals.js';
import { kindOf } from './opt-out-details.js';
import type { OptOutRecord } from './opt-outs.js';
import {
  heldByLists,
  historyOfPerson,
  namesOfMailers,
  type HeldByList,
  type NotedOfPerson,
} from './people.js';
import { receiptText } from './receipts.js';

/** All that is held about a person, as it was read. */
export interface PersonHeld {
  readonly accountId: number;
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

/** @param normalised an address. */
export async function readPerson(db: Db, accountId: number, normalised: string): Promise<PersonHeld> {
  const held: HeldByList[] = [];
  for await (const one of heldByLists(db, accountId, normalised)) held.push(one);
  const key = md5Of(normalised);
  const erased = await findErased(db, accountId, [key]);
  const history = await historyOfPerson(db, accountId, normalised);
  let refusedRows = 0;
  for await (const rows of refusalsNaming(db, accountId, normalised)) refusedRows += rows.length;
  const erasedAt = erased.get(key.toString('hex'))?.at ?? null;
  return { accountId, normalised, held, history, refusedRows, erasedAt };
}

/** The answer for whoever asks what is held about them. */
export async function heldJson(db: Db, person: PersonHeld): Promise<Record<string, unknown>> {
  const mailers = await mailersOf(db, person);
  const listNames = new Map(person.held.map(({ list }) => [list.id, list.publicId]));
  return {
    address: person.normalised,
    account: person.accountId,
    erased_at: timeOf(person.erasedAt),
    opt_outs: person.held.flatMap(({ list, rows }) =>
      rows.map((row) => ({
        list: list.publicId,
        internal_name: list.internalName,
        ...rowJson(row, mailers),
      })),
    ),
    refused_rows: person.refusedRows,
    history: person.history.map(({ at, listId, actor, action }) => ({
      ...{ at: timeOf(at), list: listId === null ? null : (listNames.get(listId) ?? null) },
      ...{ actor, action },
    })),
  };
}

export function rowJson(row: OptOutRecord, mailers: Mailers): Record<string, unknown> {
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

/** What is no number of ours, an import may have brought: shown as it stands. */
function receiptOf({ receipt }: OptOutRecord): string | null {
  if (receipt === null) return null;
  return receipt.length === 8 ? receiptText(receipt) : receipt.toString('hex');
}

export function mailersOf(db: Db, { held }: Pick<PersonHeld, 'held'>): Promise<Map<number, string>> {
  const ids = new Set(
    held.flatMap(({ rows }) => rows.flatMap(({ mailer_id }) => (mailer_id === null ? [] : [mailer_id]))),
  );
  return namesOfMailers(db, [...ids]);
}

function timeOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
