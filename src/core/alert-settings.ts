import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { noteChange } from './history.js';
import type { List } from './lists.js';

/** What the owners of a list are told by mail. */
export interface AlertSettings {
  /** More opt-outs than this in a day of the account's time zone, or in an hour; null: whatever comes. */
  readonly optOutsADay: number | null;
  readonly optOutsAnHour: number | null;
  /** The list holds a tenth less than a day before. */
  readonly shrinks: boolean;
  /** A mailer has not downloaded for so many days, while opt-outs wait; null: however long. */
  readonly silentDays: number | null;
  /** Somebody left again whom a mailer knew to have left. */
  readonly notHonoured: boolean;
}

/**
 * What nobody wants to happen unnoticed is on. How many opt-outs are many, only a list's owner knows.
 */
export const defaultAlerts: AlertSettings = {
  optOutsADay: null,
  optOutsAnHour: null,
  shrinks: true,
  silentDays: 7,
  notHonoured: true,
};

export const limits = {
  optOutsADay: { min: 1, max: 10_000_000 },
  optOutsAnHour: { min: 1, max: 10_000_000 },
  silentDays: { min: 1, max: 365 },
} as const;

interface SettingsRow {
  list_id: number;
  opt_outs_a_day: number | null;
  opt_outs_an_hour: number | null;
  shrinks: number | boolean;
  silent_days: number | null;
  not_honoured: number | boolean;
}

export async function getAlertSettings(db: Db, listId: number): Promise<AlertSettings> {
  return (await alertSettingsOf(db, [listId])).get(listId) ?? defaultAlerts;
}

/** Of some lists; those that have never changed theirs are left out. */
export async function alertSettingsOf(
  db: Db,
  listIds: readonly number[],
): Promise<Map<number, AlertSettings>> {
  const rows = await db<SettingsRow>('alert_settings').whereIn('list_id', listIds);
  return new Map(
    rows.map((row) => [
      row.list_id,
      {
        optOutsADay: row.opt_outs_a_day,
        optOutsAnHour: row.opt_outs_an_hour,
        shrinks: Boolean(row.shrinks),
        silentDays: row.silent_days,
        notHonoured: Boolean(row.not_honoured),
      },
    ]),
  );
}

/**
 * Changes what is given.
 *
 * @throws Invalid naming what does not pass.
 */
export async function editAlertSettings(
  db: Db,
  list: List,
  edits: Partial<AlertSettings>,
  { actor }: { actor: string },
): Promise<AlertSettings> {
  for (const [field, { min, max }] of Object.entries(limits)) {
    const value = edits[field as keyof typeof limits];
    if (value == null || (Number.isSafeInteger(value) && value >= min && value <= max)) continue;
    throw new Invalid(
      field,
      'out-of-range',
      `${field} must be a whole number from ${min} to ${max}, or none`,
    );
  }
  return db.transaction(async (trx) => {
    const before = await getAlertSettings(trx, list.id);
    const after = { ...before, ...edits };
    const row = {
      opt_outs_a_day: after.optOutsADay,
      opt_outs_an_hour: after.optOutsAnHour,
      shrinks: after.shrinks,
      silent_days: after.silentDays,
      not_honoured: after.notHonoured,
    };
    await trx('alert_settings')
      .insert({ list_id: list.id, ...row })
      .onConflict('list_id')
      .merge(row);
    const { accountId, id: listId } = list;
    await noteChange(trx, { accountId, listId, actor, action: 'alerts.edited', details: row });
    return after;
  });
}

/** For the audit: what is wrong with settings as they are stored. */
export async function* alertSettingsFaults(db: Db): AsyncGenerator<string> {
  for (let after = 0; ;) {
    const rows = await db<SettingsRow>('alert_settings')
      .where('list_id', '>', after)
      .orderBy('list_id')
      .limit(1000);
    for (const row of rows) {
      const values = {
        optOutsADay: row.opt_outs_a_day,
        optOutsAnHour: row.opt_outs_an_hour,
        silentDays: row.silent_days,
      };
      for (const [field, { min, max }] of Object.entries(limits)) {
        const value = values[field as keyof typeof limits];
        if (value !== null && !(value >= min && value <= max))
          yield `list ${row.list_id}: ${field} does not pass`;
      }
    }
    after = rows.at(-1)?.list_id ?? 0;
    if (rows.length < 1000) return;
  }
}
