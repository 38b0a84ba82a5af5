/** What a spreadsheet takes for a formula where a cell begins with it; the full-width ones as well, in Japan. */
const formulaMarks = /^[=+\-@\t\r\uFF1D\uFF0B\uFF0D\uFF20]/u;

/** A mark of the encoding, without which spreadsheets take UTF-8 for something else. */
export const byteOrderMark = '\uFEFF';

/**
 * A line of CSV (RFC 4180) for people who open it in a spreadsheet: no cell is a formula there (CWE-1236). An
 * address may begin with `=` or `+`, so whatever programs read has to be written otherwise.
 */
export function spreadsheetLine(cells: readonly string[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

function cell(text: string): string {
  const harmless = formulaMarks.test(text) ? `'${text}` : text;
  return `"${harmless.replaceAll('"', '""')}"`;
}
