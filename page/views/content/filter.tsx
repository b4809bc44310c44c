import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

type FilterValue = { match: string; state: string };
type FilterProps = FilterValue & { label: string; onChange: (next: FilterValue) => void };

/** Time without a key after which the list is read again, in ms. */
const DEBOUNCE_MS = 20;

/** A part of the name, and a state. */
export function Filter({ label, match, state, onChange }: FilterProps): JSX.Element {
  const [text, setText] = useState(match);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => setText(match), [match]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onInput = ({ currentTarget }: { currentTarget: HTMLInputElement }) => {
    const next = currentTarget.value;
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange({ match: next.trim(), state }), DEBOUNCE_MS);
  };
  return (
    <form class="filter" aria-label="Filter" onSubmit={(event) => event.preventDefault()}>
      <label>
        <span class="only-read">{label}</span>
        <input type="search" placeholder="Filter by name" value={text} onInput={onInput} maxLength={255} />
      </label>
      <label>
        <span class="only-read">State</span>
        <select value={state} onChange={(event) => onChange({ match, state: event.currentTarget.value })}>
          <option value="">All</option>
          <option value="behind">Behind</option>
          <option value="ahead">Ahead</option>
        </select>
      </label>
    </form>
  );
}
