import type { Db } from '../db/connect.js';
import { findLinkKey, keyOfToken, openToken, type LinkKey } from './signed-links.js';

export interface OpenedLink {
  /** Of the list. */
  readonly publicId: string;
  readonly address: string;
  readonly tag: string;
}

/** Opens a signed link's token; null for one that is not ours. */
export type OpenLink = (token: string) => Promise<OpenedLink | null>;

const mostKeys = 2000;

/** Keys never change once made, so they are remembered for as long as there is room. */
export function createLinkOpener(db: Db, secret: string): OpenLink {
  const remembered = new Map<string, { key: LinkKey; publicId: string }>();

  async function find(listId: number, number: number): Promise<{ key: LinkKey; publicId: string } | null> {
    const name = `${listId}.${number}`;
    const known = remembered.get(name);
    if (known !== undefined) return known;
    const key = await findLinkKey(db, secret, listId, number);
    if (key === null) return null;
    const list = await db<{ id: number; public_id: string }>('lists')
      .where({ id: listId })
      .first('public_id');
    if (list === undefined) return null;
    const found = { key, publicId: list.public_id };
    remembered.set(name, found);
    for (const oldest of remembered.keys()) {
      if (remembered.size <= mostKeys) break;
      remembered.delete(oldest);
    }
    return found;
  }

  return async (token) => {
    const named = keyOfToken(token);
    const found = named === null ? null : await find(named.listId, named.number);
    const opened = found === null ? null : openToken(found.key, token);
    if (found === null || opened === null) return null;
    return { publicId: found.publicId, address: opened.address, tag: opened.tag };
  };
}
