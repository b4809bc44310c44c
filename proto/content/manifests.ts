import { type Static, Type } from '@sinclair/typebox';
import { request } from '../contract/contract.ts';
import { After, Bytes, Digest, FilePath, MediaType, Reference, Repository, Tag } from '../oci/names.ts';
import { Fenced } from './terms.ts';

/** Manifests, tags and what refers to what. Lists come in pages: `after` is the last entry of the page before. */

const InRepository = Type.Object({ repository: Repository, digest: Digest });
const page = { after: Type.Optional(After), limit: Type.Integer({ minimum: 0, maximum: 1000 }) };

export const ManifestPlace = Type.Object({
  digest: Digest,
  mediaType: MediaType,
  size: Bytes,
  /** Relative to the data volume. */
  path: FilePath,
});
export type ManifestPlace = Static<typeof ManifestPlace>;

/** `null` stands for "no such tag". */
const TagTarget = Type.Union([Digest, Type.Null()]);

/** `os/architecture/variant`, as an index says it. */
export const MAX_PLATFORM = 100;

/** A child of an index that the layer does not bring, with the platform that the index says it is for. */
export const LeftOut = Type.Object({ digest: Digest, platform: Type.String({ maxLength: MAX_PLATFORM }) });
export type LeftOut = Static<typeof LeftOut>;

/** How many tags one push of a manifest may name. */
export const MAX_TAGS = 100;

/**
 * Commits an ingest's content as a manifest: its children are in the repository, its subject is indexed, and the
 * tag and `tags` (if named) point to it, all in one synced batch. `expect` makes the tag's move conditional on what
 * it points to now; `base` also records the new target as what parent and layer agree on. `arrived`: it came from
 * the parent, so it is not to be sent there. `leftOut`: children that may be absent (a sparse index).
 * Faults: `claim-lost`, `digest-invalid`, `manifest-invalid`, `manifest-blob-unknown`, `too-large`, `conflict`.
 */
export const putManifest = request(
  'storage.manifest.put',
  Type.Object({
    repository: Repository,
    digest: Digest,
    mediaType: MediaType,
    id: Type.String({ maxLength: 160 }),
    claim: Type.String({ maxLength: 128 }),
    tag: Type.Optional(Tag),
    expect: Type.Optional(TagTarget),
    base: Type.Optional(Type.Boolean()),
    tags: Type.Optional(Type.Array(Tag, { maxItems: MAX_TAGS })),
    arrived: Type.Optional(Type.Boolean()),
    leftOut: Type.Optional(Type.Array(LeftOut, { maxItems: 10_000 })),
    ...Fenced,
  }),
  Type.Object({ digest: Digest, size: Bytes, subject: Type.Optional(Digest) }),
);

/**
 * Faults: `manifest-unknown`, `name-unknown`. Of a manifest that was left out of a sparse index, `manifest-unknown`
 * says so, and has the platform as `detail.leftOut`.
 */
export const getManifest = request(
  'storage.manifest.get',
  Type.Object({ repository: Repository, reference: Reference }),
  ManifestPlace,
);

/** Which of these manifests does the repository not have? */
export const missingManifests = request(
  'storage.manifest.missing',
  Type.Object({ repository: Repository, digests: Type.Array(Digest, { maxItems: 1000 }) }),
  Type.Object({ digests: Type.Array(Digest, { maxItems: 1000 }) }),
);

/**
 * Deletes the manifest and every tag of the repository that points to it. `arrived`: as it went from the parent, so
 * nothing is to be withdrawn there. Faults: `manifest-unknown`.
 */
export const deleteManifest = request(
  'storage.manifest.delete',
  Type.Object({ ...InRepository.properties, arrived: Type.Optional(Type.Boolean()), ...Fenced }),
  Type.Object({}),
);

/**
 * Children of sparse indexes that are not here, in order of digest, then index: once for each index that leaves it
 * out. `after` is `<digest>!<index>`.
 */
