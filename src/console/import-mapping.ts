import type { Delimiter } from '../core/csv.js';
import { plainImport, type ImportJobOptions } from '../core/import-jobs.js';
import type { Mapping } from '../core/import-layout.js';
import { columnRoles, columnsOf, type ColumnRole } from '../core/import-mapping.js';
import type { ImportPreview } from '../core/import-preview.js';
import type { List } from '../core/lists.js';
import { EVERYTHING } from '../core/opt-outs.js';
import { Invalid } from '../errors.js';

/** The form in which somebody says how a file is to be read. */

/** What parts the columns: as the form calls it. `none`: each line is an address or a hash. */
export const separators = ['comma', 'semicolon', 'tab', 'none'] as const;
type Separator = (typeof separators)[number];

const delimiters: Readonly<Record<Exclude<Separator, 'none'>, Delimiter>> = {
  comma: ',',
  semicolon: ';',
  tab: '\t',
};

/** More columns nobody is asked about. */
const mostColumns = 500;

export interface MappingForm {
  /** Without a mapping where other columns than those that were shown are to be found: nobody has mapped these. */
  readonly options: Partial<ImportJobOptions>;
  readonly delimiter: Delimiter | null;
}

/** @throws Invalid */
export function mappingIn(form: URLSearchParams, list: List): MappingForm {
  const separator = separators.find((one) => one === form.get('separator'));
  if (separator === undefined)
    throw new Invalid('separator', 'unknown', 'separator must be one of the choices');
  const tag = form.get('tag') ?? EVERYTHING;
  if (tag !== EVERYTHING && !list.tags.has(tag))
    throw new Invalid('tag', 'unknown', 'tag must be one of the list');
  const common = { tag, addsTags: form.has('addsTags'), severalTags: form.has('severalTags') };
  if (separator === 'none') return { options: { ...common, mapping: { type: 'lines' } }, delimiter: null };
  const delimiter = delimiters[separator];
  // These columns have not been seen yet.
  if (form.get('shownSeparator') !== separator) return { options: common, delimiter };
  const columns = columnsOf(rolesIn(form));
  const mapping: Mapping = { type: 'csv', delimiter, hasHeader: form.has('hasHeader'), columns };
  return { options: { ...common, mapping }, delimiter };
}

/** Of each column that the form was sent with. */
function rolesIn(form: URLSearchParams): ColumnRole[] {
  const roles: ColumnRole[] = [];
  for (let place = 0; place < mostColumns && form.has(`column${place}`); place++) {
    roles.push(columnRoles.find((role) => role === form.get(`column${place}`)) ?? 'ignore');
  }
  return roles;
}

export function separatorOf({ mapping }: { readonly mapping: Mapping }): Separator {
  if (mapping.type === 'lines') return 'none';
  return separators.find((one) => one !== 'none' && delimiters[one] === mapping.delimiter) ?? 'comma';
}

export interface ShownColumn {
  readonly field: string;
  readonly role: ColumnRole;
  /** Null where the first line is no heading. */
  readonly name: string | null;
  /** What stands in it, in the first rows where anything does. */
  readonly samples: readonly string[];
}

const mostSamples = 3;
const longestSample = 60; // characters

/** The columns as the form shows them, with some of what stands in them. */
export function columnsShown({ columns, rows, options }: ImportPreview): ShownColumn[] {
  if (options.mapping.type === 'lines') return [];
  return columns.map(({ role, name }, place) => {
    const cells = rows.slice(0, 50).map(({ cells }) => (cells[place] ?? '').slice(0, longestSample));
    const samples = [...new Set(cells.filter((cell) => cell !== ''))].slice(0, mostSamples);
    return { field: `column${place}`, role, name, samples };
  });
}

/** All that a form starts a job with. */
export function wholeOptions(options: Partial<ImportJobOptions>): ImportJobOptions {
  return { ...plainImport, ...options };
}
