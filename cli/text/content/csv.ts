import { singleLine } from '../../terminal/terminal.ts';

/** Rows as CSV (RFC 4180). Pure. */

/** What a spreadsheet takes for the beginning of a formula. */
const FORMULA = /^\s*[=+\-@]/;

/**
 * One row with its line end. Cells have one line. A cell that a spreadsheet would take for a formula begins with an
 * apostrophe, which shows it as text.
 */
export const csvRow = (cells: readonly (string | number)[]): string =>
  `${cells.map((cell) => csvCell(cell)).join(',')}\r\n`;

function csvCell(cell: string | number): string {
  if (typeof cell === 'number') return String(cell);
  const safe = singleLine(cell);
  const text = FORMULA.test(safe) ? `'${safe}` : safe;
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
