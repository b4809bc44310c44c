import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';

/** What the steps of a download and of an upload share. */

/** Options of calls to storage: retried for up to 30 s while the bus or storage is unavailable. */
export const PATIENCE = { patience: 30_000 };

/** Logs an error that is not a Fault: the machine turns it into one without its reason. */
export async function logged<T>(
  { log, signal }: { log: Log; signal: AbortSignal },
  step: Promise<T>,
): Promise<T> {
  return step.catch((err) => {
    if (!(err instanceof Fault) && !signal.aborted) log.error({ err }, 'a step of a transfer failed');
    throw err;
  });
}

/** The fault with the bytes that the attempt gained, by which the machine resets its count of failures. */
export function withGainedBytes(error: unknown, gained: number): unknown {
  if (!(error instanceof Fault)) return error;
  return new Fault(error.code, error.message, { cause: error, detail: { ...error.detail, gained } });
}
