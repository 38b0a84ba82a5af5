import type { Db } from '../db/connect.js';

export interface Lease {
  /** Rises with every change of holder: what is written under a lower one comes from a holder that has lost it. */
  readonly fencing: number;
}

/**
 * Takes a lease that is free, expired, or already ours, for `forMs` milliseconds.
 *
 * @param holder names this process; unique in the installation.
 * @returns null while another holds it.
 */
export async function takeLease(db: Db, name: string, holder: string, forMs: number): Promise<Lease | null> {
  const now = Date.now();
  const renewed = await db('leases')
    .where({ name, holder })
    .where('expires_at', '>', now)
    .update({ expires_at: now + forMs });
  if (renewed === 0) {
    const taken = await db('leases')
      .where({ name })
      .where('expires_at', '<=', now)
      .update({ holder, expires_at: now + forMs, fencing: db.raw('fencing + 1') });
    if (taken === 0) return null;
  }
  const row = await db<{ name: string; holder: string; fencing: number }>('leases')
    .where({ name, holder })
    .first('fencing');
  return row === undefined ? null : { fencing: row.fencing };
}

export async function releaseLease(db: Db, name: string, holder: string): Promise<void> {
  await db('leases').where({ name, holder }).update({ expires_at: 0 });
}

export async function findLease(db: Db, name: string): Promise<{ holder: string; expiresAt: number } | null> {
  const row = await db<{ name: string; holder: string; expires_at: number }>('leases')
    .where({ name })
    .first();
  return row === undefined ? null : { holder: row.holder, expiresAt: row.expires_at };
}
