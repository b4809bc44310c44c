import { wrapLines, wrapWords } from './layout.ts';
import { singleLine } from './terminal.ts';

/** Columns between two cells. */
const GAP = '  ';
/** Min width of a column that is narrowed, in characters. */
const MIN_COLUMN = 6;
/** Columns by which a remark below its row is indented. */
const REMARK_INDENT = 4;

/**
 * Rows with aligned columns; the first row has all columns. If they do not fit into `width`, a last column without a
 * title becomes a line of its own below its row, and then the widest columns are narrowed and their cells wrapped.
 */
export function table(given: string[][], width = Number.POSITIVE_INFINITY): string {
  const rows = given.map((row) => row.map(singleLine));
  const head = rows[0] ?? [];
  const natural = head.map((_, column) => widest(rows, column));
  if (total(natural) <= width) return rows.map((row) => rowOf(row, natural)).join('\n');
  const hasRemarks = head.length > 1 && head.at(-1) === '';
  const columns = hasRemarks ? head.length - 1 : head.length;
  const widths = narrowed(natural.slice(0, columns), width);
  return rows
    .flatMap((row) => {
      const remark = hasRemarks && row[columns];
      const lines = rowLines(row.slice(0, columns), widths);
      return [...lines, ...(remark ? [wrapLines(' '.repeat(REMARK_INDENT) + remark, width)] : [])];
    })
    .join('\n');
}

/** Widths of columns that fit these rows into `width`, of which the first row has all columns. */
export const columnWidths = (rows: string[][], width: number): number[] =>
  narrowed(
    (rows[0] ?? []).map((_, column) => widest(rows, column)),
    width,
  );

/** The lines of a row whose cells are wrapped to these widths. */
export function rowLines(row: string[], widths: number[]): string[] {
  const cells = row.map((cell, column) => {
    const [text, width] = [singleLine(cell), widths[column] as number];
    return text.length <= width ? [text] : wrapWords(text, width);
  });
  return Array.from({ length: maxOf(cells.map(({ length }) => length)) }, (_, index) =>
    rowOf(
      cells.map((cell) => cell[index] ?? ''),
      widths,
    ),
  );
}

const maxOf = (counts: number[]) => counts.reduce((max, one) => Math.max(max, one), 0);

const widest = (rows: string[][], column: number) => maxOf(rows.map((row) => row[column]?.length ?? 0));

const total = (widths: number[]) =>
  widths.reduce((sum, one) => sum + one, 0) + GAP.length * (widths.length - 1);

const rowOf = (cells: string[], widths: number[]): string =>
  cells
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join(GAP)
    .trimEnd();

/** Takes from the widest column until all fit, or all have the min width. */
function narrowed(natural: number[], width: number): number[] {
  const widths = [...natural];
  for (let excess = total(widths) - width; excess > 0; excess -= 1) {
    const max = maxOf(widths);
    if (max <= MIN_COLUMN) break;
    widths[widths.lastIndexOf(max)] = max - 1;
  }
  return widths;
}
