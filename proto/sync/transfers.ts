import { type Static, Type } from '@sinclair/typebox';
import { Part } from '../content/arriving.ts';
import { event, job } from '../contract/contract.ts';
import { Bytes, Code, Digest, Instant, Party, PassId, Reason, Repository } from '../oci/names.ts';

/** One blob going over the link, either way. */

/** From the parent to the layer, or from the layer to the parent. */
export const Direction = Type.Union([Type.Literal('down'), Type.Literal('up')]);
export type Direction = Static<typeof Direction>;

const Blob = { repository: Repository, digest: Digest, size: Bytes, direction: Direction };

const PassRequest = Type.Object({
  ...Blob,
  pass: PassId,
  /** On the way down: what it is of an image, for the layers below. */
  part: Type.Optional(Part),
  /** When the window closes: the transfer pauses then, and a job taken later is forgotten, as the next pass makes it anew. */
  until: Type.Optional(Instant),
  /** On the way up: repositories of the parent from which it may be mounted. */
  from: Type.Optional(Type.Array(Repository, { maxItems: 10 })),
  /** On the way up: the parent says that it has it, and refuses a manifest because it has not. */
  again: Type.Optional(Type.Boolean()),
});
export type TransferJob = Static<typeof PassRequest>;

/**
 * The wish that the layer had a blob (`down`), or that the parent had it in this repository (`up`). Whoever takes it
 * first looks whether it is there already. A queue for each direction: neither waits for what the other has to do.
 */
export const transferBlob = {
  down: job('jobs.transfer.down', PassRequest),
  up: job('jobs.transfer.up', PassRequest),
};

const Progress = { ...Blob, syncer: Party, pass: PassId };

/** `present`: bytes that earlier attempts left at the far end, which do not go over the link again. */
export const transferStarted = event('transfer.started', Type.Object({ ...Progress, present: Bytes }));

/** At most once a second for each transfer. `rate`: bytes a second, since it was last told. */
export const transferProgressed = event(
  'transfer.progressed',
  Type.Object({ ...Progress, done: Bytes, rate: Type.Optional(Bytes) }),
);

/** The transfer waits before its next attempt. */
export const transferDelayed = event(
  'transfer.delayed',
  Type.Object({ ...Progress, code: Code, reason: Reason, until: Instant }),
);

/** The window closed: what arrived is kept, and the next window goes on from there. */
export const transferPaused = event('transfer.paused', Type.Object(Progress));

/** `mounted`: not a byte went over the link, as another repository of the parent had it. */
export const transferFinished = event(
  'transfer.finished',
  Type.Object({ ...Progress, mounted: Type.Optional(Type.Boolean()) }),
);

/** Given up for this pass; the next one tries again. `status` is that of the parent's answer, where it refused. */
export const transferFailed = event(
  'transfer.failed',
  Type.Object({
    ...Progress,
    code: Code,
    reason: Reason,
    status: Type.Optional(Type.Integer()),
  }),
);
