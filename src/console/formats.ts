import type { ConsoleLanguage } from '../core/users.js';

/** Numbers and times as a reader of the language writes them. */
export interface Formats {
  readonly zone: string;
  number(n: number): string;
  /** 23 Nov 2026, 09:15 */
  time(ms: number): string;
  /** 23 Nov 2026 */
  day(ms: number): string;
  /** ISO 8601, for `<time datetime>`. */
  iso(ms: number): string;
  /** 512 KB */
  octets(n: number): string;
  /** 3 minutes ago, in 2 days */
  fromNow(ms: number, now: number): string;
}

const locales: Record<ConsoleLanguage, string> = { en: 'en-GB', ja: 'ja-JP' };
/** Octets, as people call them. */
const bytes: Readonly<Record<string, string>> = { 'ja-JP': 'バイト' };
const cache = new Map<string, Formats>();
/** Zones times languages that are in use; far more than there will be. */
const mostCached = 1000;

/** @param zone of the IANA database. */
export function formatsFor(language: ConsoleLanguage, zone: string): Formats {
  const key = `${language} ${zone}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = makeFormats(locales[language], zone);
  if (cache.size >= mostCached) cache.clear();
  cache.set(key, made);
  return made;
}

const steps: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
];

function makeFormats(locale: string, zone: string): Formats {
  const numbers = new Intl.NumberFormat(locale);
  const days = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeZone: zone });
  const times = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone: zone });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
  return {
    zone,
    number: (n) => numbers.format(n),
    time: (ms) => times.format(ms),
    day: (ms) => days.format(ms),
    iso: (ms) => new Date(ms).toISOString(),
    octets: (n) => {
      if (n < 1000) return `${numbers.format(n)} ${bytes[locale] ?? 'bytes'}`;
      const [unit, size] =
        n < 1e6 ? (['KB', 1e3] as const) : n < 1e9 ? (['MB', 1e6] as const) : (['GB', 1e9] as const);
      const value = n / size;
      return `${numbers.format(value < 10 ? Math.round(value * 10) / 10 : Math.round(value))} ${unit}`;
    },
    fromNow: (ms, now) => {
      const apart = ms - now;
      const [unit, size] = steps.find(([, step]) => Math.abs(apart) >= step) ?? ['minute', 60_000];
      return relative.format(Math.round(apart / size), unit);
    },
  };
}
