import type { Format } from './entry-texts.js';

export type FileType = 'text' | 'csv';

export const fileTypes: readonly FileType[] = ['text', 'csv'];

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
