import type { HeldDelta } from '#proto/content/deltas.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { WriterDeps } from './piece-writer.ts';

/** What transfers need of `services/syncer/delta/jobs/`: it applies deltas outside of the event loop, one at a time. */
export interface DeltaApplier {
  /**
   * Writes the bytes of a delta's target that the chunk log lacks, in order, and logs them as they come, so that layers
   * below have them at once; all are synced at the end. The delta is committed here, and so are its bases. The caller
   * holds a claim on the target's ingest, renews it meanwhile, and commits the ingest.
   * @throws Fault `delta-invalid` if the delta makes other bytes: then nothing of them is in the log; `blob-unknown` if
   * the delta or a base is not here; `digest-invalid` if one of them is damaged, with its digest in `detail.digest`;
   * `too-large` or `too-slow` if it needs more memory, disk or time than it may; `no-space`; `unavailable` if its
   * process crashed. The reason of `signal` if that aborts. With all but `delta-invalid`, the log has what was written.
   */
  applyInto(application: DeltaApplication): Promise<AppliedDelta>;
}

export type DeltaApplication = {
  /** Repository that the target is for. */
  repository: Repository;
  delta: HeldDelta;
  /** The target's ingest: its open file and chunk log, and what is called as its bytes grow. */
  target: WriterDeps;
  signal: AbortSignal;
};

/** All bytes of the target are in its ingest. */
export type AppliedDelta = {
  /** Digest of the target, if this call wrote all of its bytes. */
  hashed: Digest | undefined;
  /** Processor time, and elapsed time without that spent waiting for other deltas, in ms. */
  cpuMs: number;
  ms: number;
};
