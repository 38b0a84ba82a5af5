import { createHash } from 'node:crypto';
import { getCounts, hasPendingChanges, type ListCounts } from '../core/feed.js';
import type { Db } from '../db/connect.js';

/** Whether a client has a download already: its ETag, and what stands in the way of a 304. */

/**
 * Weak: rows that committed after the feed was looked at may be in the body already.
 *
 * @param parts all that the body comes from: the state of the lists that count, and what is asked for.
 */
export function etagOf(parts: readonly unknown[]): string {
  return `W/"${createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)}"`;
}

/** RFC 9110, section 13.1.2: weak comparison. */
export function matches(ifNoneMatch: string, etag: string): boolean {
  const opaque = etag.slice(2);
  return ifNoneMatch
    .split(',')
    .map((candidate) => candidate.trim())
    .some((candidate) => candidate === '*' || candidate.replace(/^W\//, '') === opaque);
}

export async function isAnyPending(db: Db, listIds: readonly number[]): Promise<boolean> {
  for (const id of listIds) if (await hasPendingChanges(db, id)) return true;
  return false;
}

export async function countsOfAll(db: Db, listIds: readonly number[]): Promise<ListCounts[]> {
  const counts: ListCounts[] = [];
  for (const id of listIds) counts.push(await getCounts(db, id));
  return counts;
}
