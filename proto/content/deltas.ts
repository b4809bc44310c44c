import { request } from '../contract/contract.ts';
import { Bytes, Count, Instant } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository } from '../oci/names.ts';
import { BlobPlace } from './blobs.ts';

/**
 * Deltas of blobs: storage holds each as content with a digest of its own, named by a record of what it is made of and
 * what it makes. No repository links it. Its bytes come by an ingest, as those of a blob do, and are committed with
 * `commitBlob` and its field `delta`. Storage deletes those that were not used for the longest time when their sum
 * exceeds the budget `delta.cache`.
 */

/** Min size of a blob that crosses the link as a delta, in bytes: a smaller one takes hardly more than a round trip. */
export const MIN_DELTA_TARGET_BYTES = 64 * 1024;
/** Max bases of a delta. */
export const MAX_BASES = 4;
/** Max blobs in a question about deltas, and max digests that the asker holds. */
export const MAX_WANTED = 100;
export const MAX_HELD = 500;

export const DeltaMode = Type.Union([Type.Literal('auto'), Type.Literal('always'), Type.Literal('off')]);
export type DeltaMode = Static<typeof DeltaMode>;

/** What the target is: gzip streams, whose content was compared, or bytes that were compared as they are. */
export const DeltaKind = Type.Union([Type.Literal('gzip'), Type.Literal('raw')]);
export type DeltaKind = Static<typeof DeltaKind>;

const From = Type.Array(Digest, { minItems: 1, maxItems: MAX_BASES });

/** What a delta makes of what. `format`: version of the delta format. */
export const DeltaRecord = Type.Object({
  to: Digest,
  toSize: Bytes,
  /** Bases, in the order of the delta's header. */
  from: From,
  format: Type.Integer({ minimum: 1, maximum: 255 }),
  kind: DeltaKind,
  /** Processor time that it took to make it, in ms. */
  cpuMs: Count,
});
export type DeltaRecord = Static<typeof DeltaRecord>;

/** A delta that is here. `digest` and `size` are those of its own bytes. */
export const HeldDelta = Type.Object({ ...DeltaRecord.properties, digest: Digest, size: Bytes });
export type HeldDelta = Static<typeof HeldDelta>;

/** Why a pair got no delta: it is hardly smaller than the target, or its delta made other bytes. */
export const RefusedReason = Type.Union([Type.Literal('poor'), Type.Literal('wrong')]);
export const RefusedDelta = Type.Object({
  to: Digest,
  from: From,
  format: DeltaRecord.properties.format,
  reason: RefusedReason,
});
export type RefusedDelta = Static<typeof RefusedDelta>;

/**
 * What is known of deltas to blobs that the repository links, for one who holds `held`. `deltas`: those whose bases are
 * all among `held`, at most four for each blob, the smallest first. `refused`: pairs whose bases are all among `held`,
 * at most 64 for each blob, the newest first.
 * `bases`: which of `held` are committed here, with repositories that link them: the asked one alone if it does, else
 * none, or with `elsewhere`, which costs a search through all repositories, the first four in bytewise order;
 * their grace is renewed. What is found counts as used.
 * Wanted blobs that the repository does not link are ignored.
 */
export const findDeltas = request(
  'storage.delta.find',
  Type.Object({
    repository: Repository,
    wanted: Type.Array(Digest, { maxItems: MAX_WANTED }),
    held: Type.Array(Digest, { maxItems: MAX_HELD }),
    elsewhere: Type.Optional(Type.Boolean()),
  }),
  Type.Object({
    deltas: Type.Array(HeldDelta, { maxItems: 4 * MAX_WANTED }),
    refused: Type.Array(RefusedDelta, { maxItems: 4 * MAX_WANTED }),
    bases: Type.Array(
      Type.Object({ digest: Digest, size: Bytes, repositories: Type.Array(Repository, { maxItems: 4 }) }),
      { maxItems: MAX_HELD },
    ),
  }),
);

/**
 * Location of a delta by its digest, if the repository links its target, or the target or the delta crosses the link
 * for it. Renews its grace and its last use. `incomplete`: as in `locateArriving`. Faults: `blob-unknown`.
 */
export const locateDelta = request(
  'storage.delta.locate',
  Type.Object({ repository: Repository, digest: Digest }),
  Type.Object({ ...BlobPlace.properties, ...DeltaRecord.properties, incomplete: Type.Boolean() }),
);

/** Notes that this pair is not to be tried again. `wrong` also deletes the deltas of the pair. */
export const refuseDelta = request('storage.delta.refuse', RefusedDelta, Type.Object({}));

/** Deltas and refused pairs, for people. `to`: only those to these blobs. */
export const listDeltas = request(
  'storage.delta.list',
  Type.Object({
    to: Type.Optional(Type.Array(Digest, { maxItems: MAX_WANTED })),
    after: Type.Optional(Type.String({ maxLength: 1_000 })),
  }),
  Type.Object({
    deltas: Type.Array(Type.Object({ ...HeldDelta.properties, made: Instant, used: Instant }), {
      maxItems: 500,
    }),
    refused: Type.Array(RefusedDelta, { maxItems: 500 }),
    /** More follow: ask with it as `after`. */
    next: Type.Optional(Type.String({ maxLength: 1_000 })),
  }),
);
