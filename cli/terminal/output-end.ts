import { Refusal } from './refusal.ts';

/** Where this command's output goes, and its end: `terrace events | head` closes it while there is more to say. */

const end = new AbortController();

/** Aborts when nobody reads the output any more: a command that goes on only to write ends. */
export const outputEnd: AbortSignal = end.signal;

/** Without this, a reader that has gone ends the process with the trace of an EPIPE. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (end.signal.aborted) return;
    const why = `the output can't be written (${error.code}): write it elsewhere`;
    end.abort(error.code === 'EPIPE' ? undefined : new Refusal(why));
  });
  // What is said there is not what the command is for.
  process.stderr.on('error', () => {});
}

/** What the output ended with, where that is a failure: a reader that had enough is none. */
export function outputFailure(): Refusal | undefined {
  const { reason } = end.signal as { reason: unknown };
  return reason instanceof Refusal ? reason : undefined;
}

/** Resolves when all that was said has gone to its reader, or nobody reads it any more. */
export async function written(): Promise<void> {
  const flushed = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
  );
  await Promise.all(flushed);
}
