import { addressForms, md5Of, sha256Of } from './address.js';
import type { Entry } from './entries.js';
import type { ListCounts } from './feed.js';

/** What stands for an entry in what goes out. */
export type Format = 'md5' | 'sha256' | 'plain';

export const formats: readonly Format[] = ['md5', 'sha256', 'plain'];

/**
 * The texts that stand for an entry: its address, or its hashes as the field makes them (trimmed, lower
 * case, UTF-8, hexadecimal in lower case). A domain with a Unicode and an ASCII form has a hash of both.
 *
 * @returns nothing where the format cannot express the entry.
 */
export function textsOf(entry: Entry, format: Format): string[] {
  const { address, md5, sha256 } = entry;
  if (format === 'plain') return address === null ? [] : [address.toString()];
  if (address === null) {
    const hash = format === 'md5' ? md5 : sha256;
    return hash === null ? [] : [hash.toString('hex')];
  }
  const normalised = address.toString();
  const isPlainAscii = !normalised.includes('xn--');
  if (format === 'md5' && md5 !== null && isPlainAscii) return [md5.toString('hex')];
  const hashOf = format === 'md5' ? md5Of : sha256Of;
  return (isPlainAscii ? [normalised] : addressForms(normalised)).map((form) => hashOf(form).toString('hex'));
}

/** How many of a list's entries a format leaves out. */
export function notExpressed(counts: ListCounts, format: Format): number {
  if (format === 'md5') return counts.sha256_only;
  if (format === 'sha256') return counts.md5_only;
  return counts.md5_only + counts.sha256_only + counts.erased;
}
