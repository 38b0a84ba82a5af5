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
  /** What stands now, where something else was typed: the setting's name, and its value. */
  readonly differences: readonly { readonly field: string; readonly label: string; readonly now: string }[];
}

const longestShown = 200; // UTF-16 units

/** @param changes what was typed, where it is other than what stands now. */
export async function conflictOf(
  visit: ListVisit,
  list: List,
  changes: Partial<ListSettings>,
  standing: ListSettings,
): Promise<Conflict> {
  const { thankYou = {}, ...others } = changes;
  const { t } = visit;
  const nothing = t('edit.conflict.nothing');
  const shown = (text: string) => {
    if (text === '') return nothing;
    return text.length > longestShown ? `${text.slice(0, longestShown)} …` : text;
  };
  const differences = Object.keys(others).map((field) => ({
    field,
    label: t(`edit.${field}.label`),
    now: shown(valueText(visit, field, standing[field as keyof ListSettings])),
  }));
  const texts = Object.keys(thankYou).map((code) => ({
    field: `thankYou.${code}`,
    label: t('edit.thankYou.of', { language: getLanguage(code).name }),
    now: shown(standing.thankYou[code] ?? ''),
  }));
  return {
    at: list.changedAt,
    by: await whoChanged(visit.deps.db, list, t),
    differences: [...differences, ...texts],
  };
}

function valueText({ t, formats }: ListVisit, field: string, value: unknown): string {
  if (field === 'directLink' || field === 'state') return t(`edit.${field}.${String(value)}`);
  if (field === 'defaultLanguage') return getLanguage(String(value)).name;
  if (typeof value === 'boolean') return t(value ? 'parts.yes' : 'parts.no');
  if (typeof value === 'number') return formats.number(value);
  return typeof value === 'string' ? value : '';
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
