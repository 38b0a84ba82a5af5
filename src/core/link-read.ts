import { isMergeTag, parseAddress } from './address.js';
import { findList, getListById, type List } from './lists.js';
import { EVERYTHING } from './opt-outs.js';
import { findLinkKey, keyOfToken, openToken } from './signed-links.js';
import { readUrl } from './text.js';
import { addressFaults } from './row-faults.js';
import type { Db } from '../db/connect.js';
import { Refused } from '../errors.js';

/** A link, as the doors read it. */
export interface ReadLink {
  readonly url: URL;
  readonly list: List;
  readonly isSigned: boolean;
  /** The door below the link that it leads to: `pixel.gif`, `notify` or `opt-out`. */
  readonly door: string | null;
  readonly address: { ok: true; normalised: string } | { ok: false; reason: string };
  /** Its text is null for all of the mail. */
  readonly tag: { text: string | null; isKnown: boolean };
  /** Of signed links alone. */
  readonly keyNumber: number | null;
  readonly newestKey: number | null;
}

/** @throws Refused for what is no link of ours, and says why. */
export async function readLink(db: Db, secret: string, text: string): Promise<ReadLink> {
  const url = readUrl(text.trim());
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Refused(
      'no-url',
      'This is no address of the web: https://…/o/TOKEN or https://…/l/LIST is needed.',
    );
  }
  url.hash = '';
  // The service's paths know no case, and no slash at the end.
  const [, kind = '', id = '', door = null] =
    /^\/([lo])\/([^/]+)(?:\/(pixel\.gif|notify|opt-out))?\/?$/i.exec(url.pathname) ?? [];
  if (id === '')
    throw new Refused('not-ours', 'This is no link of a list: its path is neither /o/TOKEN nor /l/LIST.');
  return kind.toLowerCase() === 'o' ? readSigned(db, secret, url, id, door) : readUnsigned(db, url, id, door);
}

async function readSigned(
  db: Db,
  secret: string,
  url: URL,
  token: string,
  door: string | null,
): Promise<ReadLink> {
  const named = keyOfToken(token);
  if (named === null) {
    throw new Refused('not-ours', 'This signed link is not ours, or it was cut or changed on its way.');
  }
  const key = await findLinkKey(db, secret, named.listId, named.number);
  if (key === null) {
    throw new Refused(
      'not-ours',
      'This signed link is not ours: it names a key that is not in this database.',
    );
  }
  const opened = openToken(key, token);
  if (opened === null) {
    throw new Refused(
      'not-ours',
      'This signed link does not open: it was changed on its way, or made with another secret.',
    );
  }
  const list = await getListById(db, named.listId);
  const newest = await db<{ list_id: number; number: number }>('link_keys')
    .where({ list_id: list.id })
    .max({ number: 'number' })
    .first();
  return {
    url,
    list,
    isSigned: true,
    door,
    address: addressOf(opened.address, false),
    tag: tagOf(list, opened.tag === EVERYTHING ? null : opened.tag),
    keyNumber: named.number,
    newestKey: Number(newest?.number ?? named.number),
  };
}

async function readUnsigned(db: Db, url: URL, id: string, door: string | null): Promise<ReadLink> {
  const list = await findList(db, id);
  if (list === null) throw new Refused('not-ours', 'This link is not ours: there is no such list.');
  const { searchParams: query } = url;
  const named = query.has('email') ? query.getAll('email') : query.getAll('item');
  const given = new Set(named.filter((value) => value.trim() !== '' && !isMergeTag(value)));
  const [email = ''] = given;
  const isTag = named.some(isMergeTag);
  return {
    url,
    list,
    isSigned: false,
    door,
    address:
      given.size > 1
        ? { ok: false, reason: 'there are several' }
        : given.size === 0 && isTag
          ? { ok: false, reason: addressFaults['merge-tag'] }
          : addressOf(email, true),
    tag: tagOf(list, query.get('tag')),
    keyNumber: null,
    newestKey: null,
  };
}

/** Whether the list takes what is done with this link by signed links alone. */
export function needsSigned({ list, isSigned }: ReadLink): boolean {
  return list.signedLinksOnly && !isSigned;
}

/** Whether to open it is to opt out. */
export function isInstant(link: ReadLink): boolean {
  return link.door === null && link.address.ok && link.list.directLink === 'instant' && !needsSigned(link);
}

/** A query's text may have lost its `+`. */
function addressOf(text: string, isQuery: boolean): ReadLink['address'] {
  const result = parseAddress(text, { typed: true, query: isQuery });
  return result.ok
    ? { ok: true, normalised: result.address.normalised }
    : { ok: false, reason: addressFaults[result.problem] };
}

function tagOf(list: List, given: string | null): ReadLink['tag'] {
  const text = given?.trim().normalize('NFC') ?? EVERYTHING;
  return text === EVERYTHING || text === ''
    ? { text: null, isKnown: true }
    : { text, isKnown: list.tags.has(text) };
}
