import { request } from '../contract/contract.ts';
import { After, Bytes, FilePath } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, MediaType, Reference, Repository, Tag } from '../oci/names.ts';
import { LeftOutReferrers } from './left-out-referrers.ts';
import { Fenced } from './terms.ts';

/** Manifests, tags and referrers. Lists are paged: `after` is the last entry of the previous page. */

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

/** `null`: no such tag. */
export const TagTarget = Type.Union([Digest, Type.Null()]);

/**
 * What a pass knows of a tag when it plans a change: its base, and what is on record as being sent of it (absent:
 * nothing), see `beginSending` in `proto/sync/outgoing.ts`. If either differs by now, another pass has changed it.
 */
export const KnownTag = Type.Object({ base: TagTarget, sending: Type.Optional(TagTarget) });
export type KnownTag = Static<typeof KnownTag>;

/** Max length of `os/architecture/variant` as in an index, in characters. */
export const MAX_PLATFORM = 100;

/**
 * A child of an index that is left out, with its platform in the index: the layer does not fetch it or, if it is
 * `unavailable`, the parent does not provide it.
 */
export const LeftOutManifest = Type.Object({
  digest: Digest,
  platform: Type.String({ maxLength: MAX_PLATFORM }),
  unavailable: Type.Optional(Type.Literal(true)),
});
export type LeftOutManifest = Static<typeof LeftOutManifest>;

/** Max tags that one push of a manifest may name. */
export const MAX_TAGS = 100;

/** Max size of a manifest that is sent in the request, in bytes; a larger one is written to an ingest. */
export const MAX_INLINE_MANIFEST_BYTES = 256 * 1024;

/**
 * Commits a manifest, whose content is in the request, or in an ingest of which the caller holds the claim: its
 * children must be in the repository, its subject is indexed, and `tag` and `tags` (if named) point to it, all in one
 * synced batch. `expect` makes the move of `tag` conditional on its current target; `base` also records the new target
 * as the one that parent and layer agree on. `arrived`: the manifest is from the parent, so it is not pushed there.
 * `link`: its blobs are linked in the repository if the layer has them. `leftOut`: children that may be absent (a
 * sparse index).
 * Faults: `claim-lost`, `digest-invalid`, `manifest-invalid`, `manifest-blob-unknown`, `too-large`, `conflict`.
 */
export const putManifest = request(
  'storage.manifest.put',
  Type.Object({
    repository: Repository,
    digest: Digest,
    mediaType: MediaType,
    /** The content: either `bytes`, or `id` and `claim` of an ingest. */
    bytes: Type.Optional(Type.Uint8Array({ maxByteLength: MAX_INLINE_MANIFEST_BYTES })),
    id: Type.Optional(Type.String({ maxLength: 160 })),
    claim: Type.Optional(Type.String({ maxLength: 128 })),
    tag: Type.Optional(Tag),
    expect: Type.Optional(TagTarget),
    base: Type.Optional(Type.Boolean()),
    tags: Type.Optional(Type.Array(Tag, { maxItems: MAX_TAGS })),
    arrived: Type.Optional(Type.Boolean()),
    link: Type.Optional(Type.Boolean()),
    leftOut: Type.Optional(Type.Array(LeftOutManifest, { maxItems: 10_000 })),
    ...Fenced,
  }),
  Type.Object({ digest: Digest, size: Bytes, subject: Type.Optional(Digest) }),
);

/**
 * Faults: `manifest-unknown`, `name-unknown`. For a manifest that was left out of a sparse index, the message of
 * `manifest-unknown` says so, and `detail.leftOut` is its platform; with `detail.unavailable`, the parent of the layer
 * does not provide it.
 */
export const getManifest = request(
  'storage.manifest.get',
  Type.Object({ repository: Repository, reference: Reference }),
  ManifestPlace,
);

/** Which of these manifests the repository does not have. */
export const missingManifests = request(
  'storage.manifest.missing',
  Type.Object({ repository: Repository, digests: Type.Array(Digest, { maxItems: 1000 }) }),
  Type.Object({ digests: Type.Array(Digest, { maxItems: 1000 }) }),
);

/**
 * Deletes the manifest and every tag of the repository that points to it. `arrived`: the parent deleted it, so nothing
 * is withdrawn there. Faults: `manifest-unknown`, `name-unknown`.
 */
export const deleteManifest = request(
  'storage.manifest.delete',
  Type.Object({ ...InRepository.properties, arrived: Type.Optional(Type.Boolean()), ...Fenced }),
  Type.Object({}),
);

