import { csvLine } from './csv.js';

/** CSV that people open in a spreadsheet; what programs read is exact, and must not be written so. */

/** So that Excel reads it as UTF-8. */
export const spreadsheetStart = '\u{FEFF}';

/**
 * A line, with its end. A cell that a spreadsheet would take for a formula gets an apostrophe before it, as OWASP
 * advises (https://owasp.org/www-community/attacks/CSV_Injection): the full-width signs count as well, where
 * the spreadsheet is a Japanese one.
 */
export function spreadsheetLine(cells: readonly string[]): string {
  return `${csvLine(cells.map(harmless), ',')}\r\n`;
}

function harmless(cell: string): string {
  return /^[\s\p{Cc}]*[=+\-@＝＋－＠]/u.test(cell) || /^[\t\r\n]/.test(cell) ? `'${cell}` : cell;
}
