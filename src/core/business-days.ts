import { createLocalClock } from './time-zone.js';

/**
 * The end of the tenth business day after the day of a time. CAN-SPAM has 10 business days for honouring an opt-out
 * (15 USC 7704(a)(4)(A)(i)). Saturdays and Sundays are none; holidays, which differ, are taken for business days, so
 * the deadline that comes out is never too late.
 *
 * @param at UTC milliseconds.
 * @param zone a name of the IANA database: whose days they are.
 */
export function tenBusinessDaysAfter(at: number, zone: string): number {
  const { text, dayStart } = createLocalClock(zone);
  const day = text(at).slice(0, 10);
  const weekday = new Date(`${day}T00:00:00Z`).getUTCDay();
  let more = 0;
  for (let left = 10; left > 0;) {
    more++;
    const isWeekend = [0, 6].includes((weekday + more) % 7);
    if (!isWeekend) left--;
  }
  // A day of the calendar, so there is always one.
  return dayStart(day, more + 1) ?? at;
}
