import { type Static, Type } from '../contract/schema.ts';
import { RepositoryPattern } from '../oci/repository-pattern.ts';
import { mapping, optional } from './fields.ts';

/** Which content of the parent's repositories is synchronized, as declared in a configuration document. */

export const ConflictPolicy = Type.Union([Type.Literal('parent-wins'), Type.Literal('layer-wins')]);
export type ConflictPolicy = Static<typeof ConflictPolicy>;

const CONFLICT = 'write parent-wins or layer-wins';

/** Field `conflict` of the layer. */
export const conflictField = optional(
  ConflictPolicy,
  'Which side wins if both changed a tag; the content of the other side stays reachable under a conflict tag.',
  CONFLICT,
  { default: 'parent-wins' },
);

/** Tags that match all given fields; of those, the `latest` highest by version. */
export const TagFilter = mapping(
  {
    match: optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { minItems: 1, maxItems: 100 }),
      'Globs; one of them must match the complete tag. `!(…)` excludes.',
      'write a list of globs for complete tags, such as v1.*',
    ),
    regex: optional(
      Type.String({ minLength: 1, maxLength: 512 }),
      'Regular expression in RE2 syntax for the complete tag.',
      'write a regular expression for the complete tag in RE2 syntax (no lookaround, no backreference), such as v\\d+; to exclude tags, use match with !(…)',
    ),
    semver: optional(
      Type.String({ minLength: 1, maxLength: 256 }),
      'Range of versions. A leading `v` of a tag is ignored; a tag that is not a version does not match.',
      'write a range of versions, such as ">=1.2 <2"',
    ),
    latest: optional(
      Type.Integer({ minimum: 1 }),
      'How many of the tags that match are synchronized: the highest by version.',
      'write a whole number, at least 1',
      { otherwise: 'all' },
    ),
  },
  'Which tags are synchronized: those that match all of its fields.',
  { otherwise: 'all' },
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
    name: optional(
      RepositoryPattern,
      'The repositories of this entry. The most specific entry applies to a repository: its name, then the longest prefix, then `*`.',
      'write the name of a repository, prefix/* or *',
      { otherwise: 'required without `from` and `as`' },
    ),
    from: optional(
      RepositoryPattern,
      'Instead of `name`, with `as`: the repositories by their names at the parent. No other entry may select them.',
      'write the name of a repository, prefix/* or *',
    ),
    as: optional(
      RepositoryPattern,
      'The names that the repositories of `from` have in this layer: a name for a name, `prefix/*` or `*` for `prefix/*` or `*`.',
      'write the name of a repository, prefix/* or *',
    ),
    tags: Type.Optional(TagFilter),
    platforms: optional(
      Type.Array(Platform, { minItems: 1, maxItems: 100 }),
      'Platforms of an index that are synchronized.',
      'write a list of os/architecture or os/architecture/variant, such as linux/arm64',
      { otherwise: 'all' },
    ),
    referrers: optional(
      Type.Union([Type.Boolean(), Type.Array(ArtifactType, { minItems: 1, maxItems: 100 })]),
      'Signatures, SBOMs and other referrers: all, none, or only those of these artifact types.',
      'write true, false, or a list of artifact types',
      { default: true },
    ),
    priority: optional(
      Type.Integer({ minimum: -1000, maximum: 1000 }),
      'Repositories with a higher value are synchronized first.',
      'write a whole number from -1000 to 1000',
      { default: 0 },
    ),
    conflict: optional(ConflictPolicy, 'Overrides the `conflict` of the layer.', CONFLICT, {
      otherwise: 'that of the layer',
    }),
  },
  { additionalProperties: false },
);
export type Selection = Static<typeof Selection>;

/** Max entries of `repositories`. */
export const MAX_SELECTIONS = 2_000;

/** Field `repositories` of a document. */
export const selectionsField = optional(
  Type.Array(Type.Union([RepositoryPattern, Selection]), { maxItems: MAX_SELECTIONS }),
  'Repositories of the parent that are synchronized; an empty list means none. An entry is a pattern, or a mapping that also selects the content.',
  'write a list of repository names, prefix/* or *, or of mappings with the field name',
  { otherwise: 'all (`*`) with a parent' },
);
