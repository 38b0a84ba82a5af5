import type { Db } from '../db/connect.js';

export interface Change {
  readonly accountId: number;
  readonly listId?: number | null;
  /** Who did it: `cli`, or later a person's id; never an address. */
  readonly actor: string;
  /** Noun and verb: `list.edited`, `opt-out.removed`. */
  readonly action: string;
  /** The address key of the opt-out that it concerns. */
  readonly subject?: Buffer | null;
  /** What changed; no keys, and no addresses. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Where the change bears a time that has to be found again: UTC milliseconds; otherwise now. */
  readonly at?: number;
}

/** Notes who changed what; belongs in the transaction that makes the change. */
export function noteChange(db: Db, change: Change): Promise<void> {
  return noteChanges(db, [change]);
}

/** The same of some hundreds of changes, in one statement. */
export async function noteChanges(db: Db, changes: readonly Change[]): Promise<void> {
  const now = Date.now();
  const rows = changes.map((change) => ({
    at: change.at ?? now,
    account_id: change.accountId,
    list_id: change.listId ?? null,
    actor: change.actor,
    action: change.action,
    subject: change.subject ?? null,
    details: JSON.stringify(change.details ?? {}),
  }));
  await db('history').insert(rows);
}
