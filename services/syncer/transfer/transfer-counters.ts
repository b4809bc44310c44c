import { faultCodes } from '#proto/contract/fault.ts';
import {
  byteKinds,
  type Counts,
  type TransferMetrics,
  transferOutcomes,
} from '#proto/status/process-metrics.ts';
import type { Direction } from '#proto/sync/transfers.ts';

export type ByteKind = (typeof byteKinds)[number];
export type TransferResult = (typeof transferOutcomes)[number];

/** Counts the transfers of this process, since its start. */
export class TransferCounters {
  readonly down = emptyMetrics();
  readonly up = emptyMetrics();

  bytes(direction: Direction, kind: ByteKind, bytes: number): void {
    this[direction].bytes[kind] += Math.max(0, bytes);
  }

  ended(direction: Direction, result: TransferResult): void {
    this[direction].outcomes[result] += 1;
  }

  failed(direction: Direction, code: string): void {
    this.ended(direction, 'failed');
    countCode(this[direction].failures, code);
  }

  /** An attempt failed, and the transfer waits for the next one. */
  delayed(direction: Direction, code: string): void {
    countCode(this[direction].retries, code);
  }
}

const emptyMetrics = (): TransferMetrics => ({
  outcomes: zeros(transferOutcomes),
  bytes: zeros(byteKinds),
  failures: {},
  retries: {},
});

/** A count of 0 for each word. */
export const zeros = <T extends string>(words: readonly T[]): Record<T, number> =>
  Object.fromEntries(words.map((word) => [word, 0])) as Record<T, number>;

const known = new Set<string>(faultCodes);

/** Counts the code of a fault; any other code as `other`, so that the number of codes is bounded. */
export function countCode(counts: Counts, code: string): void {
  const word = known.has(code) ? code : 'other';
  counts[word] = (counts[word] ?? 0) + 1;
}
