import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { forgetAll, refresh } from '../api/polled.ts';
import { RequestError } from '../api/request.ts';
import { logIn } from '../api/session.ts';
import { Shape } from '../parts/shape.tsx';

/** Login with the name and a password of a token that has the right operate/read. */
export function LoginView({ notice }: { notice: string | undefined }): JSX.Element {
  const [failure, setFailure] = useState('');
  const [isBusy, setBusy] = useState(false);
  const name = useRef<HTMLInputElement>(null);
  useEffect(() => name.current?.focus(), []);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    setFailure('');
    try {
      await logIn(String(form.get('name')), String(form.get('password')));
      forgetAll();
      refresh();
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      setFailure(error.message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="login">
      <form class="panel" onSubmit={(event) => void submit(event)} aria-labelledby="login">
        <h1 id="login">Log in to this layer</h1>
        {notice && <p class="note">{notice}</p>}
        <label class="field">
          Token
          <input ref={name} name="name" autocomplete="username" required maxLength={256} spellcheck={false} />
        </label>
        <label class="field">
          Password
          <input name="password" type="password" autocomplete="current-password" required maxLength={1_024} />
        </label>
        {failure && (
          <p class="failure" role="alert">
            <Shape tone="error" />
            <span>{failure}</span>
          </p>
        )}
        <div class="buttons">
          <button type="submit" class="primary" disabled={isBusy}>
            Log in
          </button>
        </div>
        <p class="note">
          The token needs the right operate/read, and operate/write to act: for instance the scope map
          _operate.
        </p>
      </form>
    </div>
  );
}
