import { Fenced } from '../content/terms.ts';
import { request } from '../contract/contract.ts';
import { After } from '../contract/scalars.ts';
import { type Static, Type } from '../contract/schema.ts';
import { Digest, Repository } from '../oci/names.ts';

/**
 * Marks are for a registry without a change feed that reports when a repository last changed and how much it holds. The
 * mark of a repository is such a report, stored when all changes up to it had been carried out here. If the registry
 * reports the same again, nothing is new. `scopeHash` identifies the registry and every setting that decides what is
 * pulled from it; marks with any other `scopeHash` do not count.
 */
export const Mark = Type.Object({
  /** Time of the last change, in the registry's format. */
  updated: Type.String({ minLength: 1, maxLength: 64 }),
  manifests: Type.Integer({ minimum: 0 }),
  tags: Type.Integer({ minimum: 0 }),
});
export type Mark = Static<typeof Mark>;

/** Max entries per page, or per request. */
export const MAX_MARKS_PER_PAGE = 500;
const limit = Type.Integer({ minimum: 1, maximum: MAX_MARKS_PER_PAGE });

export const listMarks = request(
  'storage.mark.list',
  Type.Object({ scopeHash: Type.String({ maxLength: 128 }), after: Type.Optional(Repository), limit }),
  Type.Object({
    marks: Type.Array(Type.Object({ repository: Repository, mark: Mark }), { maxItems: MAX_MARKS_PER_PAGE }),
    more: Type.Boolean(),
  }),
);

/** `null`: the repository is deleted, and so is its mark. Marks with any other `scopeHash` are deleted, too. */
export const storeMarks = request(
  'storage.mark.keep',
  Type.Object({
    scopeHash: Type.String({ maxLength: 128 }),
    marks: Type.Array(Type.Object({ repository: Repository, mark: Type.Union([Mark, Type.Null()]) }), {
      maxItems: MAX_MARKS_PER_PAGE,
    }),
    ...Fenced,
  }),
  Type.Object({}),
);

/** Referrers in a repository of this layer, with their subjects; `after` is `<subject>!<digest>`. */
export const listSubjects = request(
  'storage.subject.list',
  Type.Object({ repository: Repository, after: Type.Optional(After), limit }),
  Type.Object({
    referrers: Type.Array(Type.Object({ subject: Digest, digest: Digest }), { maxItems: MAX_MARKS_PER_PAGE }),
    more: Type.Boolean(),
  }),
);
