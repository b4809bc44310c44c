import { Type } from '@sinclair/typebox';
import { AccountName } from '../accounts/accounts.ts';
import { event } from '../contract/contract.ts';
import { Bytes, Digest, MediaType, Repository, Tag } from '../oci/names.ts';

/**
 * What storage tells of what it holds. Those that change what a reader may remember are said at once: they are on
 * their way before the request that made them is answered. One may be lost when storage is killed, and then
 * `storage.started` comes before anything is answered: whoever remembers content forgets it all then.
 */
const atOnce = { atOnce: true };

/** The change came from the parent, so the parent need not hear of it. */
const arrived = Type.Optional(Type.Boolean());

/** The token with which a client did it; absent where there are no accounts, and where it came from the parent. */
const account = Type.Optional(AccountName);

/** Storage serves, from what is on the disk. */
export const storageStarted = event('storage.started', Type.Object({}), atOnce);

export const blobCommitted = event('blob.committed', Type.Object({ digest: Digest, size: Bytes, account }));

/** The repository does not link the blob any more. */
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
