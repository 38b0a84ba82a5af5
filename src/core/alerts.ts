import type { Db } from '../db/connect.js';

/** Alerts: what passed a limit that the owners of a list have set, told once a day of each kind. */

export const alertKinds = ['a-day', 'an-hour', 'shrinks', 'silent', 'not-honoured'] as const;
export type AlertKind = (typeof alertKinds)[number];

/** What happened, in numbers and names of mailers; never an address. */
export type AlertDetails = Readonly<Record<string, number | readonly string[]>>;

export interface Alert {
  readonly listId: number;
  readonly kind: AlertKind;
  readonly raisedAt: number;
  readonly details: AlertDetails;
}

interface AlertRow {
  list_id: number;
  kind: AlertKind;
  raised_at: number;
  details: string;
}

/** A mail of each kind and list in so long at most. */
export const quietMs = 24 * 3_600_000;

/**
 * Raises an alert, unless one of its kind was raised for the list within a day. Belongs in the transaction that
 * queues its mails: of several nodes that see the same, one tells it.
 *
 * @returns whether it is to be told.
 */
export async function raiseAlert(trx: Db, { listId, kind, raisedAt, details }: Alert): Promise<boolean> {
  const key = { list_id: listId, kind };
  // As one that was raised long ago, so that the next statement decides.
  await trx('alerts')
    .insert({ ...key, raised_at: 0, details: '{}' })
    .onConflict(['list_id', 'kind'])
    .merge(['list_id']);
  const raised = await trx('alerts')
    .where(key)
    .where('raised_at', '<=', raisedAt - quietMs)
    .update({ raised_at: raisedAt, details: JSON.stringify(details) });
  return raised === 1;
}

/** The last ones of some lists, of each kind one at most. */
export async function lastAlerts(db: Db, listIds: readonly number[]): Promise<Alert[]> {
  const rows = await db<AlertRow>('alerts').whereIn('list_id', listIds).where('raised_at', '>', 0);
  return rows.map((row) => ({
    listId: row.list_id,
    kind: row.kind,
    raisedAt: row.raised_at,
    details: JSON.parse(row.details) as AlertDetails,
  }));
}
