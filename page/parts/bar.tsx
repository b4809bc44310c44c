import type { JSX } from 'preact';
import type { Tone } from '../state/tone.ts';

/** A share as a bar. `text` says the same to a screen reader. */
export function Bar({
  percent,
  text,
  tone = 'busy',
}: {
  percent: number;
  text: string;
  tone?: Tone;
}): JSX.Element {
  return (
    <div
      class={`bar tone-${tone}`}
      role="progressbar"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={text}
      aria-label={text}
    >
      <span style={{ width: `${percent}%` }} />
    </div>
  );
}
