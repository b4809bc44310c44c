import { Type } from '@sinclair/typebox';
import { AccountName } from '../accounts/accounts.ts';
import { event } from '../contract/contract.ts';
import { Bytes, Digest, MediaType, Repository, Tag } from '../oci/names.ts';

/**
 * Events of storage about its content. Those that invalidate a cache are published at once: they are on their way
 * before the request that caused them is answered. One may be lost when storage is killed; `storage.started` is then
 * published before any request is answered, and caches of content are cleared.
 */
const atOnce = { atOnce: true };

/** The change is from the parent, so it is not pushed to the parent. */
const arrived = Type.Optional(Type.Boolean());

/** Token of the client that made the change. Absent without accounts, and for changes from the parent. */
const account = Type.Optional(AccountName);

/** Storage begins to serve, from the state on the disk. */
export const storageStarted = event('storage.started', Type.Object({}), atOnce);

export const blobCommitted = event('blob.committed', Type.Object({ digest: Digest, size: Bytes, account }));

/** The repository no longer links the blob. */
export const blobUnlinked = event(
  'blob.unlinked',
  Type.Object({ repository: Repository, digest: Digest, account }),
  atOnce,
);

export const manifestCommitted = event(
  'manifest.committed',
  Type.Object({
    repository: Repository,
    digest: Digest,
    mediaType: MediaType,
    size: Bytes,
    arrived,
    account,
  }),
  atOnce,
);
export const manifestDeleted = event(
  'manifest.deleted',
  Type.Object({ repository: Repository, digest: Digest, arrived, account }),
  atOnce,
);
export const tagMoved = event(
  'tag.moved',
  Type.Object({
    repository: Repository,
    tag: Tag,
    digest: Digest,
    mediaType: Type.Optional(MediaType),
    from: Type.Optional(Digest),
    arrived,
    account,
  }),
  atOnce,
);
export const tagDeleted = event(
  'tag.deleted',
  Type.Object({ repository: Repository, tag: Tag, from: Digest, arrived, account }),
  atOnce,
);
