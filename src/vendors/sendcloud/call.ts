import type { IncomingMessage } from 'node:http';
import type { Credential } from '../../core/credentials.js';
import { allowsList } from '../../core/credentials.js';
import { findNamedList, namesOnSurface } from '../../core/list-names.js';
import { getGlobalMark } from '../../core/global-list.js';
import { getListById, listsOfAccount, type List } from '../../core/lists.js';
import type { Db } from '../../db/connect.js';
import type { Deps } from '../../deps.js';
import { mediaTypeOf, queryOf, readForm } from '../../http/request.js';
import { Failure } from './answers.js';
import { dayStart, isTooLong, lastDays, nextDay } from './times.js';

export const surfaceName = 'sendcloud';

/** One of the account's lists, under the name by which it goes here. */
export interface ApiUserList {
  readonly apiUser: string;
  readonly list: List;
}

/** The parameters of a call: of the query, and of the body where there is one, urlencoded or multipart. */
export async function parametersOf(req: IncomingMessage): Promise<URLSearchParams> {
  const parameters = queryOf(req);
  if (req.method === 'POST' && mediaTypeOf(req) !== '') {
    for (const [name, value] of await readForm(req)) parameters.set(name, value);
  }
  return parameters;
}

const mostPassed = 100_000;

/** @throws Failure 40002, 40004 */
export function pageOf(parameters: URLSearchParams): { start: number; limit: number } {
  const number = (name: string, otherwise: number) => {
    const text = parameters.get(name)?.trim() ?? '';
    return text === '' ? otherwise : /^\d{1,9}$/.test(text) ? Number(text) : null;
  };
  const start = number('start', 0);
  if (start === null) throw new Failure(40002);
  // All before it is gone through with each page.
  if (start > mostPassed) throw new Failure(40002, `at most ${mostPassed}: ask for fewer days`);
  const limit = number('limit', 100);
  if (limit === null || limit > 100) throw new Failure(40004);
  return { start, limit };
}

/**
 * The days that a call asks for: `days`, or `startDate` to `endDate`, both included, in UTC+8.
 *
 * @returns UTC milliseconds, `to` not included; null where none is given.
 * @throws Failure 40006, 40007, 40008
 */
export function rangeOf(parameters: URLSearchParams, now: number): { from: number; to: number } | null {
  const given = (name: string) => parameters.get(name)?.trim() ?? '';
  const [days, startDate, endDate] = [given('days'), given('startDate'), given('endDate')];
  if (days !== '') {
    if (!/^\d{1,3}$/.test(days) || Number(days) < 1 || Number(days) > 100) throw new Failure(40006);
    return lastDays(Number(days), now);
  }
  if (startDate === '' && endDate === '') return null;
  const start = dayStart(startDate);
  if (start === null) throw new Failure(40007);
  const end = dayStart(endDate);
  if (end === null || end < start) throw new Failure(40008);
  const range = { from: start, to: nextDay(end) };
  if (isTooLong(range)) throw new Failure(40008, 'startDate … endDate: 3 months');
  return range;
}

/** What is separated by semicolons; the brackets of the documentation's example are no part of it. */
export function partsOf(text: string | null): string[] {
  return (text ?? '')
    .trim()
    .replace(/^\[(.*)\]$/s, '$1')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

const mostNamed = 1000;

/**
 * The lists that a call is about: those that it names, or else the one that is called as the credential's
 * apiUser, or else all that the credential is for; a list without a name here goes by its id. (Its documentation does not say what it does without
 * apiUserList. To delete from one list where all were meant is mended by another call; not so the other way.)
 *
 * @throws Failure 6001 for one that is no list of this account, or not this credential's, and where there is
 *   none: "nobody has left" would be taken for an answer. 40016 for too many.
 */
export async function listsOf(
  { db }: Deps,
  credential: Credential,
  named: readonly string[],
): Promise<ApiUserList[]> {
  const lists: ApiUserList[] = [];
  if (named.length > mostNamed) throw new Failure(40016, `at most ${mostNamed}`);
  if (named.length > 0) {
    for (const apiUser of new Set(named)) {
      const list = await findNamedList(db, credential.accountId, surfaceName, apiUser);
      if (list === null || !allowsList(credential, list)) throw new Failure(6001);
      lists.push({ apiUser, list });
    }
    return lists;
  }
  const own = await findNamedList(db, credential.accountId, surfaceName, credential.login);
  if (own !== null) {
    if (!allowsList(credential, own)) throw new Failure(6001);
    return [{ apiUser: credential.login, list: own }];
  }
  const all = await allOf(db, credential);
  if (all.length === 0) throw new Failure(6001, 'This apiUser has no list.');
  return all;
}

/** Those with a name first, by their names. */
async function allOf(db: Db, credential: Credential): Promise<ApiUserList[]> {
  const { accountId, listIds } = credential;
  const left = new Map<number, List>();
  // The most that are read at once: there may be more, and none may be left out in silence.
  if (listIds === null) for (const list of await listsOfAccount(db, accountId)) left.set(list.id, list);
  else for (const id of listIds) left.set(id, await getListById(db, id));
  if (left.size >= 10_000) throw new Failure(40016, 'apiUserList');
  const lists: ApiUserList[] = [];
  for (const { name, listId } of await namesOnSurface(db, accountId, surfaceName)) {
    const list = left.get(listId);
    if (list === undefined || !allowsList(credential, list)) continue;
    lists.push({ apiUser: name, list });
    left.delete(listId);
  }
  // What it holds is listed under each of the others, and nobody has asked to remove it from there.
  const { listId: globalId } = await getGlobalMark(db, accountId);
  if (globalId !== null && listIds === null && lists.length + left.size > 1) left.delete(globalId);
  for (const list of left.values()) {
    if (allowsList(credential, list)) lists.push({ apiUser: list.publicId, list });
  }
  return lists;
}

/**
 * The one list that an address is added to.
 *
 * @throws Failure 6001 where the credential is for several, and none is called as its apiUser.
 */
export async function ownList(deps: Deps, credential: Credential): Promise<ApiUserList> {
  const [only, ...others] = await listsOf(deps, credential, []);
  if (only === undefined || others.length > 0) throw new Failure(6001);
  return only;
}
