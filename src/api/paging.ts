import { z } from 'zod';
import { seal, sealingKey, unseal } from '../core/sealed.js';
import type { Deps } from '../deps.js';
import { invalid } from './problems.js';

/** Where a page begins: beyond a place in the order, forwards or backwards. */
export interface Place {
  readonly beyond: string;
  readonly backwards: boolean;
}

/** A page, and whether there is more on either side of it. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly hasPrevious: boolean;
  readonly hasNext: boolean;
  /** Its ends, where these are not its first and its last item: as `placeIn` tells of an item. */
  readonly start?: string | undefined;
  readonly end?: string | undefined;
}

export const cursorParameter = z.string().min(1).max(1000).optional().meta({
  description: 'Where to go on: as the Link headers of the page before have it. Opaque.',
});

/**
 * Which search a cursor belongs to: the operation, and all that it was asked.
 *
 * A cursor names a place by what stands there, which may be an address, and URLs get logged: so it is sealed.
 */
type Search = readonly string[];

const version = '1';

function cursorOf({ secret }: Deps, search: Search, { beyond, backwards }: Place): string {
  const key = sealingKey(secret, 'cursor', version, ...search);
  return seal(key, Buffer.from(`${backwards ? '<' : '>'}${beyond}`)).toString('base64url');
}

/**
 * @param cursor undefined: the first page.
 * @throws ApiProblem for one that was not given for this search.
 */
export function placeOf({ secret }: Deps, search: Search, cursor: string | undefined): Place | null {
  if (cursor === undefined) return null;
  const key = sealingKey(secret, 'cursor', version, ...search);
  const text = unseal(key, Buffer.from(cursor, 'base64url'))?.toString();
  if (text === undefined) {
    const detail = 'It must be one that a Link header of this same search has given.';
    throw invalid([{ parameter: 'cursor', code: 'malformed', detail }]);
  }
  return { beyond: text.slice(1), backwards: text.startsWith('<') };
}

/**
 * Asks for one more than the page holds, which tells whether anything follows.
 *
 * @param find those beyond the place, in ascending order either way.
 */
export async function readPage<T>(
  place: Place | null,
  limit: number,
  find: (most: number) => Promise<readonly T[]>,
): Promise<Page<T>> {
  return pageOf(place, limit, await find(limit + 1));
}

/**
 * Makes a page of what was found.
 *
 * @param found one more than the page holds, where there are as many.
 * @param stoppedAt where the search has ended before it had found them: from there the next page goes on.
 */
export function pageOf<T>(
  place: Place | null,
  limit: number,
  found: readonly T[],
  stoppedAt: string | null = null,
): Page<T> {
  const isMore = found.length > limit || stoppedAt !== null;
  const isAny = found.length > 0 || stoppedAt !== null;
  const stop = stoppedAt ?? undefined;
  // Of an empty page, both ends are there.
  const otherEnd = found.length === 0 ? stop : undefined;
  if (place?.backwards === true) {
    const items = found.length > limit ? found.slice(1) : found;
    return { items, hasPrevious: isMore, hasNext: isAny, start: stop, end: otherEnd };
  }
  const items = found.slice(0, limit);
  return { items, hasPrevious: place !== null && isAny, hasNext: isMore, start: otherEnd, end: stop };
}

/**
 * The header that leads to the other pages (RFC 8288), in absolute URLs.
 *
 * @param path below /api/v1.
 * @param query what was asked, without its cursor.
 */
export function linkHeader<T>(
  deps: Deps,
  search: Search,
  { items, hasPrevious, hasNext, start, end }: Page<T>,
  {
    path,
    query,
    placeIn,
  }: {
    path: string;
    query: Readonly<Record<string, string | number | undefined>>;
    placeIn: (item: T) => string;
  },
): Readonly<Record<string, string>> {
  const link = (rel: string, place: Place | null) => {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) parameters.set(name, String(value));
    }
    if (place !== null) parameters.set('cursor', cursorOf(deps, search, place));
    const text = parameters.toString();
    return `<${deps.baseUrl}/api/v1${path}${text === '' ? '' : `?${text}`}>; rel="${rel}"`;
  };
  const [first, last] = [items.at(0), items.at(-1)];
  const from = start ?? (first === undefined ? undefined : placeIn(first));
  const to = end ?? (last === undefined ? undefined : placeIn(last));
  const links = [link('first', null)];
  if (hasPrevious && from !== undefined) links.push(link('prev', { beyond: from, backwards: true }));
  if (hasNext && to !== undefined) links.push(link('next', { beyond: to, backwards: false }));
  return { Link: links.join(', ') };
}
