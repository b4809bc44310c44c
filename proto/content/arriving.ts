import { request } from '../contract/contract.ts';
import { Bytes } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';
import { BlobPlace } from './blobs.ts';
import { DeltaRecord } from './deltas.ts';

/**
 * Content in transfer from the parent, for the layers below, which fetch the part of it that is here already: so a blob
 * passes several layers in about the time that one link takes. All of it is a hint, and the bytes may turn out to be
 * wrong: the reader verifies the complete blob before the commit.
 */

/** Short form of a cursor, and of the id of an attempt. */
const Short = Type.String({ pattern: '^[0-9a-f]{1,64}$', maxLength: 64 });

/**
 * The place of a blob in an image, as far as it is known, so that a layer below can decide whether it wants the blob:
 * the tags that are to point to the image, the platforms of an index that the blob belongs to (none: it belongs to
 * all), and whether only a referrer needs it.
 */
export const ImageContext = Type.Object({
  tags: Type.Array(Tag, { maxItems: 20 }),
  platforms: Type.Optional(Type.Array(Type.String({ maxLength: 100 }), { maxItems: 20 })),
  referrer: Type.Optional(Type.Boolean()),
});
export type ImageContext = Static<typeof ImageContext>;

/** `attempt` changes each time that a syncer begins or resumes the transfer. */
export const ArrivingBlob = Type.Object({
  repository: Repository,
  digest: Digest,
  size: Bytes,
  attempt: Short,
  part: Type.Optional(ImageContext),
});
export type ArrivingBlob = Static<typeof ArrivingBlob>;

/**
 * A delta in transfer, or one that is here while its target is in transfer: of what it is made, and what it makes.
 * `repository` is that of its target.
 */
export const ArrivingDelta = Type.Object({ ...ArrivingBlob.properties, delta: DeltaRecord });
export type ArrivingDelta = Static<typeof ArrivingDelta>;

const Deltas = Type.Optional(Type.Array(ArrivingDelta, { maxItems: 100 }));

/** Blobs and deltas in transfer now, at most 1,000 and 100. */
export const listArriving = request(
  'storage.arriving.list',
  Type.Object({}),
  Type.Object({ blobs: Type.Array(ArrivingBlob, { maxItems: 1_000 }), deltas: Deltas }),
);

/**
 * Location of a blob that crosses, or has crossed, the link for this repository. `incomplete`: it is incomplete, and
 * `path` is the ingest's folder; otherwise `path` is the committed content, whether or not the repository links it yet.
 * Faults: `blob-unknown`.
 */
export const locateArriving = request(
  'storage.arriving.locate',
  Type.Object({ repository: Repository, digest: Digest }),
  Type.Object({ ...BlobPlace.properties, incomplete: Type.Boolean() }),
);

/**
 * Over HTTP: `GET <path>?after=CURSOR&wait=S` is answered with an `Arriving` as soon as it differs from the one of that
 * cursor, or after `wait` seconds. `GET <path>/<digest>?repository=R&wait=S` with a Range header is answered 206 with
 * the available bytes from the start of the range, or 204 if none is available after `wait` seconds: ask again.
 */
export const ARRIVING_PATH = '/v2/_terrace/arriving';
export const Arriving = Type.Object({
  cursor: Short,
  blobs: Type.Array(ArrivingBlob, { maxItems: 1_000 }),
  deltas: Deltas,
});
export type Arriving = Static<typeof Arriving>;
