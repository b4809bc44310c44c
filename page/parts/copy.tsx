import type { JSX } from 'preact';
import { notify } from './notices.tsx';

/** Copies a text, such as a digest. Browsers allow it only over HTTPS and on this machine; else the text is shown. */
export function Copy({ text, label }: { text: string; label: string }): JSX.Element | null {
  if (!navigator.clipboard) return null;
  const copy = () =>
    void navigator.clipboard.writeText(text).then(
      () => notify('good', `Copied: ${text}`),
      () => notify('error', 'The browser does not allow this page to copy.'),
    );
  return (
    <button type="button" class="plain copy" onClick={copy} aria-label={label} title={label}>
      <svg viewBox="0 0 16 16" aria-hidden="true">
        <path d="M5.5 5.5V2.5h8v8h-3M2.5 5.5h8v8h-8z" class="thin" />
      </svg>
    </button>
  );
}
