import { ImageContext } from '../content/arriving.ts';
import { HeldDelta } from '../content/deltas.ts';
import { MAX_TRANSFER_GROUP } from '../content/ingests.ts';
import { described, event, job } from '../contract/contract.ts';
import { Bytes, Code, Count, Instant, Party, PassId, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Traceparent } from '../contract/traceparent.ts';
import { Digest, Repository } from '../oci/names.ts';

/** Transfers: one blob crosses the link, in either direction. */

export const Direction = Type.Union([Type.Literal('down'), Type.Literal('up')], {
  description: 'From the parent to the layer (down), or from the layer to the parent (up).',
});
export type Direction = Static<typeof Direction>;

const Blob = { repository: Repository, digest: Digest, size: Bytes, direction: Direction };

/** Max size of a blob that is transferred in a group, in bytes, and max size of a group. */
export const MAX_GROUPED_BYTES = 256 * 1024;
export const MAX_GROUP_BYTES = 4 * 1024 * 1024;

/** `imageContext`, on the way down: the place of the blob in an image, for the layers below. */
const Grouped = {
  repository: Repository,
  digest: Digest,
  size: Bytes,
  imageContext: Type.Optional(ImageContext),
};

/** Max layers in a job that its blob may resemble. */
export const MAX_FRAME_BASES = 8;

/** `bases`: layers of the repository that are here, and may have frames of the blob. The best one is the first. */
export const FramesHint = Type.Object({ bases: Type.Array(Digest, { maxItems: MAX_FRAME_BASES }) });
export type FramesHint = Static<typeof FramesHint>;

const TransferJob = Type.Object({
  ...Blob,
  pass: PassId,
  imageContext: Grouped.imageContext,
  /** On the way down: further small blobs, so that they need no job each. */
  others: Type.Optional(Type.Array(Type.Object(Grouped), { maxItems: MAX_TRANSFER_GROUP - 1 })),
  /** When the window closes: the transfer pauses then. A job taken later is dropped: the next pass creates it again. */
  until: Type.Optional(Instant),
  /** On the way up: repositories of the parent from which the blob may be mounted. */
  from: Type.Optional(Type.Array(Repository, { maxItems: 10 })),
  /** On the way up: the parent reports that it has the blob, but refuses a manifest because it has not. */
  resend: Type.Optional(Type.Boolean()),
  /** On the way up: also if the parent refused it in every way of sending a while ago. */
  retryRefused: Type.Optional(Type.Boolean()),
  /** On the way down: what crosses the link instead of the blob. */
  delta: Type.Optional(HeldDelta),
  /** On the way down, below a parent that is no Terrace: what the blob may be made of. */
  frames: Type.Optional(FramesHint),
  /** Where traces are on: what requested the blob. */
  traceparent: Type.Optional(Traceparent),
});
export type TransferJob = Static<typeof TransferJob>;

/**
 * Job to get a blob into the layer (`down`), with others if they are small, or into this repository of the parent
 * (`up`). A syncer that takes it first checks whether the blob is there already. One queue per direction: neither waits
 * for the other.
 */
export const transferBlob = {
  down: job('jobs.transfer.down', TransferJob),
  up: job('jobs.transfer.up', TransferJob),
};

/** A delta that crosses the link instead of a blob. */
export const CrossingDelta = Type.Object({ digest: Digest, size: Bytes });
export type CrossingDelta = Static<typeof CrossingDelta>;

/** What came of a blob without crossing the link. */
export const SavedBytes = Type.Object(
  {
    by: Type.Union([Type.Literal('delta'), Type.Literal('frames')], {
      description: 'By a delta of what the receiver held, or by frames that it held.',
    }),
    bytes: described(Bytes, 'Bytes of the blob that did not cross the link.'),
    cpuMs: Type.Optional(described(Count, 'Processor time of the receiver, in ms.')),
  },
  { description: 'Less than the blob crossed the link.' },
);
export type SavedBytes = Static<typeof SavedBytes>;

const Progress = {
  repository: described(Repository, 'Repository that the blob is for.'),
  digest: described(Digest, 'Digest of the blob.'),
  size: described(Bytes, 'Size of the blob, in bytes.'),
  direction: Direction,
  syncer: described(Party, 'Instance of the syncer.'),
  pass: PassId,
  delta: Type.Optional(
    described(
      CrossingDelta,
      'What crosses the link instead of the blob: a delta. Bytes that are counted are those of it.',
    ),
  ),
};

const Made = Type.Optional(
  described(
    Bytes,
    'Of these, bytes that did not cross the link: frames of other layers, or made by a delta.',
  ),
);

/** A syncer begins or resumes the transfer of a blob. */
export const transferStarted = event(
  'transfer.started',
  Type.Object({
    ...Progress,
    present: described(Bytes, 'Bytes that earlier attempts transferred, which do not cross the link again.'),
    made: Made,
  }),
);

/** Bytes of a blob have crossed the link. At most once a second per transfer. */
export const transferProgressed = event(
  'transfer.progressed',
  Type.Object({
    ...Progress,
    done: described(Bytes, 'Bytes at the destination.'),
    made: Made,
    rate: Type.Optional(described(Bytes, 'Bytes a second since the previous event.')),
  }),
);

/** The transfer waits before its next attempt. */
export const transferDelayed = event(
  'transfer.delayed',
  Type.Object({
    ...Progress,
    code: Code,
    reason: Reason,
    until: described(Instant, 'When it is retried, in ms since 1970-01-01 UTC.'),
    slow: Type.Optional(
      Type.Boolean({ description: 'The parent answers other requests, and this one not yet.' }),
    ),
  }),
);

/** The window closed or the link was paused: bytes that arrived are retained, and a later pass resumes from there. */
export const transferPaused = event('transfer.paused', Type.Object(Progress));

/** The blob is at the far end. */
export const transferFinished = event(
  'transfer.finished',
  Type.Object({
    ...Progress,
    mounted: Type.Optional(
      Type.Boolean({
        description: 'No byte crossed the link, as another repository of the parent had the blob.',
      }),
    ),
    held: Type.Optional(
      Type.Boolean({
        description: 'No byte crossed the link for this, as the blob was at the far end already.',
      }),
    ),
    saved: Type.Optional(SavedBytes),
  }),
);

/** The transfer is given up for this pass; the next one retries. */
export const transferFailed = event(
  'transfer.failed',
  Type.Object({
    ...Progress,
    code: Code,
    reason: Reason,
    status: Type.Optional(
      Type.Integer({ description: "HTTP status of the parent's answer, if it refused." }),
    ),
  }),
);
