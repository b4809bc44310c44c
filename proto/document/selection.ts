import { type Static, Type } from '@sinclair/typebox';
import { RepositoryPattern } from '../oci/repository-pattern.ts';

/** Which content of the parent's repositories is synchronized, as declared in a configuration document. */

export const Conflict = Type.Union([Type.Literal('parent-wins'), Type.Literal('layer-wins')]);
export type Conflict = Static<typeof Conflict>;

/** Tags that match all given fields; of those, the `latest` highest by version. */
export const TagFilter = Type.Object(
  {
    /** Matches one of these globs, such as `v1.*`: see tag-glob.ts. */
    match: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { minItems: 1, maxItems: 100 }),
    ),
    /** Regular expression in RE2 syntax for the complete tag. */
    regex: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    /** Range of versions such as `>=1.2 <2`; a leading `v` is ignored, and tags that are no version do not match. */
    semver: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    latest: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
export type TagFilter = Static<typeof TagFilter>;

export const Platform = Type.String({ pattern: '^[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?$', maxLength: 128 });
export const ArtifactType = Type.String({ minLength: 1, maxLength: 256 });

/**
 * What is synchronized of the repositories that `name` selects. The most specific entry applies: a single repository,
 * then the longest prefix, then `*`.
 */
export const Selection = Type.Object(
  {
    name: RepositoryPattern,
    tags: Type.Optional(TagFilter),
    /** Platforms of an index, as `os/architecture` or `os/architecture/variant`; all if absent. */
    platforms: Type.Optional(Type.Array(Platform, { minItems: 1, maxItems: 100 })),
    /** Signatures, SBOMs and other referrers: all, none, or only these artifact types. */
    referrers: Type.Optional(
      Type.Union([Type.Boolean(), Type.Array(ArtifactType, { minItems: 1, maxItems: 100 })]),
    ),
    /** Higher values are synchronized first; 0 by default. */
    priority: Type.Optional(Type.Integer({ minimum: -1000, maximum: 1000 })),
    /** Overrides the layer's `conflict`. */
    conflict: Type.Optional(Conflict),
  },
  { additionalProperties: false },
);
export type Selection = Static<typeof Selection>;
