import {
  byteKinds,
  type savingKinds,
  type TransferMetrics,
  transferOutcomes,
} from '#proto/status/process-metrics.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { countCode, zeros } from './counts.ts';
import { DeltaCounters } from './delta-counters.ts';

export type ByteKind = (typeof byteKinds)[number];
export type TransferResult = (typeof transferOutcomes)[number];
export type SavingKind = (typeof savingKinds)[number];

/** Counts the transfers of this process, since its start. */
export class TransferCounters {
  readonly down = emptyMetrics();
  readonly up = emptyMetrics();
  /** Of the deltas that this process makes and applies, also for its own transfers. */
  readonly deltas = new DeltaCounters();
  /** Blobs that were made of frames of others, and were not what their digest says. */
  frameMismatches = 0;

  bytes(direction: Direction, kind: ByteKind, bytes: number): void {
    this[direction].bytes[kind] += Math.max(0, bytes);
  }

  ended(direction: Direction, result: TransferResult): void {
    this[direction].outcomes[result] += 1;
  }

  /**
   * Less than a blob crossed the link, and the blob is at the far end.
   * @param bytes of the blob that did not cross
   * @param cpuMs processor time that rebuilding took here, in ms
   */
  saved(direction: Direction, kind: SavingKind, bytes: number, cpuMs = 0): void {
    const saved = this[direction].saved[kind];
    saved.transfers += 1;
    saved.bytes += Math.max(0, bytes);
    saved.cpuMs += Math.round(cpuMs);
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
  saved: {
    delta: { transfers: 0, bytes: 0, cpuMs: 0 },
    frames: { transfers: 0, bytes: 0, cpuMs: 0 },
  },
  failures: {},
  retries: {},
});
