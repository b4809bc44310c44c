import type { DeltaKind } from '#proto/content/deltas.ts';
import type { WireFault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';

/**
 * The process that makes and applies deltas (`main.ts`): it exits after one task. An `Order` comes on stdin as JSON,
 * the bytes that it makes go to stdout, and a `Report` to `REPORT_FD` as JSON, once all bytes are written.
 */

export const REPORT_FD = 3;

/** Committed content. `path` is absolute. */
export type Content = { digest: Digest; size: number; path: string };

export type Limits = {
  timeMs: number;
  /** Bytes that the process may use more than at its start. */
  memoryBytes: number;
  scratchBytes: number;
  /** Bytes to keep free on the data volume. */
  reserveBytes: number;
};

type Surroundings = {
  /** Folder for scratch files, absolute. */
  scratch: string;
  limits: Limits;
};

/** Makes the target. */
export type ApplyTask = Surroundings & {
  kind: 'apply';
  delta: Content;
  /** In the order of the delta's header. */
  bases: Content[];
  target: { digest: Digest; size: number };
};

/** Makes a delta from those of `candidates` that are most like the target. */
export type MakeTask = Surroundings & {
  kind: 'make';
  target: Content;
  /** The most promising one first. */
  candidates: Content[];
  /** Folder of what is known of their content, absolute: see `SketchFiles`. */
  sketches: string;
  /** Sets of bases that are not tried again. */
  refused: Digest[][];
  maxBases: number;
  /** Max size of the delta, as a share of the target's. */
  maxShare: number;
};

export type Task = ApplyTask | MakeTask;

/** `parent`: pid of the process that waits for the end. */
export type Order = Task & { parent: number };

export type Choice = { from: Digest[] };

export type Result =
  | { kind: 'applied' }
  | ({ kind: 'made'; digest: Digest; size: number; deltaKind: DeltaKind; format: number } & Choice)
  /** `size`: that of the delta, unless no candidate is like the target. */
  | ({ kind: 'poor'; size?: number } & Choice)
  /** The delta made other bytes. */
  | ({ kind: 'wrong' } & Choice)
  | { kind: 'failed'; fault: WireFault };

export type Report = Result & {
  /** Processor time of the process, in ms. */
  cpuMs: number;
  /** Max memory that it had, in bytes. */
  memoryBytes: number;
};
