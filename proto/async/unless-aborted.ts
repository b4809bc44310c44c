/** Waits for a task until `signal` aborts; the task itself continues. @throws the reason of `signal` */
export async function unlessAborted<T>(signal: AbortSignal, task: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([task, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/**
 * The same without an error: resolves with `undefined` when `signal` aborts. Removes its listener from the signal,
 * which may outlive many tasks.
 */
export async function orAborted<T>(signal: AbortSignal, task: Promise<T>): Promise<T | undefined> {
  task.catch(() => {});
  if (signal.aborted) return undefined;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const abort = () => resolve(undefined);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([task, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
