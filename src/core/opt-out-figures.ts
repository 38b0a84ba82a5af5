import { setImmediate as everyoneElse } from 'node:timers/promises';
import { engineOf, type Db } from '../db/connect.js';
import { sources, type Source } from './opt-outs.js';
import { createLocalClock } from './time-zone.js';

/**
 * How many opt-outs lists get: counted when they get their first feed number, by the half hour in which they were
 * recorded, so that days can be told in any time zone. (Where one is at a quarter of an hour, as in Nepal, its days
 * begin 15 minutes early here.) They count what people did: what is removed later stays in them, what is brought back
 * is not counted again, and who leaves anew is.
 */

export const slotMs = 30 * 60_000;

/** Of the days that can be asked for. */
export const mostDays = 400;

export function slotOf(at: number): number {
  return Math.floor(at / slotMs) * slotMs;
}

/** What is to be counted of an opt-out. */
export interface Act {
  readonly list_id: number;
  readonly recorded_at: number;
  readonly source: string;
}

interface FigureRow {
  list_id: number;
  slot: number;
  source: Source;
  opt_outs: number;
}

/** Belongs in the transaction that marks these rows of `opt_outs` as counted. */
export async function addToFigures(trx: Db, acts: readonly Act[]): Promise<void> {
  const figures = new Map<string, FigureRow>();
  for (const { list_id, recorded_at, source } of acts) {
    const slot = slotOf(recorded_at);
    const key = `${list_id} ${slot} ${source}`;
    const standing = figures.get(key);
    if (standing === undefined) figures.set(key, { list_id, slot, source: source as Source, opt_outs: 1 });
    else standing.opt_outs++;
  }
  if (figures.size === 0) return;
  const rows = [...figures.values()].sort(
    (a, b) => a.list_id - b.list_id || a.slot - b.slot || (a.source < b.source ? -1 : 1),
  );
  // SQLite takes so many rows in the form in which Knex writes them.
  for (let i = 0; i < rows.length; i += 250) {
    await trx('opt_out_figures')
      .insert(rows.slice(i, i + 250))
      .onConflict(['list_id', 'slot', 'source'])
      .merge({
        opt_outs: trx.raw(`opt_out_figures.opt_outs + ${engineOf(trx).incoming('opt_outs')}`),
      });
  }
}

export interface ListSums {
  /** Today and the 6, or 29, days before. */
  readonly today: number;
  readonly week: number;
  readonly month: number;
}

const nothing: ListSums = { today: 0, week: 0, month: 0 };

/** Of SQLite, whose driver blocks the process meanwhile: some milliseconds, for lists that are never quiet. */
const listsAQuery = { sqlite: 5, mysql: 50 } as const;

/**
 * How many opt-outs each of some lists has got today, in 7 and in 30 days: a page of lists.
 *
 * @param zone a name of the IANA database: whose days they are.
 * @returns of all lists, those without any included.
 */
export async function sumsOfLists(
  db: Db,
  listIds: readonly number[],
  zone: string,
  now: number,
): Promise<Map<number, ListSums>> {
  const sums = new Map<number, ListSums>(listIds.map((id) => [id, nothing]));
  const [today, week, month] = [0, 6, 29].map((days) => slotOf(dayStarts(zone, now, days)[0] ?? now));
  const atOnce = listsAQuery[engineOf(db).name];
  for (let i = 0; i < listIds.length; i += atOnce) {
    const rows: Record<'list_id' | keyof ListSums, number | string>[] = await figuresByList(db)
      .whereIn('list_id', listIds.slice(i, i + atOnce))
      .where('slot', '>=', month ?? now)
      .groupBy('list_id')
      .select('list_id', db.raw('SUM(opt_outs) AS month'))
      .select(db.raw('SUM(CASE WHEN slot >= ? THEN opt_outs ELSE 0 END) AS week', [week ?? now]))
      .select(db.raw('SUM(CASE WHEN slot >= ? THEN opt_outs ELSE 0 END) AS today', [today ?? now]));
    for (const row of rows) {
      // MySQL gives sums as texts.
      sums.set(Number(row.list_id), {
        today: Number(row.today),
        week: Number(row.week),
        month: Number(row.month),
      });
    }
    await everyoneElse();
  }
  return sums;
}

