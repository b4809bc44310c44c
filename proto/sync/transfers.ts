import { type Static, Type } from '@sinclair/typebox';
import { ImageContext } from '../content/arriving.ts';
import { event, job } from '../contract/contract.ts';
import { Bytes, Code, Digest, Instant, Party, PassId, Reason, Repository } from '../oci/names.ts';

/** Transfers: one blob crosses the link, in either direction. */

/** From the parent to the layer, or from the layer to the parent. */
export const Direction = Type.Union([Type.Literal('down'), Type.Literal('up')]);
export type Direction = Static<typeof Direction>;

const Blob = { repository: Repository, digest: Digest, size: Bytes, direction: Direction };

const TransferJob = Type.Object({
  ...Blob,
  pass: PassId,
  /** On the way down: the place of the blob in an image, for the layers below. */
  part: Type.Optional(ImageContext),
  /** When the window closes: the transfer pauses then. A job taken later is dropped: the next pass creates it again. */
  until: Type.Optional(Instant),
  /** On the way up: repositories of the parent from which the blob may be mounted. */
  from: Type.Optional(Type.Array(Repository, { maxItems: 10 })),
  /** On the way up: the parent reports that it has the blob, but refuses a manifest because it has not. */
  resend: Type.Optional(Type.Boolean()),
});
export type TransferJob = Static<typeof TransferJob>;

/**
 * Job to get a blob into the layer (`down`), or into this repository of the parent (`up`). A syncer that takes it first
 * checks whether the blob is there already. One queue per direction: neither waits for the other.
 */
export const transferBlob = {
  down: job('jobs.transfer.down', TransferJob),
  up: job('jobs.transfer.up', TransferJob),
};

const Progress = { ...Blob, syncer: Party, pass: PassId };

/** `present`: bytes that earlier attempts left at the far end, which do not cross the link again. */
export const transferStarted = event('transfer.started', Type.Object({ ...Progress, present: Bytes }));

/** At most once a second per transfer. `rate`: bytes/s since the previous event. */
export const transferProgressed = event(
  'transfer.progressed',
  Type.Object({ ...Progress, done: Bytes, rate: Type.Optional(Bytes) }),
);

/** The transfer waits before its next attempt. */
export const transferDelayed = event(
  'transfer.delayed',
  Type.Object({ ...Progress, code: Code, reason: Reason, until: Instant }),
);

/** The window closed: bytes that arrived are retained, and the transfer resumes from there in the next window. */
export const transferPaused = event('transfer.paused', Type.Object(Progress));

/** `mounted`: no byte crossed the link, as another repository of the parent had the blob. */
export const transferFinished = event(
  'transfer.finished',
  Type.Object({ ...Progress, mounted: Type.Optional(Type.Boolean()) }),
);

/** Given up for this pass; the next one retries. `status` is the HTTP status of the parent's answer, if it refused. */
export const transferFailed = event(
  'transfer.failed',
  Type.Object({
    ...Progress,
    code: Code,
    reason: Reason,
    status: Type.Optional(Type.Integer()),
  }),
);
