import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

const nonceLength = 12;
const tagLength = 16;

/** A key for one purpose, of 32 octets: made of the installation's secret and of what is said here. */
export function sealingKey(secret: string, purpose: string, ...more: readonly (string | Buffer)[]): Buffer {
  const hmac = createHmac('sha256', secret).update(`signoff: ${purpose}\n`);
  // Each with its length, so that no two of them can be taken for one.
  for (const part of more) hmac.update(`${Buffer.byteLength(part)}\n`).update(part);
  return hmac.digest();
}

/** Encrypts and authenticates: AES-256-GCM with a random nonce in front. */
export function seal(key: Buffer, message: Buffer): Buffer {
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  return Buffer.concat([nonce, cipher.update(message), cipher.final(), cipher.getAuthTag()]);
}

/** @returns null for what this key has not sealed, changed by as little as a bit. */
export function unseal(key: Buffer, sealed: Buffer): Buffer | null {
  if (sealed.length < nonceLength + tagLength) return null;
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceLength), {
    authTagLength: tagLength,
  }).setAuthTag(sealed.subarray(-tagLength));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(nonceLength, -tagLength)), decipher.final()]);
  } catch {
    return null;
  }
}
