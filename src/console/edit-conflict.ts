import { createHash } from 'node:crypto';
import { getLanguage } from '../core/languages.js';
import type { ListSettings } from '../core/list-settings.js';
import type { List } from '../core/lists.js';
import type { Db } from '../db/connect.js';
import type { ListVisit } from './screen.js';

/** What somebody else has set while a form was open. */
export interface Conflict {
  readonly at: number;
  /** Null where it cannot be told. */
  readonly by: string | null;
  /** Set by them, and not touched in the form: there it is as they set it. */
  readonly taken: readonly Difference[];
  /** Set by both: the form keeps what was typed. */
  readonly both: readonly Difference[];
}

interface Difference {
  readonly field: string;
  readonly label: string;
  /** What stands now. */
  readonly now: string;
}

const longestShown = 200; // UTF-16 units

/** What the settings were when a form was opened, as a field of that form: a mark for each. */
export function marksOf({ thankYou, ...others }: ListSettings): string {
  const values = [
    ...Object.entries(others),
    ...Object.entries(thankYou).map(([code, text]) => [`thankYou.${code}`, text]),
  ];
  return JSON.stringify(Object.fromEntries(values.map(([key, value]) => [key, markOf(value)])));
}

/**
 * Tells what was typed apart from what merely stood in the form when it was opened, and puts what stands now in
 * the place of that. Changes the form.
 *
 * @param changes what was sent, where it is other than what stands now.
 */
export async function mergeInto(
  form: URLSearchParams,
  visit: ListVisit,
  list: List,
  changes: Partial<ListSettings>,
  standing: ListSettings,
): Promise<Conflict> {
  const opened = readMarks(form.get('opened'));
  const { thankYou = {}, ...others } = changes;
  const sent: [field: string, value: unknown, now: unknown][] = [
    ...Object.entries(others).map(
      ([key, value]) => [key, value, standing[key as keyof ListSettings]] as [string, unknown, unknown],
    ),
    ...Object.entries(thankYou).map(
      ([code, text]) =>
        [`thankYou.${code}`, text, standing.thankYou[code] ?? ''] as [string, unknown, unknown],
    ),
  ];
  const [taken, both]: [Difference[], Difference[]] = [[], []];
  for (const [field, value, now] of sent) {
    // A language without a text had no mark.
    const before = opened.get(field) ?? (field.startsWith('thankYou.') ? markOf('') : null);
    const difference = { field, label: labelOf(visit, field), now: valueText(visit, field, now) };
    if (markOf(value) === before) {
      put(form, field, now);
      taken.push(difference);
    } else if (markOf(now) !== before) both.push(difference);
  }
  return { at: list.changedAt, by: await whoChanged(visit.deps.db, list, visit.t), taken, both };
}

function markOf(value: unknown): string {
  return createHash('sha256')
    .update(`${typeof value} ${String(value)}`)
    .digest('base64url')
    .slice(0, 12);
}

/** None, where somebody has sent another form than ours: then all of it was typed. */
function readMarks(text: string | null): Map<string, unknown> {
  try {
    return new Map(Object.entries(JSON.parse(text ?? '{}') as Record<string, unknown>));
  } catch {
    return new Map();
  }
}

function put(form: URLSearchParams, field: string, value: unknown): void {
  if (value === false) form.delete(field);
  else form.set(field, value === true ? 'yes' : String((value as string | number | null) ?? ''));
}

function labelOf({ t }: ListVisit, field: string): string {
  const [, code] = /^thankYou\.(.+)$/.exec(field) ?? [];
  return code === undefined
    ? t(`edit.${field}.label`)
    : t('edit.thankYou.of', { language: getLanguage(code).name });
}

function valueText({ t, formats }: ListVisit, field: string, value: unknown): string {
  if (field === 'directLink' || field === 'state') return t(`edit.${field}.${String(value)}`);
  if (field === 'defaultLanguage') return getLanguage(String(value)).name;
  if (typeof value === 'boolean') return t(value ? 'parts.yes' : 'parts.no');
  if (typeof value === 'number') return formats.number(value);
  const text = typeof value === 'string' ? value : '';
  if (text === '') return t('edit.conflict.nothing');
  return text.length > longestShown ? `${text.slice(0, longestShown)} …` : text;
}

interface NotedRow {
  account_id: number;
  list_id: number;
  action: string;
  actor: string;
  at: number;
}

/** The change and its entry of the history were written together, so this need not look far. */
async function whoChanged(db: Db, list: List, t: ListVisit['t']): Promise<string | null> {
  const noted = await db<NotedRow>('history')
    .where({ account_id: list.accountId })
    .whereBetween('at', [list.changedAt - 2000, list.changedAt + 2000])
    .where({ list_id: list.id })
    .whereIn('action', ['list.edited', 'list.archived', 'list.unarchived', 'global-list.marked'])
    .orderBy('at', 'desc')
    .limit(1)
    .first('actor');
  if (noted === undefined) return null;
  const [, id] = /^user:(\d+)$/.exec(noted.actor) ?? [];
  if (id === undefined) return noted.actor === 'cli' ? t('edit.conflict.commandLine') : null;
  const user = await db<{ id: number; name: string }>('users')
    .where({ id: Number(id) })
    .first('name');
  return user?.name ?? null;
}
