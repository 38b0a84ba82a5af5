import { isMergeTag, parseAddress, type Address } from '../core/address.js';
import type { List } from '../core/lists.js';
import { EVERYTHING, type OptOut, type Source } from '../core/opt-outs.js';
import { Invalid } from '../errors.js';
import { addressFaults, type AddressFault } from '../http/door-answers.js';

/** What a link, a form or a notification says, before the address is looked at. */
export interface Parameters {
  /** As it came; null where there is none, or only a merge tag that nobody replaced. */
  readonly email: string | null;
  /** The request has a parameter for the address, whatever stands in it. */
  readonly isNamed: boolean;
  /** The address stood there more than once: nobody can tell which is meant. */
  readonly isSeveral: boolean;
  readonly tag: string | null;
  readonly mailer: string | null;
}

/** `item` is SuppressionList.app's name for the address, and `c` that of the campaign. */
export function parametersOf(params: URLSearchParams): Parameters {
  const named = params.has('email') ? params.getAll('email') : params.getAll('item');
  const given = named.filter((text) => text.trim() !== '' && !isMergeTag(text));
  const names = [...params.keys()].filter((name) => /^(email|item)(\[.*\])?$/i.test(name));
  const isArray = names.some((name) => name.endsWith(']'));
  return {
    email: given[0] ?? null,
    isNamed: names.length > 0,
    isSeveral: isArray || given.some((text) => text !== given[0]),
    tag: params.get('tag') ?? params.get('c'),
    mailer: params.get('mailer'),
  };
}

export type AddressIn = { ok: true; address: Address } | { ok: false; problem: AddressFault };

/**
 * Somebody typed the address at some time, so its full-width characters are understood everywhere.
 *
 * @param from a query's text may have lost its `+` as well.
 */
export function addressIn({ email, isSeveral }: Parameters, from: 'query' | 'body'): AddressIn {
  if (isSeveral) return { ok: false, problem: 'several' };
  return parseAddress(email ?? '', { typed: true, query: from === 'query' });
}

/**
 * The address of a request that a program made.
 *
 * @throws Invalid for the parameter `email`.
 */
export function getAddress(parameters: Parameters): Address {
  const result = addressIn(parameters, 'query');
  if (!result.ok) throw new Invalid('email', result.problem, addressFaults[result.problem]);
  return result.address;
}

/**
 * The tag that an opt-out is for. One that the list does not know means all of its mail: too much mail
 * stopped is mended sooner than too little.
 */
export function tagOf(list: List, tag: string | null): string {
  return tag !== null && list.tags.has(tag.trim().normalize('NFC'))
    ? tag.trim().normalize('NFC')
    : EVERYTHING;
}

/** The mailer that a link names, where this list is granted to it. */
export function mailerOf(list: List, mailer: string | null): number | null {
  const id = mailer !== null && /^\d{1,9}$/.test(mailer) ? Number(mailer) : null;
  return id !== null && list.mailerIds.has(id) ? id : null;
}

/**
 * An opt-out that happens now.
 *
 * @param isVouched nobody else can have made it: a signed link, or the owner's own server.
 */
export function optOutNow(
  list: List,
  address: Address,
  parameters: Pick<Parameters, 'tag' | 'mailer'>,
  source: Source,
  { ip, isVouched }: { ip: string | null; isVouched: boolean },
): OptOut {
  const now = Date.now();
  return {
    listId: list.id,
    address,
    tag: tagOf(list, parameters.tag),
    source,
    createdAt: now,
    recordedAt: now,
    mailerId: mailerOf(list, parameters.mailer),
    ip,
    isVouched,
  };
}
