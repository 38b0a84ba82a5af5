import type { List } from '../core/lists.js';
import { findTags } from '../core/tags.js';
import type { Db } from '../db/connect.js';
import { Invalid } from '../errors.js';
import { fileTypes, formats, type FileType, type Format } from './formats.js';

export interface DownloadRequest {
  readonly format: Format;
  readonly fileType: FileType;
  readonly tag: string | undefined;
  /** UTC milliseconds. */
  readonly since: number | null;
  readonly cursor: string | null;
  /** A gzip file, whatever the client accepts. */
  readonly isGzipFile: boolean;
}

const known = new Set(['key', 'format', 'as', 'tag', 'since', 'cursor', 'gzip']);

/**
 * Reads the parameters of a download.
 *
 * @throws Invalid naming the parameter: an unknown one, too, since a misspelt `since` would otherwise
 *   bring the whole list.
 */
export function readDownloadRequest(query: URLSearchParams): DownloadRequest {
  for (const name of new Set(query.keys())) {
    if (!known.has(name))
      throw new Invalid(name, 'unknown', `there is no parameter ${JSON.stringify(name.slice(0, 50))}`);
    if (query.getAll(name).length > 1) throw new Invalid(name, 'several', `${name} is given more than once`);
  }
  const format = oneOf('format', query.get('format') ?? 'md5', formats);
  const fileType = oneOf('as', query.get('as') ?? 'text', fileTypes);
  const gzip = oneOf('gzip', query.get('gzip') ?? 'no', ['no', 'yes'] as const);
  const tag = query.get('tag') ?? undefined;
  const since = query.get('since');
  const cursor = query.get('cursor');
  if (since !== null && cursor !== null)
    throw new Invalid('since', 'conflict', 'send since or cursor, not both');
  return {
    format,
    fileType,
    tag,
    since: since === null ? null : readDate('since', since),
    cursor,
    isGzipFile: gzip === 'yes',
  };
}

/**
 * A tag that the global list alone knows passes as well: mail of any list may carry it.
 *
 * @param listIds the lists that count.
 * @throws Invalid
 */
export async function checkTag(
  db: Db,
  list: List,
  listIds: readonly number[],
  tag: string | undefined,
): Promise<void> {
  if (tag === undefined || list.tags.has(tag)) return;
  for (const id of listIds) if (id !== list.id && (await findTags(db, id)).has(tag)) return;
  throw new Invalid('tag', 'unknown', 'this list does not know that tag');
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new Invalid(name, 'unknown', `${name} must be ${allowed.join(' or ')}`);
  return found;
}

/** A day (from its beginning in UTC) or a time with its zone: RFC 3339. */
function readDate(name: string, text: string): number {
  const isDate = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/i.test(
    // A + of a zone that was not encoded arrives as a space.
    text.replace(' ', '+'),
  );
  const time = isDate ? Date.parse(text.replace(' ', '+').toUpperCase()) : NaN;
  // Date.parse goes on into the next month: 30 February is 2 March to it.
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  const isReal = !Number.isNaN(time) && day.toISOString().startsWith(text.slice(0, 10));
  if (!isReal) {
    throw new Invalid(name, 'malformed', `${name} must be a date such as 2026-01-31 or 2026-01-31T12:00:00Z`);
  }
  return time;
}
