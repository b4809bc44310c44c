import { request } from '../contract/contract.ts';
import { Bytes, FilePath } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository } from '../oci/names.ts';
import { Fenced } from './terms.ts';

/**
 * Content of a layer: the requests and events by which other services write and read it. Bytes never cross the bus:
 * they go directly between a service and the data volume.
 *
 * The life of a blob: a writer opens an ingest, claims it and writes into it; storage verifies the digest and commits
 * it (ingests.ts). Repositories link the committed blob (this file), and manifests name it (manifests.ts). Asking for a
 * blob renews its grace time. When nothing links it and its grace has ended, garbage collection deletes it; a scrub
 * quarantines damaged bytes (maintenance.ts). Changes are published as events (content-events.ts). A blob in transfer
 * is offered to the layers below (arriving.ts). The changes of a pass are fenced by its term (terms.ts).
 */

const InRepository = Type.Object({ repository: Repository, digest: Digest });

/** Location of a committed blob. Committed files never change. */
export const BlobPlace = Type.Object({
  /** Relative to the data volume. */
  path: FilePath,
  size: Bytes,
});
export type BlobPlace = Static<typeof BlobPlace>;

/** Location of a blob that the repository links. Faults: `blob-unknown`, `name-unknown`. */
export const locateBlob = request('storage.blob.locate', InRepository, BlobPlace);

/** Which of these are not committed in any repository. */
export const missingBlobs = request(
  'storage.blob.missing',
  Type.Object({ digests: Type.Array(Digest, { maxItems: 1000 }) }),
  Type.Object({ digests: Type.Array(Digest, { maxItems: 1000 }) }),
);

/**
 * Links committed blobs into a repository without copying bytes, in one synced batch: a cross-repository mount.
 * With `from`, only blobs that this other repository links. Faults: `blob-unknown` (then nothing is linked).
 */
export const linkBlobs = request(
  'storage.blob.link',
  Type.Object({
    repository: Repository,
    digests: Type.Array(Digest, { maxItems: 1000 }),
    from: Type.Optional(Repository),
    ...Fenced,
  }),
  Type.Object({}),
);

/** Repositories that link the blob, in bytewise order, at most `limit`. */
export const repositoriesOfBlob = request(
  'storage.blob.repositories',
  Type.Object({ digest: Digest, limit: Type.Integer({ minimum: 1, maximum: 100 }) }),
  Type.Object({ repositories: Type.Array(Repository, { maxItems: 100 }) }),
);

/**
 * Removes the link. Garbage collection deletes the bytes when nothing links them.
 * Faults: `blob-unknown`, `name-unknown`.
 */
export const unlinkBlob = request('storage.blob.unlink', InRepository, Type.Object({}));
