import { shortcutsOn } from './preferences.ts';

/** `keys`: one key, or `g` and a second one within `PREFIX_MS`. */
export type Shortcut = { keys: string; text: string; run: () => void };

const PREFIX_MS = 1_500;

const isTyping = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

export function startShortcuts(shortcuts: readonly Shortcut[]): void {
  let prefix = '';
  let timer: ReturnType<typeof setTimeout> | undefined;
  addEventListener('keydown', (event) => {
    const { key, ctrlKey, metaKey, altKey, target } = event;
    if (!shortcutsOn.peek() || ctrlKey || metaKey || altKey || isTyping(target)) return;
    if (document.querySelector('dialog[open]')) return;
    const keys = prefix ? `${prefix} ${key}` : key;
    clearTimeout(timer);
    prefix = '';
    const found = shortcuts.find((shortcut) => shortcut.keys === keys);
    if (found) {
      event.preventDefault();
      found.run();
    } else if (key === 'g') {
      prefix = key;
      timer = setTimeout(() => {
        prefix = '';
      }, PREFIX_MS);
    }
  });
}

/** Moves the focus to the filter of the view, if it has one. */
export function focusFilter(): void {
  document.querySelector<HTMLInputElement>('input[type=search]')?.focus();
}