export const listLeftOut = request(
  'storage.manifest.left-out',
  Type.Object({ repository: Repository, ...page }),
  Type.Object({
    leftOut: Type.Array(Type.Object({ ...LeftOut.properties, index: Digest }), { maxItems: 1000 }),
    more: Type.Boolean(),
  }),
);

/**
 * Takes out of the layer what came of a repository from the parent: tags that are as parent and layer agreed on, the
 * bases, and all manifests if no tag is left and a client put none that the parent was never told of. What was never
 * agreed on stays, with all manifests. Bytes go by garbage collection.
 */
export const cleanRepository = request(
  'storage.repository.clean',
  Type.Object({ repository: Repository, ...Fenced }),
  Type.Object({ tags: Type.Integer(), manifests: Type.Integer() }),
);

/** Points a tag to a manifest that the repository has. Faults: `manifest-unknown`, `conflict`. */
export const putTag = request(
  'storage.tag.put',
  Type.Object({
    repository: Repository,
    tag: Tag,
    digest: Digest,
    expect: Type.Optional(TagTarget),
    base: Type.Optional(Type.Boolean()),
    ...Fenced,
  }),
  Type.Object({}),
);

/** Faults: `manifest-unknown`, `conflict`. With `base`, the base of the tag goes in the same batch. */
export const deleteTag = request(
  'storage.tag.delete',
  Type.Object({
    repository: Repository,
    tag: Tag,
    expect: Type.Optional(TagTarget),
    base: Type.Optional(Type.Boolean()),
    ...Fenced,
  }),
  Type.Object({}),
);

export const TagEntry = Type.Object({ tag: Tag, digest: Digest });
export type TagEntry = Static<typeof TagEntry>;

/** In bytewise order. Faults: `name-unknown`. */
export const listTags = request(
  'storage.tag.list',
  Type.Object({ repository: Repository, ...page }),
  Type.Object({ tags: Type.Array(TagEntry, { maxItems: 1000 }), more: Type.Boolean() }),
);

/** What each tag pointed to when parent and layer last agreed. A repository that storage never saw has none. */
export const listBases = request(
  'storage.base.list',
  Type.Object({ repository: Repository, ...page }),
  Type.Object({ tags: Type.Array(TagEntry, { maxItems: 1000 }), more: Type.Boolean() }),
);

/** Repositories in which a tag does not point to its base, in bytewise order. */
export const listDiffering = request(
  'storage.base.differing',
  Type.Object(page),
  Type.Object({ repositories: Type.Array(Repository, { maxItems: 1000 }), more: Type.Boolean() }),
);

export const setBase = request(
  'storage.base.set',
  Type.Object({ repository: Repository, tag: Tag, digest: TagTarget, ...Fenced }),
  Type.Object({}),
);

/** In bytewise order. */
export const listRepositories = request(
  'storage.repository.list',
  Type.Object(page),
  Type.Object({ repositories: Type.Array(Repository, { maxItems: 1000 }), more: Type.Boolean() }),
);

/** What a descriptor brings along of the annotations of its manifest: those with a longer name stay there. */
export const MAX_ANNOTATIONS = 1_000;
export const MAX_KEY = 512;
const ReferrerDescriptor = Type.Object({
  mediaType: MediaType,
  digest: Digest,
  size: Bytes,
  artifactType: Type.Optional(MediaType),
  annotations: Type.Optional(
    Type.Record(Type.String({ pattern: `^[^]{1,${MAX_KEY}}$` }), Type.String({ maxLength: 512 * 1024 }), {
      maxProperties: MAX_ANNOTATIONS,
      additionalProperties: false,
    }),
  ),
});

/** Descriptors of the manifests whose subject is `digest`, in order of digest; an unknown subject has none. */
export const listReferrers = request(
  'storage.referrer.list',
  Type.Object({
    ...InRepository.properties,
    artifactType: Type.Optional(Type.String({ maxLength: 8_192 })),
    ...page,
    limit: Type.Integer({ minimum: 1, maximum: 200 }),
  }),
  Type.Object({ descriptors: Type.Array(ReferrerDescriptor, { maxItems: 200 }), more: Type.Boolean() }),
);
