import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { shortcutsOn } from '../browser/preferences.ts';
import type { Shortcut } from '../browser/shortcuts.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Shape } from '../parts/shape.tsx';
import type { Tone } from '../state/tone.ts';

/** Keys, and what the shapes say. */

const isOpen = signal(false);

export const showHelp = (): void => {
  isOpen.value = true;
};

const SHAPES: [Tone, string][] = [
  ['good', 'As it should be'],
  ['busy', 'At work: it ends by itself'],
  ['quiet', 'Idle, or of no concern'],
  ['unknown', 'Not known'],
  ['warning', 'May need a person soon'],
  ['error', 'Needs a person'],
];

export function Help({ shortcuts }: { shortcuts: readonly Shortcut[] }): JSX.Element | null {
  if (!isOpen.value) return null;
  const close = () => {
    isOpen.value = false;
  };
  const license = document.querySelector<HTMLLinkElement>('link[rel=license]')?.href;
  return (
    <Dialog title="Keys and shapes" onClose={close}>
      <div class="help">
        <dl class="keys">
          {shortcuts.map(({ keys, text }) => (
            <div key={keys}>
              <dt>
                {keys.split(' ').map((key) => (
                  <kbd key={key}>{key}</kbd>
                ))}
              </dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
        <ul class="shapes">
          {SHAPES.map(([tone, text]) => (
            <li key={tone}>
              <Shape tone={tone} />
              {text}
            </li>
          ))}
        </ul>
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={shortcutsOn.value}
          onChange={() => {
            shortcutsOn.value = !shortcutsOn.value;
          }}
        />{' '}
        Single keys act as shortcuts
      </label>
      <div class="buttons">
        {license && (
          <a class="note" href={license}>
            Licenses
          </a>
        )}
        <button type="button" class="primary" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
