/** Before this, nobody left a list by e-mail: what reads as less is no date. */
const earliest = Date.UTC(1971, 0, 1);

const iso =
  /^(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)? ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$/i;
const mail =
  /^(?:[a-z]{3}, ?)?(\d{1,2}) ([a-z]{3}) (\d{4}) (\d\d):(\d\d)(?::(\d\d))? ?(UTC|GMT|Z|[+-]\d{4})?(?: ?\([a-z ]{1,40}\))?$/i;
const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/**
 * Reads the time at which somebody left: ISO 8601 (a date alone is its midnight), the dates of mails
 * (RFC 5322), seconds or milliseconds since 1970. Where no zone is given, it is UTC.
 *
 * @returns UTC milliseconds; null for what cannot be read surely, such as 01/02/2024.
 */
export function readDate(given: string): number | null {
  const text = given.trim();
  const at = numberOf(text) ?? isoOf(text) ?? mailOf(text);
  return at === null || at < earliest ? null : at;
}

const yearOne = /^(?<before>(?:(?:[a-z]{3}, ?)?\d{1,2} [a-z]{3} )?)0001(?=[- ]|\d{4}(?!\d))/i;

/**
 * An empty cell, or the time that programs in Go write where they have none: in the year 0001, in any of the
 * forms that `readDate` knows, or in Go's own.
 */
export function isNoDate(given: string): boolean {
  if (given === '' || given === '0001-01-01 00:00:00 +0000 UTC') return true;
  // Like the year 1, 2001 has no leap day.
  return yearOne.test(given) && readDate(given.replace(yearOne, '$<before>2001')) !== null;
}

function numberOf(text: string): number | null {
  const [, digits = ''] = /^(\d{9,14})(?:\.\d{1,9})?$/.exec(text) ?? [];
  if (digits === '') return null;
  return digits.length <= 11 ? Math.floor(Number(text) * 1000) : Number(digits);
}

function isoOf(text: string): number | null {
  const [found, year, month, day, hour, minute, second, fraction = '', zone] = iso.exec(text) ?? [];
  if (found === undefined) return null;
  const ms = Number(fraction.slice(0, 3).padEnd(3, '0'));
  return timeOf(
    [year, month, day, hour, minute, second].map((part) => Number(part ?? 0)),
    ms,
    zone,
  );
}

function mailOf(text: string): number | null {
  const [found, day, name = '', year, hour, minute, second, zone] = mail.exec(text) ?? [];
  const month = months.indexOf(name.toLowerCase()) + 1;
  if (found === undefined || month === 0) return null;
  return timeOf(
    [year, month, day, hour, minute, second].map((part) => Number(part ?? 0)),
    0,
    zone,
  );
}

function timeOf(parts: readonly number[], ms: number, zone: string | undefined): number | null {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  const at = Date.UTC(year, month - 1, day, hour, minute, second, ms);
  const back = new Date(at);
  // 31 February and 25 o'clock roll over into other days; a leap second may.
  const isReal = back.getUTCMonth() === month - 1 && back.getUTCDate() === day && hour < 24 && minute < 60;
  return isReal || second === 60 ? at - offsetOf(zone) : null;
}

function offsetOf(zone = ''): number {
  const [, sign, hours, minutes] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
  const ms = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60_000;
  return sign === '-' ? -ms : ms;
}
