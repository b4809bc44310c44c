import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import type { Tone } from '../state/tone.ts';
import { Shape } from './shape.tsx';

/** What happened: a few lines that leave by themselves, except errors, and what a screen reader announces. */
type Notice = { id: number; tone: Tone; text: string };

const SHOWN_MS = 6_000;
const MAX_NOTICES = 4;

const notices = signal<readonly Notice[]>([]);
const announcement = signal('');
let count = 0;

export function notify(tone: Tone, text: string): void {
  count += 1;
  const id = count;
  notices.value = [...notices.value, { id, tone, text }].slice(-MAX_NOTICES);
  if (tone !== 'error') setTimeout(() => dismiss(id), SHOWN_MS);
}

/** For screen readers only: a change of what is on the screen already. */
export function announce(text: string): void {
  if (announcement.peek() !== text) announcement.value = text;
}

const dismiss = (id: number) => {
  notices.value = notices.value.filter((notice) => notice.id !== id);
};

export function Notices(): JSX.Element {
  return (
    <>
      <div class="only-read" role="status">
        {announcement}
      </div>
      <div class="notices" role="log" aria-label="Notices">
        {notices.value.map(({ id, tone, text }) => (
          <p key={id} class={`notice tone-${tone}`}>
            <Shape tone={tone} />
            <span>{text}</span>
            <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(id)}>
              ×
            </button>
          </p>
        ))}
      </div>
    </>
  );
}
