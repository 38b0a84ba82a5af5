import type { Db } from '../db/connect.js';
import { walkByTime, type TimePlace } from './walks-by-time.js';

/** An entry of the history, as it was noted (history.ts). */
export interface HistoryEntry {
  readonly id: number;
  readonly at: number;
  readonly listId: number | null;
  readonly actor: string;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface HistoryPage {
  readonly entries: HistoryEntry[];
  /** Where older ones begin; null: there are none. */
  readonly next: TimePlace | null;
  /** There may be more that fit, further back than was looked. */
  readonly isCut: boolean;
}

/** What is looked for: of each that is given. */
export interface HistoryFilter {
  readonly listId?: number;
  readonly isActor?: (actor: string) => boolean;
  readonly actions?: ReadonlySet<string>;
}

export interface HistoryOptions {
  readonly before?: TimePlace | null;
  /** At most 500. */
  readonly limit: number;
  readonly mostRows?: number;
}

interface Row {
  readonly id: number;
  readonly at: number;
  readonly list_id: number | null;
  readonly actor: string;
  readonly action: string;
}

const columns = ['id', 'at', 'list_id', 'actor', 'action'];

/** The history of an account, newest first, a page at a time. */
export async function readHistory(
  db: Db,
  accountId: number,
  { listId, isActor, actions }: HistoryFilter,
  { before = null, limit, mostRows }: HistoryOptions,
): Promise<HistoryPage> {
  const { rows, cutAt } = await walkByTime<Row>(
    db,
    { table: 'history', index: 'history_account', among: { account_id: accountId }, columns },
    (row) =>
      (listId === undefined || row.list_id === listId) &&
      (actions === undefined || actions.has(row.action)) &&
      (isActor === undefined || isActor(row.actor)),
    { before, limit: limit + 1, mostRows },
  );
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const isMore = rows.length > limit && last !== undefined;
  return {
    entries: await withDetails(db, shown),
    next: isMore ? { at: last.at, id: last.id } : cutAt,
    isCut: cutAt !== null,
  };
}

/** Read of those alone that are shown: they may be long. */
async function withDetails(db: Db, rows: readonly Row[]): Promise<HistoryEntry[]> {
  const details = new Map(
    (
      await db<{ id: number; details: string }>('history')
        .whereIn(
          'id',
          rows.map(({ id }) => id),
        )
        .select('id', 'details')
    ).map((row) => [row.id, row.details]),
  );
  return rows.map(({ id, at, list_id, actor, action }) => ({
    ...{ id, at, actor, action, listId: list_id },
    details: objectIn(details.get(id) ?? '{}'),
  }));
}

function objectIn(json: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(json) as Record<string, unknown>;
  } catch {
    return {};
  }
}
