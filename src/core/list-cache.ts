import type { Db } from '../db/connect.js';
import { findList, type List } from './lists.js';

/** Looks a list up by its public id; what it finds is at most two seconds old. */
export type FindList = (publicId: string) => Promise<List | null>;

const freshMs = 2000;
const mostLists = 2000;

/**
 * Remembers lists for two seconds, so that the doors do not ask the database for the same settings with
 * each request. Ids that no list has are not remembered: nobody can fill the memory with them.
 */
export function createListCache(db: Db): FindList {
  const remembered = new Map<string, { found: Promise<List | null>; at: number }>();
  return (publicId) => {
    const now = Date.now();
    const entry = remembered.get(publicId);
    if (entry !== undefined && now - entry.at < freshMs) return entry.found;

    const found = findList(db, publicId);
    remembered.delete(publicId);
    remembered.set(publicId, { found, at: now });
    const forget = () => {
      if (remembered.get(publicId)?.found === found) remembered.delete(publicId);
    };
    found.then((list) => (list === null ? forget() : undefined), forget);
    for (const oldest of remembered.keys()) {
      if (remembered.size <= mostLists) break;
      remembered.delete(oldest);
    }
    return found;
  };
}
