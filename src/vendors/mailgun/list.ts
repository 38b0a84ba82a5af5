import { domainToASCII } from 'node:url';
import { parseAddress } from '../../core/address.js';
import { listsThatCount } from '../../core/global-list.js';
import { searchByAddress, type SearchOptions } from '../../core/opt-out-search.js';
import type { Deps } from '../../deps.js';
import { queryOf } from '../../http/request.js';
import { done, invalid, recordOf, type Answer } from './answers.js';
import type { Call } from './call.js';

const defaultLimit = 100;
/** What is beyond it is cut down, not refused: there are programs that ask for 10,000. */
const mostLimit = 1000;

interface Page {
  readonly limit: number;
  readonly term: string;
  readonly search: SearchOptions;
  /** Null where the page is told from the beginning or the end. */
  readonly pivot: string | null;
}

/** A page of the list by address, with the URLs of those around it. */
export async function list({ deps, req, list: { id }, domain }: Call): Promise<Answer> {
  const page = pageOf(queryOf(req));
  const lists = await listsThatCount(deps.db, id);
  const found = await searchByAddress(deps.db, lists, page.search);
  const items = found.map(({ address, optOuts }) => recordOf(address, optOuts));
  const [first, last] = [items[0]?.address, items.at(-1)?.address];
  const urlOf = urlsOf(deps, domain, page);
  if (first !== undefined && last !== undefined) {
    const paging = { ...urlOf.ends, next: urlOf.next(last), previous: urlOf.previous(first) };
    return done({ items, paging });
  }
  const { prefix = '' } = page.search;
  const isEmpty =
    page.pivot === null || (await searchByAddress(deps.db, lists, { prefix, limit: 1 })).length === 0;
  return done({ items, paging: isEmpty ? urlOf.nothing : beyondTheEnd(page, urlOf) });
}

/** Who came too far finds the way back: behind the last page lies the last one, not the one before it. */
function beyondTheEnd({ search, pivot }: Page, { ends, next, previous }: ReturnType<typeof urlsOf>) {
  const at = pivot ?? '';
  return search.backwards === true
    ? { ...ends, next: ends.first, previous: previous(at) }
    : { ...ends, next: next(at), previous: ends.last };
}

/** Absolute, as `new URL()` takes them. */
function urlsOf({ baseUrl }: Deps, domain: string, { limit, term }: Page) {
  const base = `${baseUrl}/v3/${encodeURIComponent(domain)}/unsubscribes`;
  const rest = `limit=${limit}&term=${encodeURIComponent(term)}`;
  const url = (query: string) => `${base}?${query}${rest}`;
  const first = url('');
  return {
    ends: { first, last: url('page=last&') },
    next: (address: string) => url(`page=next&address=${encodeURIComponent(address)}&`),
    previous: (address: string) => url(`page=previous&address=${encodeURIComponent(address)}&`),
    nothing: { first, next: first, previous: first, last: first },
  };
}

/** @throws HttpError 400 */
function pageOf(query: URLSearchParams): Page {
  const limit = limitOf(query.get('limit')?.trim() ?? '');
  const term = query.get('term') ?? '';
  const prefix = prefixOf(term);
  const name = (query.get('page') ?? '').trim().toLowerCase();
  const page = (pivot: string | null, backwards: boolean) => ({
    ...{ limit, term, pivot },
    search: { prefix, limit, beyond: pivot, backwards },
  });
  switch (name) {
    case '':
    case 'first':
      return page(null, false);
    case 'last':
      return page(null, true);
    case 'next':
      return page(pivotOf(query.get('address') ?? ''), false);
    case 'previous':
    case 'prev':
      return page(pivotOf(query.get('address') ?? ''), true);
    default:
      throw invalid(`Invalid parameter: page ${name.slice(0, 100)}`);
  }
}

/** 0 is what programs send that mean nothing by it. */
function limitOf(text: string): number {
  if (!/^\d*$/.test(text)) throw invalid(`Invalid parameter: limit ${text.slice(0, 100)}`);
  return Math.min(Number(text) || defaultLimit, mostLimit);
}

/** It need not be in the list any more. */
function pivotOf(text: string): string {
  const result = parseAddress(text, { query: true });
  if (!result.ok) throw invalid(`Invalid parameter: pivot ${text.slice(0, 320)}`);
  return result.address.normalised;
}

/** The beginning of an address in the form in which the list holds them, as far as a beginning tells. */
export function prefixOf(term: string): string {
  // In a query, a space is a plus that nobody encoded; within quotes it may be one.
  const text = term.trimStart().startsWith('"') ? term.trim() : term.trim().replaceAll(' ', '+');
  const folded = text.normalize('NFC').toLowerCase().normalize('NFC');
  const at = folded.lastIndexOf('@');
  const domain = folded.slice(at + 1);
  // eslint-disable-next-line no-control-regex
  if (at === -1 || /^[\x00-\x7f]*$/.test(domain)) return folded;
  return `${folded.slice(0, at + 1)}${domainToASCII(domain) || domain}`;
}
