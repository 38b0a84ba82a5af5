import type { Db } from '../db/connect.js';

/** A pass of the keeper through what there is, list by list: how far it has come. */
export interface Pass {
  readonly name: string;
  readonly list_id: number;
  readonly address_key: Buffer;
  readonly tag: Buffer;
  readonly began_at: number;
  readonly ended_at: number | null;
}

export const listStart = { address_key: Buffer.alloc(0), tag: Buffer.alloc(0) };

/**
 * The pass that is under way, or a new one.
 *
 * @param everyMs between the beginnings of two passes; null: there is one alone.
 * @returns null where none is due.
 */
export async function currentPass(
  db: Db,
  name: string,
  at: number,
  everyMs: number | null,
): Promise<Pass | null> {
  const standing = await db<Pass>('passes').where({ name }).first();
  if (standing !== undefined && standing.ended_at === null) return standing;
  if (standing !== undefined && (everyMs === null || at < standing.began_at + everyMs)) return null;
  const begun = { name, list_id: 0, ...listStart, began_at: at, ended_at: null };
  await db<Pass>('passes').insert(begun).onConflict('name').merge();
  return begun;
}

/** Where the pass stands once all opt-outs of its list have been looked at. */
export async function inNextList(db: Db, pass: Pass, at: number): Promise<Pass> {
  const next = await db<{ list_id: number }>('opt_outs')
    .where('list_id', '>', pass.list_id)
    .orderBy('list_id')
    .first('list_id');
  return next === undefined ? { ...pass, ended_at: at } : { ...pass, ...listStart, list_id: next.list_id };
}

export async function keepPass(db: Db, pass: Pass): Promise<void> {
  await db<Pass>('passes').where({ name: pass.name }).update(pass);
}
