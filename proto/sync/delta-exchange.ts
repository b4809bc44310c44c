import { DeltaRecord, HeldDelta, MAX_HELD, MAX_WANTED } from '../content/deltas.ts';
import { Bytes } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository } from '../oci/names.ts';
import { MAX_WAIT_S } from './changes.ts';

/**
 * Deltas between a layer and its parent, both Terraces, over HTTP. A parent that takes these requests says so in its
 * change feed (`Changes.deltas`); no other one is asked.
 *
 * - `POST <path>`: a `DeltaQuestion`, answered with a `DeltaAnswer`, for what goes down.
 * - `GET <path>/<digest>?repository=R&wait=S`: the bytes of a delta, as content in transfer: see `ARRIVING_PATH`.
 * - `POST <path>/bases`: a `DeltaQuestion`, answered with a `BasesAnswer`, for what goes up. The delta itself then goes
 *   up as a blob of the repository.
 * - `POST <path>/apply`: a `PushedDelta`. 201: the target is in the repository. 202: not yet; ask again. Any other
 *   status: send the target itself.
 */
export const DELTAS_PATH = '/v2/_terrace/deltas';

/** Max images whose content the asker names. */
export const MAX_HELD_IMAGES = 8;

/** Of one image: blobs that the receiver lacks, and what it holds. Going up, the asker is the sender. */
export const DeltaQuestion = Type.Object({
  repository: Repository,
  /** Formats of deltas that the asker knows. */
  formats: Type.Array(DeltaRecord.properties.format, { minItems: 1, maxItems: 8 }),
  wanted: Type.Array(Type.Object({ digest: Digest, size: Bytes }), { minItems: 1, maxItems: MAX_WANTED }),
  /** Layers of the image, in its order. */
  layers: Type.Array(Digest, { maxItems: MAX_HELD }),
  /** Layers of images that the asker holds, each in its order, the most alike image first; `MAX_HELD` in all. */
  held: Type.Array(Type.Array(Digest, { maxItems: MAX_HELD }), { maxItems: MAX_HELD_IMAGES }),
  /** Max time to wait for deltas that are being made, in seconds. */
  wait: Type.Integer({ minimum: 0, maximum: MAX_WAIT_S }),
});
export type DeltaQuestion = Static<typeof DeltaQuestion>;

/** One entry for each wanted blob. `making`: ask again. `plain`: there will be no delta. */
export const DeltaAnswer = Type.Object({
  deltas: Type.Array(
    Type.Object({
      to: Digest,
      state: Type.Union([Type.Literal('delta'), Type.Literal('making'), Type.Literal('plain')]),
      /** With state `delta`. */
      delta: Type.Optional(HeldDelta),
    }),
    { maxItems: MAX_WANTED },
  ),
});
export type DeltaAnswer = Static<typeof DeltaAnswer>;

export const BasesAnswer = Type.Object({
  /** Wanted blobs that the repository has already. */
  present: Type.Array(Digest, { maxItems: MAX_WANTED }),
  /** Which of `held` the parent has, as far as the caller may pull them. */
  held: Type.Array(Digest, { maxItems: MAX_HELD }),
});
export type BasesAnswer = Static<typeof BasesAnswer>;

export const PushedDelta = Type.Object({
  repository: Repository,
  delta: HeldDelta,
  /** Max time to wait for the target, in seconds. */
  wait: Type.Integer({ minimum: 0, maximum: MAX_WAIT_S }),
});
export type PushedDelta = Static<typeof PushedDelta>;
