import { backoffMs } from '#proto/async/backoff.ts';

/** Times of the connection to edgeHub, in ms. */
export type Timing = {
  /** Lifetime of a signature of the module. */
  token: number;
  /** Time before the end of a signature at which a new session starts. */
  margin: number;
  connect: number;
  keepalive: number;
  /** Max wait for a reply. edgeHub itself waits up to 100 s for its upstream before it answers from its store. */
  reply: number;
  /** Poll interval of the twin without any patch: edgeHub never sends a patch that it missed. */
  resync: number;
  /** Debounce: patches within this time cause one read of the twin. */
  debounce: number;
  /** Max time of a direct method. The caller's default timeout is 30 s; the module does not learn of another one. */
  method: number;
  /** Backoff between attempts: doubles from `minBackoffMs` to `maxBackoffMs`, with jitter. */
  minBackoffMs: number;
  maxBackoffMs: number;
};

export const TIMING: Timing = {
  token: 3_600_000,
  margin: 900_000,
  connect: 20_000,
  keepalive: 60_000,
  reply: 120_000,
  resync: 300_000,
  debounce: 100,
  method: 25_000,
  minBackoffMs: 500,
  maxBackoffMs: 30_000,
};

/** @param failures count of consecutive failures, from 1 */
export function pauseAfter(failures: number, { minBackoffMs, maxBackoffMs }: Timing): number {
  return backoffMs(failures, { firstMs: minBackoffMs, maxMs: maxBackoffMs });
}
