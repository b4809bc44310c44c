import { Refusal } from './refusal.ts';

/**
 * The end of the command's output: in `terrace events | head`, the reader closes the pipe before the command is done.
 */

const end = new AbortController();

/** Aborts when stdout can't be written any more: a command that runs only to write then ends. */
export const outputEnd: AbortSignal = end.signal;

/** Without this handler, a reader that closes the pipe ends the process with the stack trace of an EPIPE. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (end.signal.aborted) return;
    const why = `the output can't be written (${error.code}): write it elsewhere`;
    end.abort(error.code === 'EPIPE' ? undefined : new Refusal(why));
  });
  // stderr has diagnostics only: its loss does not end the command.
  process.stderr.on('error', () => {});
}

/** Resolves when the reader has taken what was written, or the output has ended: it bounds what a list buffers. */
export async function outputDrained(): Promise<void> {
  const { stdout } = process;
  if (!stdout.writableNeedDrain || end.signal.aborted) return;
  await new Promise<void>((resolve) => {
    stdout.once('drain', resolve);
    end.signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The write error that ended the output, if any; a reader that closed the pipe is no error. */
export function outputFailure(): Refusal | undefined {
  const { reason } = end.signal as { reason: unknown };
  return reason instanceof Refusal ? reason : undefined;
}

/** Resolves when stdout and stderr are flushed, or can't be written any more. */
export async function flushOutput(): Promise<void> {
  const flushes = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write('', () => resolve())),
  );
  await Promise.all(flushes);
}
