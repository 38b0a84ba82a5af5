import { addressForms, md5Of, sha256Of } from '../core/address.js';
import type { Entry } from '../core/entries.js';
import type { ListCounts } from '../core/feed.js';

/** What a line of a download holds. */
export type Format = 'md5' | 'sha256' | 'plain';
export type FileType = 'text' | 'csv';

export const formats: readonly Format[] = ['md5', 'sha256', 'plain'];
export const fileTypes: readonly FileType[] = ['text', 'csv'];

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

/** The first line of a file, with its end; text has none. */
export function headOf(fileType: FileType, format: Format, isDelta: boolean): string {
  if (fileType === 'text') return '';
  return `${isDelta ? 'change,' : ''}${format === 'plain' ? 'email' : format}\r\n`;
}

/** One line, with its end. In a delta, text begins with + or -, CSV with `add` or `remove`. */
export function lineOf(text: string, fileType: FileType, change: 'add' | 'remove' | null): string {
  if (fileType === 'text') return `${change === null ? '' : change === 'add' ? '+' : '-'}${text}\n`;
  return `${change === null ? '' : `${change},`}${csvField(text)}\r\n`;
}

/** RFC 4180, section 2. Exact, also where a local part begins with `=`: this is read by programs. */
function csvField(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function contentTypeOf(fileType: FileType): string {
  return fileType === 'csv' ? 'text/csv; charset=utf-8; header=present' : 'text/plain; charset=utf-8';
}
