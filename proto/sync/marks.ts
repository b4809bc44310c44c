import { type Static, Type } from '@sinclair/typebox';
import { Fenced } from '../content/terms.ts';
import { request } from '../contract/contract.ts';
import { After, Digest, Repository } from '../oci/names.ts';

/**
 * How a registry that tells no changes, but when a repository last changed and how much is in it, said that each
 * repository is: kept when all that was so then had been carried out here. Where it says the same again, nothing is
 * new. `of` names the registry and all that decides what comes from it; marks of anything else are no marks.
 */
export const Mark = Type.Object({
  /** When it last changed, as the registry writes it. */
  updated: Type.String({ minLength: 1, maxLength: 64 }),
  manifests: Type.Integer({ minimum: 0 }),
  tags: Type.Integer({ minimum: 0 }),
});
export type Mark = Static<typeof Mark>;

export const MARKS_AT_ONCE = 500;
const limit = Type.Integer({ minimum: 1, maximum: MARKS_AT_ONCE });

export const listMarks = request(
  'storage.mark.list',
  Type.Object({ of: Type.String({ maxLength: 128 }), after: Type.Optional(Repository), limit }),
  Type.Object({
    marks: Type.Array(Type.Object({ repository: Repository, mark: Mark }), { maxItems: MARKS_AT_ONCE }),
    more: Type.Boolean(),
  }),
);

/** `null`: the repository is gone. The marks of anything but `of` go, too. */
export const keepMarks = request(
  'storage.mark.keep',
  Type.Object({
    of: Type.String({ maxLength: 128 }),
    marks: Type.Array(Type.Object({ repository: Repository, mark: Type.Union([Mark, Type.Null()]) }), {
      maxItems: MARKS_AT_ONCE,
    }),
    ...Fenced,
  }),
  Type.Object({}),
);

/** What refers to what in a repository here; `after` is `<subject>!<digest>`. */
export const listSubjects = request(
  'storage.subject.list',
  Type.Object({ repository: Repository, after: Type.Optional(After), limit }),
  Type.Object({
    referrers: Type.Array(Type.Object({ subject: Digest, digest: Digest }), { maxItems: MARKS_AT_ONCE }),
    more: Type.Boolean(),
  }),
);