/**
 * Children of sparse indexes that are not here, in order of digest, then index: one entry per index that leaves the
 * child out. `after` is `<digest>!<index>`.
 */
export const listLeftOut = request(
  'storage.manifest.left-out',
  Type.Object({ repository: Repository, ...page }),
  Type.Object({
    leftOut: Type.Array(Type.Object({ ...LeftOutManifest.properties, index: Digest }), { maxItems: 1000 }),
    more: Type.Boolean(),
  }),
);

/**
 * Deletes from the layer the part of a repository that is from the parent: tags that equal their base, the bases, and
 * all manifests if no tag remains and no client put a manifest that was never sent to the parent. Content that was
 * never agreed on stays, with all manifests. Garbage collection deletes the bytes.
 */
export const deleteSynchronized = request(
  'storage.repository.clean',
  Type.Object({ repository: Repository, ...Fenced }),
  Type.Object({ tags: Type.Integer(), manifests: Type.Integer() }),
);

/**
 * Points a tag to a manifest of the repository. `base` also records the target as the one that parent and layer agree
 * on; the move then counts as arrived from the parent. It is refused if the tag is not as `known` any more. `loserTag`
 * gets the old target of the tag in the same batch. Faults: `manifest-unknown`, `name-unknown`, `conflict`.
 */
export const putTag = request(
  'storage.tag.put',
  Type.Object({
    repository: Repository,
    tag: Tag,
    digest: Digest,
    expect: Type.Optional(TagTarget),
    base: Type.Optional(Type.Boolean()),
    known: Type.Optional(KnownTag),
    loserTag: Type.Optional(Tag),
    ...Fenced,
  }),
  Type.Object({}),
);

/**
 * With `base`, deletes the base of the tag in the same batch. `known`: see `putTag`. Faults: `manifest-unknown`,
 * `name-unknown`, `conflict`.
 */
export const deleteTag = request(
  'storage.tag.delete',
  Type.Object({
    repository: Repository,
    tag: Tag,
    expect: Type.Optional(TagTarget),
    base: Type.Optional(Type.Boolean()),
    known: Type.Optional(KnownTag),
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

/** Target of each tag when parent and layer last agreed. Empty for an unknown repository. */
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

/** Max bases that are set with one request. */
export const MAX_BASES = 500;

/**
 * Sets all of them, or none. Without a target, the tag has no base. One that is not as `known` any more is skipped:
 * another pass has changed it, and the next one decides.
 */
export const setBases = request(
  'storage.base.set',
  Type.Object({
    repository: Repository,
    bases: Type.Array(Type.Object({ tag: Tag, digest: TagTarget, known: Type.Optional(KnownTag) }), {
      minItems: 1,
      maxItems: MAX_BASES,
    }),
    ...Fenced,
  }),
  Type.Object({}),
);

/** In bytewise order. */
export const listRepositories = request(
  'storage.repository.list',
  Type.Object(page),
  Type.Object({ repositories: Type.Array(Repository, { maxItems: 1000 }), more: Type.Boolean() }),
);

/** Max annotations in the descriptor of a referrer. A manifest with more has none in its descriptor. */
export const MAX_ANNOTATIONS = 1_000;
/** Max length of the name of such an annotation, in characters. Those with longer names stay in the manifest. */
export const MAX_ANNOTATION_KEY_LENGTH = 512;
const ReferrerDescriptor = Type.Object({
  mediaType: MediaType,
  digest: Digest,
  size: Bytes,
  artifactType: Type.Optional(MediaType),
  annotations: Type.Optional(
    Type.Record(
      Type.String({ pattern: `^[^]{1,${MAX_ANNOTATION_KEY_LENGTH}}$` }),
      Type.String({ maxLength: 512 * 1024 }),
      {
        maxProperties: MAX_ANNOTATIONS,
        additionalProperties: false,
      },
    ),
  ),
});

/**
 * Descriptors of the manifests whose subject is `digest`, in order of digest. Empty for an unknown subject. `leftOut`:
 * what the list lacks, with the first page.
 */
export const listReferrers = request(
  'storage.referrer.list',
  Type.Object({
    ...InRepository.properties,
    artifactType: Type.Optional(Type.String({ maxLength: 8_192 })),
    ...page,
    limit: Type.Integer({ minimum: 1, maximum: 200 }),
  }),
  Type.Object({
    descriptors: Type.Array(ReferrerDescriptor, { maxItems: 200 }),
    more: Type.Boolean(),
    leftOut: Type.Optional(LeftOutReferrers),
  }),
);
