import { Type } from '@sinclair/typebox';
import { event } from './contract.ts';
import { Bytes, Digest, Repository, Tag } from './names.ts';

/**
 * What storage tells of what it holds. An event is on its way before the request that made it is answered; one may be
 * lost when storage is killed, and then `storage.started` follows: whoever remembers content forgets it all then.
 */

/** Storage serves, from what is on the disk. */
export const storageStarted = event('storage.started', Type.Object({}));

export const blobCommitted = event('blob.committed', Type.Object({ digest: Digest, size: Bytes }));

/** The repository does not link the blob any more. */
export const blobUnlinked = event('blob.unlinked', Type.Object({ repository: Repository, digest: Digest }));

export const manifestCommitted = event(
  'manifest.committed',
  Type.Object({ repository: Repository, digest: Digest, mediaType: Type.String(), size: Bytes }),
);
export const manifestDeleted = event(
  'manifest.deleted',
  Type.Object({ repository: Repository, digest: Digest }),
);
export const tagMoved = event(
  'tag.moved',
  Type.Object({ repository: Repository, tag: Tag, digest: Digest, from: Type.Optional(Digest) }),
);
export const tagDeleted = event(
  'tag.deleted',
  Type.Object({ repository: Repository, tag: Tag, from: Digest }),
);
