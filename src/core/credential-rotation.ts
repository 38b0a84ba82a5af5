import type { Db } from '../db/connect.js';
import { createCredential, endCredential, type Credential } from './credentials.js';

/**
 * Makes a credential that is the same but for its key, and ends the old one after a while.
 *
 * @returns as createCredential.
 * @throws Refused where it has ended.
 */
export async function rotateCredential(
  db: Db,
  credential: Credential,
  { actor, overlapMs }: { actor: string; overlapMs: number },
): Promise<{ credential: Credential; key: string }> {
  const { accountId, surface, name, login, role, rights: granted, networks, listIds, expiresAt } = credential;
  const leftMs = expiresAt === null ? Infinity : expiresAt - Date.now();
  return db.transaction(async (trx) => {
    const lists = [...(listIds ?? [])].map((id) => ({ id, accountId, publicId: '' }));
    // Without any, it would be for all of them.
    if (listIds?.size === 0) throw new Error(`credential ${credential.id} has lost its lists`);
    const made = await createCredential(
      trx,
      accountId,
      {
        ...{ surface, name, login, role, lists, rights: [...granted] },
        ipWhitelist: networks.map(({ text }) => text).join('\n'),
      },
      { actor, confirmWide: true, confirmPrivate: true },
    );
    // One that ends sooner anyhow is not given more time.
    await endCredential(trx, credential, { actor, afterMs: Math.min(overlapMs, Math.max(leftMs, 0)) });
    return made;
  });
}
