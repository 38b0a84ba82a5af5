import { Invalid } from '../errors.js';

const quarterMs = 15 * 60_000;
const dayMs = 24 * 3_600_000;
/** Days: far more than anybody has opt-outs of. */
const mostCached = 50_000;

/** A time zone's clock. */
export interface LocalClock {
  /** `yyyy-MM-dd HH:mm:ss` of UTC milliseconds. */
  readonly text: (ms: number) => string;
  /**
   * When a day begins there, `yyyy-mm-dd`: mostly at midnight.
   *
   * @param more days later.
   * @returns UTC milliseconds; null for what is no day of the calendar.
   */
  readonly dayStart: (day: string, more?: number) => number | null;
}

/** Whether it is a name of the IANA time zone database. */
export function isTimeZone(name: unknown): boolean {
  return typeof name === 'string' && /^[A-Za-z][\w+/-]{0,63}$/.test(name) && offsetsOf(name) !== null;
}

/** @throws Invalid `unknown`, for what is no name of the IANA time zone database. */
export function checkTimeZone(field: string, name: string): string {
  const zone = name.trim();
  if (isTimeZone(zone)) return zone;
  throw new Invalid(
    field,
    'unknown',
    `${field} must be a time zone of the IANA database, such as Asia/Tokyo, Europe/Berlin or UTC`,
  );
}

/** @throws RangeError for a zone that there is none of. */
export function createLocalClock(zone: string): LocalClock {
  const format = offsetsOf(zone);
  if (format === null) throw new RangeError(`there is no time zone ${zone}`);
  const offsetAt = cachedOffsets(format);
  const days = new Map<number, string>();
  const dayText = (day: number) => {
    let text = days.get(day);
    if (text === undefined) {
      text = new Date(day * dayMs).toISOString().slice(0, 10);
      if (days.size >= mostCached) days.clear();
      days.set(day, text);
    }
    return text;
  };
  const text = (ms: number) => {
    const local = ms + offsetAt(ms);
    const day = Math.floor(local / dayMs);
    const seconds = Math.floor((local - day * dayMs) / 1000);
    const minutes = Math.floor(seconds / 60);
    const time = [Math.floor(minutes / 60), minutes % 60, seconds % 60].map(twoDigits).join(':');
    return `${dayText(day)} ${time}`;
  };
  return {
    text,
    dayStart(day, more = 0) {
      const utc = utcOf(day);
      if (utc === null) return null;
      const midnight = utc + more * dayMs;
      const before = midnight - offsetAt(midnight);
      const start = midnight - offsetAt(before);
      // Where clocks go forward at midnight, that day has none, and begins when they do.
      return text(start).slice(0, 10) < new Date(midnight).toISOString().slice(0, 10) ? before : start;
    },
  };
}

/** Intl takes some microseconds a time, and a file has a million. Zones change on the quarter of an hour. */
function cachedOffsets(format: Intl.DateTimeFormat): (ms: number) => number {
  const ofDays = new Map<number, number | null>();
  const ofDay = (day: number): number | null => {
    let offset = ofDays.get(day);
    if (offset === undefined) {
      const [first, last] = [offsetIn(format, day * dayMs), offsetIn(format, (day + 1) * dayMs)];
      // There and back within one day is what no zone does.
      offset = first === last ? first : null;
      if (ofDays.size >= mostCached) ofDays.clear();
      ofDays.set(day, offset);
    }
    return offset;
  };
  return (ms) => ofDay(Math.floor(ms / dayMs)) ?? offsetIn(format, Math.floor(ms / quarterMs) * quarterMs);
}

function twoDigits(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}

function utcOf(day: string): number | null {
  const [, year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day) ?? [];
  if (year === undefined) return null;
  const utc = Date.UTC(Number(year), Number(month) - 1, Number(date));
  return new Date(utc).toISOString().slice(0, 10) === day ? utc : null;
}

function offsetsOf(zone: string): Intl.DateTimeFormat | null {
  try {
    return new Intl.DateTimeFormat('en-US', {
      ...{ timeZone: zone, hourCycle: 'h23' },
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
    });
  } catch {
    return null;
  }
}

function offsetIn(format: Intl.DateTimeFormat, ms: number): number {
  const parts = new Map<string, number>();
  for (const { type, value } of format.formatToParts(ms)) parts.set(type, Number(value));
  const part = (type: string) => parts.get(type) ?? 0;
  const [year, month, day] = [part('year'), part('month') - 1, part('day')];
  return Date.UTC(year, month, day, part('hour'), part('minute'), part('second')) - ms;
}
