/** SendCloud's times are those of its users, UTC+8 all year round. */
const offsetMs = 8 * 3_600_000;
const dayMs = 24 * 3_600_000;

/** `yyyy-MM-dd HH:mm:ss` */
export function timeText(ms: number): string {
  return new Date(ms + offsetMs).toISOString().slice(0, 19).replace('T', ' ');
}

/**
 * The beginning of a day, `yyyy-MM-dd`; a space between the parts, as its documentation writes it, is taken
 * as well.
 *
 * @returns UTC milliseconds; null for what is no day of the calendar, and for one before 1970, which programs
 *   send where they mean none (`0001-01-01`).
 */
export function dayStart(text: string): number | null {
  const [, year, month, day] = /^(\d{4})[- ](\d{1,2})[- ](\d{1,2})$/.exec(text.trim()) ?? [];
  if (year === undefined || month === undefined || day === undefined || Number(year) < 1970) return null;
  const utc = Date.UTC(Number(year), Number(month) - 1, Number(day));
  const date = new Date(utc);
  const isReal = date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
  return isReal ? utc - offsetMs : null;
}

const hours = /^(.*\d)[ T]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/;

/**
 * When an opt-out ends that is to end on a day: with the beginning of it, or at the time that stands behind it.
 * One that is to end today ends with the day.
 *
 * @returns UTC milliseconds; null for what is no day, `past` for one before today.
 */
export function endOf(text: string, now: number): number | 'past' | null {
  const [, day = text, hour = 0, minute = 0, second = 0] = hours.exec(text) ?? [];
  const start = dayStart(day);
  if (start === null) return null;
  const today = dayOf(now);
  if (start < today) return 'past';
  if (start === today) return nextDay(start) - 1;
  return start + ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1000;
}

function dayOf(ms: number): number {
  return Math.floor((ms + offsetMs) / dayMs) * dayMs - offsetMs;
}

/** The day after. */
export function nextDay(start: number): number {
  return start + dayMs;
}

/** The last so many days, today among them. */
export function lastDays(days: number, now: number): { from: number; to: number } {
  const today = dayOf(now);
  return { from: today - (days - 1) * dayMs, to: today + dayMs };
}

/** Three months, as its documentation bounds a range. */
export function isTooLong({ from, to }: { from: number; to: number }): boolean {
  const start = new Date(from + offsetMs);
  const bound = Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 3, start.getUTCDate()) - offsetMs;
  return to > bound + dayMs;
}

/** When an opt-out without an end ends, in its words. */
export const farFuture = Date.UTC(2099, 11, 31) - offsetMs;
