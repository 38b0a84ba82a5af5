import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Db } from '../db/connect.js';
import { StartRefused } from '../errors.js';

const fingerprintName = 'secret-fingerprint';

/**
 * The secret that an installation keeps for itself outside production: made on the first start, in a file
 * that only its owner can read.
 *
 * @throws StartRefused for a file that holds no secret.
 */
export function secretOfDataFolder(dataDir: string): string {
  const file = path.join(dataDir, 'secret');
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(file, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
    } catch (error) {
      // Another process may have been first.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  const secret = readFileSync(file, 'utf8').trim();
  if (secret.length < 32)
    throw new StartRefused(`${file} holds no secret; put back the one of this installation.`);
  return secret;
}

/** Tells one secret from another, and nothing of it. */
export function fingerprintOf(secret: string): string {
  return createHmac('sha256', secret).update('signoff: fingerprint of the secret').digest('hex');
}

/** The fingerprint that the database keeps; null before its first start. */
export async function findFingerprint(db: Db): Promise<string | null> {
  const row = await db<{ name: string; value: string }>('installation')
    .where({ name: fingerprintName })
    .first('value');
  return row?.value ?? null;
}

/**
 * Holds the secret against the fingerprint that the database keeps since its first start: with another
 * secret, what was encrypted and signed with the old one would be lost without a word.
 *
 * @throws StartRefused
 */
export async function checkSecret(db: Db, secret: string): Promise<void> {
  const fingerprint = fingerprintOf(secret);
  if ((await findFingerprint(db)) === null) {
    const name = fingerprintName;
    // Of several processes that come here at once, the first one's stays.
    await db('installation').insert({ name, value: fingerprint }).onConflict('name').merge({ name });
  }
  if ((await findFingerprint(db)) !== fingerprint) {
    throw new StartRefused(
      'SIGNOFF_SECRET (or the secret file in the data folder) is not the one this database was set up with. Start with the old one.',
    );
  }
}
