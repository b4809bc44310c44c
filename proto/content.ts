import { Type } from '@sinclair/typebox';
import { event } from './contract.ts';
import { Bytes, Digest, Repository, Tag } from './names.ts';

/** What storage tells of what it holds. */

export const blobCommitted = event('blob.committed', Type.Object({ digest: Digest, size: Bytes }));

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
