import { ImageFacts, TagOrigin } from '../content/images.ts';
import { described } from '../contract/contract.ts';
import { Bytes, Code, Count, Instant, Reason } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';
import { Uncompared } from '../sync/behind.ts';
import { Ahead, Behind, SyncState } from '../sync/sync-figure.ts';
import { listOf } from './lists.ts';

/** Repositories and tags, with how each stands against the parent. */

export const RepositorySync = Type.Object(
  {
    state: SyncState,
    behind: Type.Optional(Behind),
    ahead: Type.Optional(Ahead),
    uncompared: Type.Optional(Uncompared),
    conflicts: Type.Optional(described(Count, 'Tags that hold the loser of a conflict.')),
    leftOut: Type.Optional(described(Count, 'Images that lack something that the parent does not provide.')),
  },
  { description: 'A repository compared with the parent.' },
);
export type RepositorySync = Static<typeof RepositorySync>;

export const RepositoryItem = Type.Object(
  {
    repository: Repository,
    tags: Type.Optional(described(Count, 'Its tags here.')),
    bytes: Type.Optional(
      described(
        Bytes,
        'With `contents`: bytes of its manifests and blobs. Other repositories may share them.',
      ),
    ),
    changed: Type.Optional(
      described(Instant, 'With `contents`: when a tag here last moved; absent if that is not recorded.'),
    ),
    selected: Type.Boolean({ description: 'A selection of the configuration covers it.' }),
    sync: Type.Optional(RepositorySync),
  },
  { description: 'A repository.' },
);
export type RepositoryItem = Static<typeof RepositoryItem>;

export const Repositories = listOf(RepositoryItem, 'Repositories in bytewise order.');
export type Repositories = Static<typeof Repositories>;

export const TagItem = Type.Object(
  {
    tag: Tag,
    digest: Type.Optional(described(Digest, 'Manifest that it points to here; absent if it is not here.')),
    origin: Type.Optional(TagOrigin),
    image: Type.Optional(described(ImageFacts, 'With `contents` or `attached`: the image.')),
    base: Type.Optional(described(Digest, 'Manifest on which layer and parent last agreed.')),
    parent: Type.Optional(
      Type.Union([Digest, Type.Null()], {
        description: 'Manifest that it points to at the parent as last known; null: it has no such tag.',
      }),
    ),
    state: Type.Optional(SyncState),
    since: Type.Optional(described(Instant, 'Since when it differs.')),
    bytes: Type.Optional(described(Bytes, 'Bytes still to transfer.')),
    code: Type.Optional(Code),
    reason: Type.Optional(described(Reason, 'Why the last attempt failed, or what the parent refused.')),
    parked: Type.Optional(Type.Boolean({ description: 'The parent refused the change; it is retried.' })),
    conflictOf: Type.Optional(described(Tag, 'It holds the loser of a conflict over this tag.')),
  },
  { description: 'A tag.' },
);
export type TagItem = Static<typeof TagItem>;

export const Tags = listOf(TagItem, 'Tags in bytewise order.');
export type Tags = Static<typeof Tags>;
