import type { AskedTag } from '../core/asked-tag.js';
import { fileTypes, type FileType } from '../core/entry-lines.js';
import { formats, type Format } from '../core/entry-texts.js';
import { returns, type Returns } from '../core/scrub.js';
import { Invalid } from '../errors.js';

export interface DownloadRequest {
  readonly format: Format;
  readonly fileType: FileType;
  readonly tag: AskedTag | null;
  /** UTC milliseconds. */
  readonly since: number | null;
  readonly cursor: string | null;
  /** A gzip file, whatever the client accepts. */
  readonly isGzipFile: boolean;
}

const ofDownload = ['key', 'format', 'as', 'tag', 'c', 'since', 'cursor', 'gzip'];
const ofScrub = ['key', 'return', 'tag', 'c'];

/**
 * Reads the parameters of a download.
 *
 * @throws Invalid naming the parameter: an unknown one, too, since a misspelt `since` would otherwise
 *   bring the whole list.
 */
export function readDownloadRequest(query: URLSearchParams): DownloadRequest {
  checkNames(query, ofDownload);
  const format = oneOf('format', query.get('format') ?? 'md5', formats);
  const fileType = oneOf('as', query.get('as') ?? 'text', fileTypes);
  const gzip = oneOf('gzip', query.get('gzip') ?? 'no', ['no', 'yes'] as const);
  const tag = readTag(query);
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

export interface ScrubRequest {
  readonly returns: Returns;
  readonly tag: AskedTag | null;
}

/**
 * Reads the parameters of a scrub.
 *
 * @throws Invalid naming the parameter. Which list is to come back has to be said: who takes the one for the
 *   other mails exactly those who have left.
 */
export function readScrubRequest(query: URLSearchParams): ScrubRequest {
  checkNames(query, ofScrub);
  return { returns: oneOf('return', query.get('return') ?? '', returns), tag: readTag(query) };
}

function checkNames(query: URLSearchParams, known: readonly string[]): void {
  for (const name of new Set(query.keys())) {
    if (!known.includes(name))
      throw new Invalid(name, 'unknown', `there is no parameter ${JSON.stringify(name.slice(0, 50))}`);
    if (query.getAll(name).length > 1) throw new Invalid(name, 'several', `${name} is given more than once`);
  }
}

function readTag(query: URLSearchParams): AskedTag | null {
  const tag = query.get('tag');
  const campaign = query.get('c');
  if (tag !== null && campaign !== null) throw new Invalid('c', 'conflict', 'send tag or c, not both');
  if (tag !== null) return { text: tag, isCampaign: false };
  return campaign === null ? null : { text: campaign, isCampaign: true };
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
