import type { ComponentChildren, JSX } from 'preact';
import { useFirstRows } from './first-rows.ts';

export type Column<Row> = {
  title: string;
  cell: (row: Row) => ComponentChildren;
  /** Figures are aligned at their end. */
  figure?: boolean;
  /** It names the row. */
  isHeader?: boolean;
  /** Left out where there is little room. */
  wide?: boolean;
  /** It takes the room that others leave, and is cut at its end. */
  fills?: boolean;
};

type DataTableProps<Row> = {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  /** Class of a row. */
  rowClass?: (row: Row) => string;
};

/** A table with headers for its columns and rows. */
export function DataTable<Row>({
  caption,
  columns,
  rows,
  keyOf,
  rowClass,
}: DataTableProps<Row>): JSX.Element {
  const classOf = ({ figure, wide, fills }: Column<Row>) =>
    [figure && 'figure', wide && 'wide', fills && 'fills'].filter(Boolean).join(' ');
  const shown = useFirstRows(rows);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls has to be reached with the keyboard
    <div class="table-frame" tabIndex={0}>
      <table>
        <caption class="only-read">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" class={classOf(column)}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr key={keyOf(row)} class={rowClass?.(row)}>
              {columns.map((column) =>
                column.isHeader ? (
                  <th key={column.title} scope="row" class={classOf(column)}>
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.title} class={classOf(column)} data-title={column.title}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
