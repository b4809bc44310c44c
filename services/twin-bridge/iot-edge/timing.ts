import { backoffMs } from '#proto/async/backoff.ts';
import { ANSWER_MS } from '../methods/method.ts';

/** Times of the connection to edgeHub. */
export type Timing = {
  /** Lifetime of a signature of the module. */
  tokenMs: number;
  /** Time before the end of a signature at which a new session starts. */
  marginMs: number;
  connectMs: number;
  keepaliveMs: number;
  /** Max wait for a reply. edgeHub itself waits up to 100 s for its upstream before it answers from its store. */
  replyMs: number;
  /** Poll interval of the twin without any patch: edgeHub never sends a patch that it missed. */
  resyncMs: number;
  /** Debounce: patches within this time cause one read of the twin. */
  debounceMs: number;
  /** Max time of a direct method that does not keep to `ANSWER_MS` itself. */
  methodMs: number;
  /** Backoff between attempts: doubles from `minBackoffMs` to `maxBackoffMs`, with jitter. */
  minBackoffMs: number;
  maxBackoffMs: number;
};

export const TIMING: Timing = {
  tokenMs: 3_600_000,
  marginMs: 900_000,
  connectMs: 20_000,
  keepaliveMs: 60_000,
  replyMs: 120_000,
  resyncMs: 300_000,
  debounceMs: 100,
  methodMs: ANSWER_MS + 2_000,
  minBackoffMs: 500,
  maxBackoffMs: 30_000,
};

/** @param failures count of consecutive failures, from 1 */
export function pauseAfter(failures: number, { minBackoffMs, maxBackoffMs }: Timing): number {
  return backoffMs(failures, { firstMs: minBackoffMs, maxMs: maxBackoffMs });
}
