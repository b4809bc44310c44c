import { columnWidths, rowLines } from './table.ts';

/**
 * A table that is printed as its rows arrive: the first rows decide the widths of the columns, and later cells that are
 * wider are wrapped.
 */
export class TableStream {
  readonly #head: string[];
  readonly #width: number;
  #widths: number[] | undefined;

  /** @param width to which the table is fitted */
  constructor(head: string[], width: number) {
    this.#head = head;
    this.#width = width;
  }

  /** @returns the lines of these rows, with the head before the first ones */
  lines(rows: string[][]): string {
    const all = this.#widths ? rows : [this.#head, ...rows];
    this.#widths ??= columnWidths(all, this.#width);
    const widths = this.#widths;
    return all.flatMap((row) => rowLines(row, widths)).join('\n');
  }
}
