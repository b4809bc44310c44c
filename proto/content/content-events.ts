import { AccountName } from '../accounts/accounts.ts';
import { described, event } from '../contract/contract.ts';
import { Bytes } from '../contract/scalars.ts';
import { Type } from '../contract/schema.ts';
import { Digest, MediaType, Repository, Tag } from '../oci/names.ts';

/**
 * Events of storage about its content. Those that invalidate a cache are published at once: they are on their way
 * before the request that caused them is answered. One may be lost when storage is killed; `storage.started` is then
 * published before any request is answered, and caches of content are cleared.
 */
const immediate = { immediate: true };

const arrived = Type.Optional(
  Type.Boolean({ description: 'The change is from the parent, so it is not pushed to the parent.' }),
);
const unselected = Type.Optional(
  Type.Literal(true, {
    description:
      'No selection (`repositories`) covers the repository: the change stays in this layer, and is not pushed to the parent.',
  }),
);
const account = Type.Optional(
  described(
    AccountName,
    'Token of the client that made the change. Absent without accounts, and for changes from the parent.',
  ),
);

/** Storage begins to serve, from the state on the disk. */
export const storageStarted = event('storage.started', Type.Object({}), immediate);

/** The layer has a new blob. */
export const blobCommitted = event(
  'blob.committed',
  Type.Object({ digest: Digest, size: described(Bytes, 'Its size, in bytes.'), account }),
);

/** The repository no longer links the blob. */
export const blobUnlinked = event(
  'blob.unlinked',
  Type.Object({ repository: Repository, digest: Digest, account }),
  immediate,
);

/** A repository has a new manifest. */
export const manifestCommitted = event(
  'manifest.committed',
  Type.Object({
    repository: Repository,
    digest: Digest,
    mediaType: MediaType,
    size: described(Bytes, 'Its size, in bytes.'),
    arrived,
    unselected,
    account,
  }),
  immediate,
);
/** A manifest was deleted from a repository. */
export const manifestDeleted = event(
  'manifest.deleted',
  Type.Object({ repository: Repository, digest: Digest, arrived, account }),
  immediate,
);
/** A tag is new, or points to another manifest. */
export const tagMoved = event(
  'tag.moved',
  Type.Object({
    repository: Repository,
    tag: Tag,
    digest: described(Digest, 'Manifest that it points to now.'),
    mediaType: Type.Optional(MediaType),
    from: Type.Optional(described(Digest, 'Manifest that it pointed to before; absent for a new tag.')),
    arrived,
    unselected,
    account,
  }),
  immediate,
);
/** A tag was deleted. */
export const tagDeleted = event(
  'tag.deleted',
  Type.Object({
    repository: Repository,
    tag: Tag,
    from: described(Digest, 'Manifest that it pointed to.'),
    arrived,
    account,
  }),
  immediate,
);
