import type { JSX } from 'preact';
import type { Tone } from '../state/tone.ts';

/**
 * Parts of which the views are made. `shape.tsx` shows a state as shape and colour, `panel.tsx` a section of a view,
 * `data-table.tsx` rows with headers, `pager.tsx` a list in pages, `chart.tsx` throughput, `bar.tsx` a share,
 * `dialog.tsx` what asks before it acts, `notices.tsx` what happened, for eyes and screen readers.
 */

/** One shape for each tone, so that they differ without colour. */
const SHAPES: Record<Tone, JSX.Element> = {
  good: (
    <>
      <circle cx="8" cy="8" r="7" class="fill" />
      <path d="M4.6 8.3l2.3 2.3 4.5-4.9" class="mark" />
    </>
  ),
  busy: (
    <>
      <path d="M13.9 8A5.9 5.9 0 1 1 11 2.9" class="stroke" />
      <path d="M9.2 0.9l4.3 1.9-2.7 3.8z" class="fill" />
    </>
  ),
  quiet: <circle cx="8" cy="8" r="5.6" class="stroke" />,
  warning: (
    <>
      <path d="M8 0.9 15.6 14.6H0.4z" class="fill" />
      <path d="M8 5.4v4.4M8 11.5v1.4" class="mark" />
    </>
  ),
  error: (
    <>
      <path d="M4.9 0.6h6.2l4.3 4.3v6.2l-4.3 4.3H4.9L0.6 11.1V4.9z" class="fill" />
      <path d="M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4" class="mark" />
    </>
  ),
  unknown: (
    <>
      <circle cx="8" cy="8" r="6.4" class="stroke dashed" />
      <path d="M6.1 6.5a1.9 1.9 0 1 1 2.7 1.7c-.5.2-.8.6-.8 1.2M8 11.2v1.2" class="thin" />
    </>
  ),
};

/** Without `label` the text beside it says the same, and a screen reader skips it. */
export function Shape({ tone, label }: { tone: Tone; label?: string }): JSX.Element {
  const shown = `shape tone-${tone}`;
  return label ? (
    <svg class={shown} viewBox="0 0 16 16" role="img">
      <title>{label}</title>
      {SHAPES[tone]}
    </svg>
  ) : (
    <svg class={shown} viewBox="0 0 16 16" aria-hidden="true">
      {SHAPES[tone]}
    </svg>
  );
}

/** A state in a word, with its shape. */
export function State({
  tone,
  word,
  title,
}: {
  tone: Tone;
  word: string;
  title?: string | undefined;
}): JSX.Element {
  return (
    <span class={`state tone-${tone}`} title={title}>
      <Shape tone={tone} />
      <span>{word}</span>
    </span>
  );
}
