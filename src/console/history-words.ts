import type { HistoryEntry } from '../core/history-read.js';
import { namesOf } from '../core/names-of.js';
import { surfaces } from '../surfaces.js';
import { formatText } from './downloads.js';
import type { AnyVisit } from './screen.js';
import { hasConsoleText } from './texts.js';

/** What was done, in words. */
export interface ActionShown {
  readonly text: string;
  /** What more the entry tells, a few words each. */
  readonly details: readonly string[];
}

type Words = Pick<AnyVisit, 'deps' | 't' | 'formats'>;
type Details = HistoryEntry['details'];

/** What entries name by their ids. */
const named = { mailer: 'mailers', credential: 'credentials', user: 'users' } as const;

/** Tags and settings that are told one by one. */
const mostTold = 12;

/** An action in words: names are looked up for all entries at once. */
export async function actionsShown(
  visit: Words,
  entries: readonly HistoryEntry[],
): Promise<(entry: HistoryEntry) => ActionShown> {
  const names = new Map<string, Map<number, string>>();
  for (const [key, table] of Object.entries(named)) {
    const ids = entries.flatMap(({ details }) =>
      Number.isInteger(details[key]) ? [Number(details[key])] : [],
    );
    names.set(key, await namesOf(visit.deps.db, table, ids));
  }
  return ({ action, details }) => ({
    text: sentence(visit, action, details, names),
    details: Object.entries(told).flatMap(([key, inWords]) => {
      const value = details[key];
      const text = value === undefined || value === null ? null : inWords(visit, value, action);
      return text === null || text === '' ? [] : [text];
    }),
  });
}

/** What nobody has given a text is told by its code: better than not at all. */
function sentence(
  { t }: Words,
  action: string,
  details: Details,
  names: ReadonlyMap<string, ReadonlyMap<number, string>>,
): string {
  const key = `history.action.${action}`;
  if (!hasConsoleText(key)) return action;
  const values = Object.keys(named).flatMap((one) => {
    const id = details[one];
    if (!Number.isInteger(id)) return [];
    return [[one, names.get(one)?.get(Number(id)) ?? t('history.number', { id: Number(id) })]];
  });
  return t(key, Object.fromEntries(values) as Record<string, string>);
}

/** Of the details, those that are told, in this order; whatever else an entry holds is not for people. */
const told: Record<string, (words: Words, value: unknown, action: string) => string | null> = {
  settings: ({ t }, value) => t('history.detail.settings', { settings: listed(t, value, 'history.setting') }),
  name: ({ t }, value) => t('history.detail.name', { name: textOf(value) }),
  time_zone: ({ t }, value) => t('history.detail.timeZone', { zone: textOf(value) }),
  zip_password: ({ t }, value) =>
    t(value === 'cleared' ? 'history.detail.zipCleared' : 'history.detail.zipSet'),
  zip_cipher: ({ t }, value) => t('history.detail.zipCipher', { cipher: textOf(value) }),
  surface: ({ t }, value) => {
    const title = surfaces.find(({ name }) => name === value)?.title;
    return title ?? (value === 'console' ? t('history.detail.console') : textOf(value));
  },
  format: ({ t }, value) => t('history.detail.format', { format: formatText(t, textOf(value)) }),
  role: ({ t }, value) =>
    hasConsoleText(`nav.role.${textOf(value)}`) ? t(`nav.role.${textOf(value)}`) : null,
  rights: ({ t }, value) =>
    t('history.detail.rights', { rights: listed(t, textOf(value).split(','), 'credentials.right') }),
  tags: ({ t }, value) => t('history.detail.tags', { tags: listed(t, value, null) }),
  tag: ({ t }, value) => (value === '*' ? null : t('history.detail.tag', { tag: textOf(value) })),
  what: ({ t }, value) =>
    hasConsoleText(`history.try.${textOf(value)}`) ? t(`history.try.${textOf(value)}`) : null,
  test: ({ t }, value) => (value === true ? t('history.detail.test') : null),
  kind: ({ t }, value) => (value === 'all' ? t('history.detail.whole') : null),
  opt_outs: counted('history.detail.optOuts'),
  rows: counted('history.detail.rows'),
  entries: counted('history.detail.rows'),
  not_expressed: counted('history.detail.notExpressed'),
  recorded: counted('history.detail.recorded'),
  refused: (words, value) => (value === 0 ? null : counted('history.detail.refused')(words, value)),
  is_whole: ({ t }, value) => (value === false ? t('history.detail.notWhole') : null),
  keys: counted('history.detail.keys'),
  ending: (_, value) => `…${textOf(value)}`,
  sessions: counted('history.detail.sessions'),
  removal: ({ t }, value) => t('history.detail.removal', { id: textOf(value) }),
  burst: ({ t }, value) => t('history.detail.burst', { id: textOf(value) }),
  overlap_ms: (words, value) => durationText(words, Number(value), 'history.detail.overlap'),
  after_ms: (words, value) => durationText(words, Number(value), 'history.detail.after'),
};

function counted(key: string) {
  return ({ t, formats }: Words, value: unknown): string | null =>
    typeof value === 'number' ? t(key, { count: value, shown: formats.number(value) }) : null;
}

/** Between commas; codes that have a text of their own in it. */
function listed(t: Words['t'], value: unknown, keys: string | null): string {
  const all = Array.isArray(value) ? value.map(textOf) : [];
  const texts = all.slice(0, mostTold).map((one) => {
    const key = `${keys}.${one}`;
    return keys !== null && hasConsoleText(key) ? t(key) : one;
  });
  const more = all.length - texts.length;
  return [...texts, ...(more > 0 ? [t('mailers.andMore', { shown: more })] : [])].join(
    t('credentials.comma'),
  );
}

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
] as const;

function durationText({ t }: Words, ms: number, key: string): string {
  const [unit, size] = units.find(([, one]) => ms >= one) ?? ['minute', 60_000];
  const count = Math.round(ms / size);
  return ms <= 0 ? t(`${key}None`) : t(key, { time: t(`history.duration.${unit}`, { count }) });
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value).slice(0, 300) : '';
}
