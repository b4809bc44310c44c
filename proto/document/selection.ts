import { type Static, Type } from '@sinclair/typebox';
import { RepositoryPattern } from '../oci/repository-pattern.ts';

/** What of a repository is brought, as a configuration document says it. */

export const Conflict = Type.Union([Type.Literal('parent-wins'), Type.Literal('layer-wins')]);
export type Conflict = Static<typeof Conflict>;

/** Tags for which all that is given is true; of those, the `latest` highest by version. */
export const TagFilter = Type.Object(
  {
    /** One of these globs, such as `v1.*`: see tag-glob.ts. */
    match: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { minItems: 1, maxItems: 100 }),
    ),
    /** The whole tag, as a regular expression in RE2 syntax. */
    regex: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    /** A range such as `>=1.2 <2`; tags that are no version, a `v` before it aside, are not in it. */
    semver: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    latest: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
);
export type TagFilter = Static<typeof TagFilter>;

export const Platform = Type.String({ pattern: '^[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?$', maxLength: 128 });
export const ArtifactType = Type.String({ minLength: 1, maxLength: 256 });

/** What is brought of the repositories that `name` selects. The most exact name counts: one repository, the longest prefix, `*`. */
export const Selection = Type.Object(
  {
    name: RepositoryPattern,
    tags: Type.Optional(TagFilter),
    /** `os/architecture` or `os/architecture/variant`: of an index, only these; all where left out. */
    platforms: Type.Optional(Type.Array(Platform, { minItems: 1, maxItems: 100 })),
    /** Signatures, SBOMs and what else refers to an image: all, none, or those of these artifact types. */
    referrers: Type.Optional(
      Type.Union([Type.Boolean(), Type.Array(ArtifactType, { minItems: 1, maxItems: 100 })]),
    ),
    /** Higher ones go first; 0 where left out. */
    priority: Type.Optional(Type.Integer({ minimum: -1000, maximum: 1000 })),
    /** In place of the layer's. */
    conflict: Type.Optional(Conflict),
  },
  { additionalProperties: false },
);
export type Selection = Static<typeof Selection>;
