import { seal, sealingKey, unseal } from '../core/sealed.js';
import type { Deps } from '../deps.js';
import { invalid } from './problems.js';

/** Where a page of the feed begins. */
export interface FeedPlace {
  /** A cursor of the core's: in the list's part, from before its first page. */
  readonly feed: string;
  /** In the list's part, the key of an address; null among the changes. */
  readonly behind: Buffer | null;
}

/** The list, and all else that decides what stands in its feed. */
type Stream = readonly string[];

/** Sealed: the key of an address is its MD5, and URLs get logged. */
export function feedCursor({ secret }: Deps, stream: Stream, { feed, behind }: FeedPlace): string {
  const text = behind === null ? feed : `${feed}:${behind.toString('hex')}`;
  return seal(keyFor(secret, stream), Buffer.from(text)).toString('base64url');
}

/** @throws ApiProblem for one that this feed has not given. */
export function openFeedCursor({ secret }: Deps, stream: Stream, cursor: string): FeedPlace {
  const text = unseal(keyFor(secret, stream), Buffer.from(cursor, 'base64url'))?.toString();
  if (text === undefined) {
    const detail = 'It must be the next_cursor of a page of this feed, with the same format and tag.';
    throw invalid([{ parameter: 'cursor', code: 'malformed', detail }]);
  }
  const [feed = '', behind] = text.split(':');
  return { feed, behind: behind === undefined ? null : Buffer.from(behind, 'hex') };
}

function keyFor(secret: string, stream: Stream): Buffer {
  return sealingKey(secret, 'cursor of a feed', ...stream);
}

/** @param next null: there is nothing more for now. */
export function linksTo(
  { baseUrl }: Deps,
  listId: string,
  query: Readonly<Record<string, string | number | undefined>>,
  next: string | null,
): Readonly<Record<string, string>> {
  const link = (rel: string, cursor: string | undefined) => {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...query, cursor })) {
      if (value !== undefined) parameters.set(name, String(value));
    }
    return `<${baseUrl}/api/v1/lists/${listId}/feed?${parameters.toString()}>; rel="${rel}"`;
  };
  const links = [link('first', undefined), ...(next === null ? [] : [link('next', next)])];
  return { Link: links.join(', ') };
}
