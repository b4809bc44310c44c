import { backoffMs } from '#proto/async/backoff.ts';
/** How long what takes, in ms. */
export type Timing = {
  /** A signature of the module's lasts so long. */
  token: number;
  /** A new session begins so long before that. */
  margin: number;
  connect: number;
  keepalive: number;
  /** edgeHub itself waits up to 100 s for its upstream before it answers from its store. */
  reply: number;
  /** Between looks at the twin where nothing was told: what edgeHub missed, it never tells. */
  resync: number;
  /** Patches that come together are one reason to look. */
  debounce: number;
  /** Of a direct method: the caller's own default is 30 s, and nobody tells us of another. */
  method: number;
  /** Between attempts, doubling from the one to the other, with jitter. */
  leastPause: number;
  mostPause: number;
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
  leastPause: 500,
  mostPause: 30_000,
};

/** @param failures in a row, from 1 on */
export function pauseAfter(failures: number, { leastPause, mostPause }: Timing): number {
  return backoffMs(failures, { firstMs: leastPause, maxMs: mostPause });
}