/** One day of a list. */
export interface DayFigures {
  /** `yyyy-mm-dd`. */
  readonly day: string;
  readonly startsAt: number;
  readonly total: number;
  readonly bySource: Readonly<Partial<Record<Source, number>>>;
}

/** Days a query: at most some thousand rows. */
const daysAQuery = 10;

/**
 * A list's opt-outs by day and source, the oldest day first, today last.
 *
 * @param days from 1 to 400.
 * @param zone whose days they are.
 */
export async function optOutsByDay(
  db: Db,
  listId: number,
  days: number,
  zone: string,
  now: number,
): Promise<DayFigures[]> {
  const { text } = createLocalClock(zone);
  const starts = dayStarts(zone, now, Math.min(days, mostDays) - 1);
  const found = starts.map((startsAt) => {
    const bySource: Partial<Record<Source, number>> = {};
    return { day: text(startsAt).slice(0, 10), startsAt, total: 0, bySource };
  });
  for (let i = 0; i < starts.length; i += daysAQuery) {
    const end = starts[i + daysAQuery];
    const rows: Pick<FigureRow, 'slot' | 'source' | 'opt_outs'>[] = await figuresByList(db)
      .where({ list_id: listId })
      .where('slot', '>=', slotOf(starts[i] ?? 0))
      .modify((query) => {
        if (end !== undefined) void query.where('slot', '<', slotOf(end));
      })
      .orderBy('slot')
      .select('slot', 'source', 'opt_outs');
    let place = i;
    for (const { slot, source, opt_outs } of rows) {
      while (slot >= slotOf(starts[place + 1] ?? Infinity)) place++;
      const day = found[place];
      if (day === undefined) continue;
      day.total += opt_outs;
      day.bySource[source] = (day.bySource[source] ?? 0) + opt_outs;
    }
    await everyoneElse();
  }
  return found;
}

/** Whatever the statistics say: all lists together have millions of slots. */
function figuresByList(db: Db) {
  return db<FigureRow>(db.raw(`opt_out_figures ${engineOf(db).byIndex(null)}`));
}

/** Today's start and those of the days before, the oldest first. */
export function dayStarts(zone: string, now: number, daysBefore: number): number[] {
  const { text, dayStart } = createLocalClock(zone);
  const today = text(now).slice(0, 10);
  return Array.from({ length: daysBefore + 1 }, (_, i) => dayStart(today, i - daysBefore) ?? now);
}

/** Those that a day had, in their fixed order. */
export function sourcesOf(days: readonly DayFigures[]): Source[] {
  return sources.filter((source) => days.some(({ bySource }) => (bySource[source] ?? 0) > 0));
}

/** The name in `installation` of the slot from which on the figures are whole. */
export const wholeFromName = 'figures-whole-from';

const dayMs = 24 * 3_600_000;
const slotsAtOnce = 50;

/**
 * Forgets figures that are older than history is kept, and than can be asked for.
 *
 * @returns whether there may be more to do at once.
 */
export async function forgetFigures(db: Db, now: number, historyMs: number | null): Promise<boolean> {
  if (historyMs === null) return false;
  const before = slotOf(now - Math.max(historyMs, (mostDays + 2) * dayMs));
  const slots = (await db('opt_out_figures')
    .where('slot', '<', before)
    .distinct('slot')
    .orderBy('slot')
    .limit(slotsAtOnce)
    .pluck('slot')) as number[];
  const last = slots.at(-1);
  if (last === undefined) return false;
  const value = String(last + slotMs);
  await db('installation').insert({ name: wholeFromName, value }).onConflict('name').merge({ value });
  await db('opt_out_figures').where('slot', '<=', last).delete();
  return slots.length === slotsAtOnce;
}
