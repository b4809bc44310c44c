import { DeltaKind, HeldDelta, MAX_BASES } from '../content/deltas.ts';
import { described, event, job } from '../contract/contract.ts';
import { Bytes, Code, Count, Party, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository } from '../oci/names.ts';

/** Jobs that make and apply deltas, for any syncer of the layer, and what they report. */

/** Max bases among which the maker of a delta chooses. */
export const MAX_CANDIDATES = 16;

const MakeDelta = Type.Object({
  kind: Type.Literal('make'),
  /** Links the target. */
  repository: Repository,
  to: Digest,
  toSize: Bytes,
  /** Committed blobs that the receiver holds, the most alike first. */
  candidates: Type.Array(Digest, { minItems: 1, maxItems: MAX_CANDIDATES }),
  /** `asked`: a child waits for it. `ahead`: a child will ask. `push`: it goes up. */
  reason: Type.Union([Type.Literal('asked'), Type.Literal('ahead'), Type.Literal('push')]),
});

const ApplyDelta = Type.Object({
  kind: Type.Literal('apply'),
  /** Links the delta, as a child pushed it there, and gets the target. */
  repository: Repository,
  delta: HeldDelta,
});

/**
 * Makes a delta, unless it is here or refused, or applies one that a child pushed. A job is idempotent. It ends with
 * one of the events below. One queue each: a child waits for an application, and making a delta may take minutes.
 */
export const deltaJob = {
  make: job('jobs.delta.make', MakeDelta),
  apply: job('jobs.delta.apply', ApplyDelta),
};
export type MakeJob = Static<typeof MakeDelta>;
export type ApplyJob = Static<typeof ApplyDelta>;
export type DeltaJob = MakeJob | ApplyJob;

const About = {
  repository: described(Repository, 'Repository that the target is for.'),
  to: described(Digest, 'Digest of the target.'),
  toSize: described(Bytes, 'Size of the target, in bytes.'),
  syncer: described(Party, 'Instance of the syncer.'),
};
const From = Type.Array(Digest, { maxItems: MAX_BASES, description: 'Digests of the bases.' });
const Cost = {
  cpuMs: described(Count, 'Processor time, in ms.'),
  ms: described(Count, 'Elapsed time, in ms.'),
};

/** A delta is here. */
export const deltaMade = event(
  'delta.made',
  Type.Object({
    ...About,
    from: From,
    digest: described(Digest, 'Digest of the delta.'),
    size: described(Bytes, 'Size of the delta, in bytes.'),
    kind: described(DeltaKind, 'What was compared: the content of gzip streams, or the bytes as they are.'),
    ...Cost,
  }),
);

/**
 * The parent has a delta to a blob that is crossing the link in full, and the delta brings the rest sooner. The syncer
 * that has the blob continues with it.
 */
export const deltaOffered = event(
  'delta.offered',
  Type.Object({
    ...About,
    from: From,
    digest: described(Digest, 'Digest of the delta.'),
    size: described(Bytes, 'Size of the delta, in bytes.'),
    format: described(HeldDelta.properties.format, 'Version of the delta format.'),
    kind: described(DeltaKind, 'What was compared: the content of gzip streams, or the bytes as they are.'),
    cpuMs: described(Count, 'Processor time that it took to make it, in ms.'),
  }),
);

/** A delta was applied: the target is here, with the right digest. */
export const deltaApplied = event(
  'delta.applied',
  Type.Object({
    ...About,
    from: From,
    digest: described(Digest, 'Digest of the delta.'),
    size: described(Bytes, 'Size of the delta, in bytes.'),
    ...Cost,
  }),
);

/** No delta was made, or it could not be applied: the target crosses the link in full. */
export const deltaFailed = event(
  'delta.failed',
  Type.Object({
    ...About,
    job: Type.Union([Type.Literal('make'), Type.Literal('apply')], { description: 'What failed.' }),
    jobId: Type.Optional(
      Type.String({
        maxLength: 64,
        description:
          'Which job failed, among those of its target; none if a syncer applied what it had pulled.',
      }),
    ),
    poor: Type.Optional(
      Type.Boolean({ description: 'Its delta is hardly smaller than the target: no fault.' }),
    ),
    code: Code,
    reason: Reason,
  }),
);

/** A delta made other bytes than the target. Nothing of it was committed, and the pair is not tried again. */
export const deltaMismatched = event(
  'delta.mismatched',
  Type.Object({
    ...About,
    from: From,
    digest: Type.Optional(described(Digest, 'Digest of the delta; not of one that was just made.')),
  }),
);
