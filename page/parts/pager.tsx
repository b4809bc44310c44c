import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { countText } from '../format/quantities.ts';

/** Position in a list of unknown length: the cursors of the pages so far; the first page has none. */
export type Pages = {
  cursor: string | undefined;
  number: number;
  first: () => void;
  toNext: (cursor: string) => void;
  toPrevious: () => void;
};

/** `key` names the list: another one begins at its first page. */
export function usePages(key: string): Pages {
  const [state, setState] = useState<{ key: string; cursors: string[] }>({ key, cursors: [] });
  const cursors = state.key === key ? state.cursors : [];
  const set = (next: string[]) => setState({ key, cursors: next });
  return {
    cursor: cursors.at(-1),
    number: cursors.length + 1,
    first: () => set([]),
    toNext: (cursor) => set([...cursors, cursor]),
    toPrevious: () => set(cursors.slice(0, -1)),
  };
}

type PagerProps = { pages: Pages; next: string | undefined; count: number; noun: string };

export function Pager({ pages, next, count, noun }: PagerProps): JSX.Element | null {
  if (pages.number === 1 && next === undefined) return null;
  return (
    <nav class="pager" aria-label={`Pages of ${noun}`}>
      <button type="button" disabled={pages.number === 1} onClick={pages.first}>
        First
      </button>
      <button type="button" disabled={pages.number === 1} onClick={pages.toPrevious}>
        Previous
      </button>
      <span aria-live="polite">
        Page {pages.number}, {countText(count)} {noun}
      </span>
      <button
        type="button"
        disabled={next === undefined}
        onClick={() => next !== undefined && pages.toNext(next)}
      >
        Next
      </button>
    </nav>
  );
}
