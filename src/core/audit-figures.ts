import type { Db } from '../db/connect.js';
import { alertSettingsFaults } from './alert-settings.js';
import type { Breach } from './audit.js';
import type { AuditedRow } from './audit-row.js';
import { sliceRows } from './audit-slices.js';
import { slotMs, slotOf, wholeFromName } from './opt-out-figures.js';
import { sources } from './opt-outs.js';

/** How many opt-outs of a list stand, by the half hour and source that they were counted in. */
export type Standing = Map<string, number>;

/** Each act has to be in the figures of its half hour: they never go down, while what is removed goes. */
export function noteStanding(standing: Standing, rows: readonly AuditedRow[]): void {
  for (const { figured, recorded_at, source } of rows) {
    // That there is no such source is told elsewhere.
    if (figured !== 1 || !isSource(source)) continue;
    const name = `${slotOf(recorded_at)} ${source}`;
    standing.set(name, (standing.get(name) ?? 0) + 1);
  }
}

function isSource(source: string): boolean {
  return (sources as readonly string[]).includes(source);
}

interface FigureRow {
  readonly list_id: number;
  readonly slot: number;
  readonly source: string;
  readonly opt_outs: number;
}

/** To be called once all rows of the list have been read: figures are only added to meanwhile, or forgotten. */
export async function* auditFiguresOf(db: Db, listId: number, standing: Standing): AsyncGenerator<Breach> {
  const breach = (what: string): Breach => ({
    code: 'figures',
    table: 'opt_out_figures',
    description: `list ${listId}, ${what}`,
  });
  for (let after = -1; ;) {
    const slots = (await db('opt_out_figures')
      .where({ list_id: listId })
      .where('slot', '>', after)
      .distinct('slot')
      .orderBy('slot')
      .limit(sliceRows / sources.length)
      .pluck('slot')) as number[];
    const last = slots.at(-1);
    if (last === undefined) break;
    const rows: FigureRow[] = await db<FigureRow>('opt_out_figures')
      .where({ list_id: listId })
      .whereBetween('slot', [after + 1, last]);
    // Read after them: of a slot that was forgotten in between, what is counted later is only a part.
    const wholeFrom = await figuresWholeFrom(db);
    for (const { slot, source, opt_outs } of rows) {
      const name = `${slot} ${source}`;
      if (slot % slotMs !== 0) yield breach(`${name}: no half hour begins there`);
      if (!isSource(source)) yield breach(`${name}: there is no such source`);
      if (!(Number.isSafeInteger(opt_outs) && opt_outs > 0)) yield breach(`${name}: opt_outs is ${opt_outs}`);
      const count = standing.get(name) ?? 0;
      if (count > opt_outs && slot >= wholeFrom)
        yield breach(`${name}: opt_outs is ${opt_outs}, and ${count} stand`);
      standing.delete(name);
    }
    after = last;
  }
  const wholeFrom = await figuresWholeFrom(db);
  for (const [name, count] of standing) {
    if (Number(name.split(' ')[0]) < wholeFrom) continue;
    yield breach(`${name}: ${count} stand that were counted, and there is no figure`);
  }
}

async function figuresWholeFrom(db: Db): Promise<number> {
  const noted = await db<{ name: string; value: string }>('installation')
    .where({ name: wholeFromName })
    .first();
  return Number(noted?.value ?? 0);
}

/** What no single list shows, and the settings of alerts. */
export async function* auditFigureTotals(db: Db): AsyncGenerator<Breach> {
  for await (const description of alertSettingsFaults(db)) {
    yield { code: 'settings', table: 'alert_settings', description };
  }
  const [sum] = await db('opt_out_figures').sum('opt_outs as total');
  const [highest] = await db('fetches').max('reached as reached');
  // Read last: it only rises.
  const feed = await db<{ id: number; last_number: number }>('feed').where({ id: 1 }).first('last_number');
  const [total, reached] = [Number(sum?.total ?? 0), Number(highest?.reached ?? 0)];
  if (feed === undefined) return;
  if (total > feed.last_number) {
    const description = `${total} opt-outs are counted, and only ${feed.last_number} feed numbers were given`;
    yield { code: 'figures', table: 'opt_out_figures', description };
  }
  if (reached > feed.last_number) {
    const description = `a mailer has reached ${reached}, and the feed's last number is ${feed.last_number}`;
    yield { code: 'fetches', table: 'fetches', description };
  }
}
