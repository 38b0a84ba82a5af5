import { listsThatCount } from '../core/global-list.js';
import { getListById } from '../core/lists.js';
import { findOptOuts } from '../core/suppressed.js';
import type { OptOutRecord } from '../core/opt-outs.js';
import { idOfOptOut } from './opt-out-search.js';
import type { ListVisit } from './screen.js';

/** Where the global list suppresses an address that the list itself does not: for owners, with its details. */
export interface OnGlobal {
  readonly href: string | null;
}

/** @returns null where the global list does not suppress it, or the list does so itself. */
export async function onGlobalAlone(
  { deps: { db }, list, user, now }: ListVisit,
  normalised: string,
): Promise<OnGlobal | null> {
  const globalId = (await listsThatCount(db, list.id)).find((id) => id !== list.id);
  if (globalId === undefined) return null;
  const stands = (row: OptOutRecord) => suppresses(row, now);
  if ((await findOptOuts(db, list.id, normalised)).some(stands)) return null;
  const row = (await findOptOuts(db, globalId, normalised)).find(stands);
  if (row === undefined) return null;
  // The list may not be one of the mailer's.
  if (user.role === 'mailer') return { href: null };
  const { publicId } = await getListById(db, globalId);
  return { href: `/console/lists/${publicId}/opt-outs/${idOfOptOut(row)}` };
}

export function suppresses(
  { removed_at, expires_at }: Pick<OptOutRecord, 'removed_at' | 'expires_at'>,
  now: number,
): boolean {
  return removed_at === null && (expires_at === null || expires_at > now);
}
