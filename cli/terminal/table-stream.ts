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
    return this.blocks(rows).join('\n');
  }

  /** The same, a text for each row; that of the first one begins with the head. */
  blocks(rows: string[][]): string[] {
    const isFirst = this.#widths === undefined;
    this.#widths ??= columnWidths([this.#head, ...rows], this.#width);
    const widths = this.#widths;
    const head = isFirst ? rowLines(this.#head, widths) : [];
    return rows.map((row, index) => [...(index === 0 ? head : []), ...rowLines(row, widths)].join('\n'));
  }
}
