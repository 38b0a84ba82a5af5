import type { Db } from '../db/connect.js';
import { alertSettingsOf, defaultAlerts, type AlertSettings } from './alert-settings.js';
import { lastAlerts, quietMs, type Alert, type AlertDetails, type AlertKind } from './alerts.js';
import { complianceOf, fetchesOf, type Grant } from './compliance.js';
import { sizesOf, type Size } from './list-sizes.js';
import { listNotHonoured } from './not-honoured.js';
import { slotMs, slotOf, sumsOfLists } from './opt-out-figures.js';

/** What there is to tell the owners of a list at the moment. */

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** A list of a few entries shrinks by a tenth with each that goes: fewer than so many are no alert. */
const leastShrunk = 10;

/** Mailers that one alert names, and findings that it counts. */
const mostNamed = 10;
const mostFindings = 1000;

/** Of opt-outs that wait the oldest is asked for, which is among the first. */
const mostWaiting = 100;

/** Of a list: more are not looked at. */
const mostMailers = 200;

export interface WatchedList {
  readonly id: number;
  readonly accountId: number;
  /** The account's. */
  readonly zone: string;
  readonly isArchived: boolean;
}

/** Each mailer of the list takes a query or two. */
export async function alertsFor(db: Db, list: WatchedList, now: number): Promise<Alert[]> {
  const wanted = (await alertSettingsOf(db, [list.id])).get(list.id) ?? defaultAlerts;
  const raised = await lastAlerts(db, [list.id]);
  const size = (await sizesOf(db, [list.id], now)).get(list.id);
  const grants = await grantsOf(db, list.id);
  const found: Alert[] = [];
  const last = (kind: AlertKind) => raised.find((one) => one.kind === kind);
  // What was told within a day is not looked at.
  const mayBeTold = (kind: AlertKind) => (last(kind)?.raisedAt ?? 0) <= now - quietMs;
  const tell = (kind: AlertKind, details: AlertDetails | null) => {
    if (details !== null) found.push({ listId: list.id, kind, raisedAt: now, details });
  };
  if (mayBeTold('a-day')) tell('a-day', await manyInADay(db, list, wanted, now));
  if (mayBeTold('an-hour')) tell('an-hour', await manyInAnHour(db, list, wanted, now));
  if (wanted.shrinks && mayBeTold('shrinks')) tell('shrinks', shrunk(size, last('shrinks'), now));
  if (mayBeTold('silent')) tell('silent', await silent(db, list, grants, wanted, now));
  if (wanted.notHonoured && mayBeTold('not-honoured')) {
    tell('not-honoured', await findings(db, list.id, grants, last('not-honoured'), now));
  }
  return found;
}

async function silent(
  db: Db,
  list: WatchedList,
  grants: readonly Grant[],
  { silentDays: days }: AlertSettings,
  now: number,
): Promise<AlertDetails | null> {
  if (days === null || list.isArchived) return null;
  const fetches = await fetchesOf(db, [list.id]);
  const before = now - days * dayMs;
  const mailers: string[] = [];
  for (const grant of grants) {
    if (mailers.length >= mostNamed) break;
    const fetch = fetches.get(`${grant.list_id} ${grant.mailer_id}`);
    const options = { zone: list.zone, now, limit: mostWaiting };
    const { since, scrubbedAt } = await complianceOf(db, list, grant, fetch, options);
    if (since !== null && since < before && (scrubbedAt ?? 0) < before) mailers.push(grant.name);
  }
  return mailers.length === 0 ? null : { days, mailers };
}

async function manyInADay(
  db: Db,
  { id, zone }: WatchedList,
  { optOutsADay: limit }: AlertSettings,
  now: number,
): Promise<AlertDetails | null> {
  if (limit === null) return null;
  const optOuts = (await sumsOfLists(db, [id], zone, now)).get(id)?.today ?? 0;
  return optOuts > limit ? { opt_outs: optOuts, limit } : null;
}

/** In the half hour that is passing and the one before. */
async function manyInAnHour(
  db: Db,
  { id }: WatchedList,
  { optOutsAnHour: limit }: AlertSettings,
  now: number,
): Promise<AlertDetails | null> {
  if (limit === null) return null;
  const [sum] = await db('opt_out_figures')
    .where({ list_id: id })
    .where('slot', '>=', slotOf(now) - slotMs)
    .sum('opt_outs as n');
  const optOuts = Number(sum?.n ?? 0);
  return optOuts > limit ? { opt_outs: optOuts, limit } : null;
}

/** What was told already is not told again: after it, the list has to shrink by a tenth of what was left. */
function shrunk(size: Size | undefined, last: Alert | undefined, now: number): AlertDetails | null {
  if (size?.dayBefore == null) return null;
  const told = last !== undefined && last.raisedAt > now - 2 * dayMs ? Number(last.details.now) : Infinity;
  const before = Math.min(size.dayBefore, told);
  const less = before - size.now;
  return less >= leastShrunk && less * 10 >= before ? { before, now: size.now } : null;
}

async function findings(
  db: Db,
  listId: number,
  grants: readonly Grant[],
  last: Alert | undefined,
  now: number,
): Promise<AlertDetails | null> {
  const foundSince = (last?.raisedAt ?? now - 7 * dayMs) + 1;
  const rows = await listNotHonoured(db, listId, { foundSince, limit: mostFindings });
  if (rows.length === 0) return null;
  const mailerIds = new Set(rows.map(({ mailerId }) => mailerId));
  const people = new Set(rows.map(({ addressKey }) => addressKey.toString('hex')));
  const names = grants.filter(({ mailer_id }) => mailerIds.has(mailer_id)).map(({ name }) => name);
  return { people: people.size, mailers: names.slice(0, mostNamed) };
}

async function grantsOf(db: Db, listId: number): Promise<Grant[]> {
  return db('grants')
    .join('mailers', 'mailers.id', 'grants.mailer_id')
    .where({ 'grants.list_id': listId })
    .orderBy('mailers.name')
    .limit(mostMailers)
    .select('grants.list_id', 'grants.mailer_id', 'grants.created_at', 'mailers.name');
}
