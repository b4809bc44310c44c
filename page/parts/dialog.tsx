import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

/** A modal dialog of the browser: it keeps the focus, and Escape closes it. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = element.current;
    const before = document.activeElement;
    if (shown && !shown.open) shown.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog ref={element} aria-labelledby="dialog-title" onClose={onClose}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

/** A change that is confirmed first. `isDangerous`: it takes something away. */
export type Question = {
  title: string;
  /** What will happen. */
  text: string;
  action: string;
  isDangerous?: boolean;
  /** Also asks for a reason, which `run` gets. */
  reason?: string;
  run: (reason: string) => void;
};

const question = signal<Question | undefined>(undefined);

export function confirm(asked: Question): void {
  question.value = asked;
}

/** Shows the question that is open, if one is. */
export function Confirmation(): JSX.Element | null {
  const asked = question.value;
  if (!asked) return null;
  const close = () => {
    question.value = undefined;
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const entered = new FormData(event.currentTarget as HTMLFormElement).get('reason');
    close();
    asked.run(typeof entered === 'string' ? entered.trim() : '');
  };
  return (
    <Dialog title={asked.title} onClose={close}>
      <form onSubmit={submit}>
        <p>{asked.text}</p>
        {asked.reason && (
          <label class="field">
            {asked.reason}
            <input name="reason" maxLength={300} autocomplete="off" />
          </label>
        )}
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class={asked.isDangerous ? 'danger' : 'primary'}>
            {asked.action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
