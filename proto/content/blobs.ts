import { type Static, Type } from '@sinclair/typebox';
import { request } from '../contract/contract.ts';
import { Bytes, Digest, FilePath, Repository } from '../oci/names.ts';
import { Fenced } from './terms.ts';

/** Committed content: where it lies and which repositories link it. Asking for a blob renews its grace time. */

const InRepository = Type.Object({ repository: Repository, digest: Digest });

/** Where a committed blob's bytes lie. Committed files never change. */
export const BlobPlace = Type.Object({
  /** Relative to the data volume. */
  path: FilePath,
  size: Bytes,
});
export type BlobPlace = Static<typeof BlobPlace>;

/** Where are the bytes of a blob that the repository links? Faults: `blob-unknown`, `name-unknown`. */
export const locateBlob = request('storage.blob.locate', InRepository, BlobPlace);

/** Which of these are not committed in any repository? At most 1,000 at a time. */
export const missingBlobs = request(
  'storage.blob.missing',
  Type.Object({ digests: Type.Array(Digest, { maxItems: 1000 }) }),
  Type.Object({ digests: Type.Array(Digest, { maxItems: 1000 }) }),
);

/**
 * Links committed blobs into a repository without moving a byte, in one synced batch: a cross-repository mount.
 * With `from`, only what that repository links. Faults: `blob-unknown` (nothing is linked then).
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

/** Takes the blob out of the repository; its bytes go when nothing links them. Faults: `blob-unknown`. */
export const unlinkBlob = request('storage.blob.unlink', InRepository, Type.Object({}));
