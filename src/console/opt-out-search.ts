import { setTimeout as pause } from 'node:timers/promises';
import type { List } from '../core/lists.js';
import type { OptOutKey } from '../core/found-removal-slices.js';
import {
  addressMatches,
  optOutStates,
  readAddressPart,
  type AddressMatch,
  type OptOutFilter,
} from '../core/opt-out-filter.js';
import type { FindPlace } from '../core/opt-out-find.js';
import { sources } from '../core/opt-outs.js';
import { seal, sealingKey, unseal } from '../core/sealed.js';
import { createLocalClock } from '../core/time-zone.js';
import type { Deps } from '../deps.js';
import { Invalid, NotFound, Unavailable } from '../errors.js';
import type { UserVisit } from './screen.js';

/** What stands in the search's form. */
export const searchFields = [
  'address',
  'match',
  'from',
  'to',
  'tag',
  'source',
  'credential',
  'state',
] as const;
export type SearchForm = Readonly<Record<(typeof searchFields)[number], string>>;

export const emptySearch: SearchForm = {
  ...{ address: '', match: 'auto', from: '', to: '', tag: '', source: '', credential: '', state: 'standing' },
};

export function searchFormIn(params: URLSearchParams): SearchForm {
  const fields = searchFields.map((name) => [name, (params.get(name) ?? '').slice(0, 1000)] as const);
  return { ...emptySearch, ...Object.fromEntries(fields.filter(([, value]) => value !== '')) };
}

/**
 * What is searched for.
 *
 * @param zone in which days are meant.
 * @throws Invalid naming the field that does not pass.
 */
export function filterOf(form: SearchForm, zone: string): OptOutFilter {
  const clock = createLocalClock(zone);
  const day = (field: 'from' | 'to', more: number) => {
    if (form[field] === '') return null;
    const start = clock.dayStart(form[field], more);
    if (start === null) throw new Invalid(field, 'malformed', `${field} must be a day, as 2026-01-31`);
    return start;
  };
  const from = day('from', 0);
  // That day is in it, to its end.
  const to = day('to', 1);
  if (from !== null && to !== null && from >= to) {
    throw new Invalid('to', 'before', 'to must not be before from');
  }
  const match = choice('match', form.match, addressMatches);
  return {
    address: readAddressPart(form.address, match),
    ...{ from, to },
    tag: form.tag === '' ? null : form.tag.normalize('NFC'),
    source: form.source === '' ? null : choice('source', form.source, sources),
    credentialId: form.credential === '' ? null : Number(/^\d{1,9}$/.exec(form.credential)?.[0] ?? 0),
    state: choice('state', form.state, optOutStates),
  };
}

function choice<T extends string>(field: string, text: string, choices: readonly T[]): T {
  const found = choices.find((one) => one === text);
  if (found === undefined)
    throw new Invalid(field, 'unknown', `${field} must be one of ${choices.join(', ')}`);
  return found;
}

/** The same search, taken as another kind of text. */
export function searchedAs(form: SearchForm, match: AddressMatch): SearchForm {
  return { ...form, match };
}

/** A search of a list, and where in it somebody is. */
export interface Search {
  readonly form: SearchForm;
  /** Null: on the first page. */
  readonly place: FindPlace | null;
  /** Of the pages before this one, the first of them first: as many as fit into a URL. */
  readonly before: readonly (FindPlace | null)[];
}

const longestBefore = 2000;

export function firstPage(form: SearchForm): Search {
  return { form, place: null, before: [] };
}

export function nextPage({ form, place, before }: Search, next: FindPlace): Search {
  let passed = [...before, place];
  while (JSON.stringify(passed).length > longestBefore) passed = passed.slice(1);
  return { form, place: next, before: passed };
}

/** Null on the first page, and where nobody knows any more where the page before began. */
export function previousPage({ form, before }: Search): Search | null {
  const place = before.at(-1);
  return place === undefined ? null : { form, place, before: before.slice(0, -1) };
}

/** Sealed for one list: what was typed, and the place, may be an address, and URLs get logged. */
export function searchToken({ secret }: Deps, list: List, { form, place, before }: Search): string {
  const fields = searchFields.map((name) => form[name]);
  const message = Buffer.from(JSON.stringify([fields, place, before]));
  return seal(keyFor(secret, list, 'search'), message).toString('base64url');
}

/** @throws NotFound for a token that was not given for this list. */
export function searchIn({ secret }: Deps, list: List, token: string): Search {
  const message = unseal(keyFor(secret, list, 'search'), Buffer.from(token, 'base64url'));
  if (message === null) throw new NotFound('There is no such search.');
  type Told = [string[], FindPlace | null, (FindPlace | null)[] | undefined];
  const [fields, place, before = []] = JSON.parse(message.toString()) as Told;
  const form = Object.fromEntries(searchFields.map((name, i) => [name, fields[i] ?? '']));
  return { form: form as SearchForm, place, before };
}

/** So many opt-outs can be ticked at once. */
export const mostTicked = 1000;

/** Those that a form has ticked, on this page and on others. @throws NotFound for what is no opt-out. */
export function tickedIn(form: URLSearchParams | null): string[] {
  const ids = [...new Set(form?.getAll('optOut') ?? [])];
  for (const id of ids) keyOfOptOut(id);
  return ids;
}

function keyFor(secret: string, list: List, what: string): Buffer {
  return sealingKey(secret, `${what} in the console`, list.publicId);
}

/** Any other state of a page of one list, sealed likewise. */
export function sealedState<T>({ secret }: Deps, list: List, what: string, state: T): string {
  return seal(keyFor(secret, list, what), Buffer.from(JSON.stringify(state))).toString('base64url');
}

/** @throws NotFound */
export function stateIn<T>({ secret }: Deps, list: List, what: string, token: string): T {
  const message = unseal(keyFor(secret, list, what), Buffer.from(token, 'base64url'));
  if (message === null) throw new NotFound('There is no such page.');
  return JSON.parse(message.toString()) as T;
}

/** How an opt-out is named in URLs and forms: its key and its tag, no address. */
export function idOfOptOut({ address_key, tag }: OptOutKey): string {
  return Buffer.concat([address_key, tag]).toString('base64url');
}

const longestId = 200;

/** @throws NotFound */
export function keyOfOptOut(id: string | undefined): OptOutKey {
  const octets =
    id !== undefined && id.length <= longestId && /^[\w-]+$/.test(id) ? Buffer.from(id, 'base64url') : null;
  if (octets === null || octets.length < 17 || octets.length > 16 + 128) {
    throw new NotFound('There is no such opt-out.');
  }
  return { address_key: octets.subarray(0, 16), tag: octets.subarray(16) };
}

/** Whole lists that are gone through at the same time, for one service: each takes a share of its one thread. */
const mostAtOnce = 3;
const patienceMs = 2000;
/** Whose they are: one of a user's at a time, so that nobody takes all places. */
const underWay = new WeakMap<Deps, Set<number>>();

/** @throws Unavailable where too many are at it. */
export async function goingThrough<T>({ deps, user }: UserVisit, work: () => Promise<T>): Promise<T> {
  const users = underWay.get(deps) ?? new Set();
  underWay.set(deps, users);
  const deadline = performance.now() + patienceMs;
  while (users.has(user.id) || users.size >= mostAtOnce) {
    if (performance.now() > deadline) throw new Unavailable('too many searches go through whole lists');
    await pause(50);
  }
  users.add(user.id);
  try {
    return await work();
  } finally {
    users.delete(user.id);
  }
}
