import { manifestCommitted, manifestDeleted, tagDeleted, tagMoved } from '../content/content-events.ts';
import { type Static, Type } from '../contract/schema.ts';
import { matches } from '../contract/schema-check.ts';
import { Digest, Repository, Tag } from '../oci/names.ts';

/** Request of `terrace repair` to the process that repairs the metadata of a data volume, and its answer. */

/** A fact from another source: the repository had this manifest, and this tag pointed to it; `deleted`: no longer. */
export const RepairHint = Type.Object({
  repository: Repository,
  digest: Digest,
  tag: Type.Optional(Tag),
  deleted: Type.Optional(Type.Literal(true)),
});
export type RepairHint = Static<typeof RepairHint>;

export const MAX_HINTS = 500_000;

export const RepairRequest = Type.Object({
  data: Type.String({ minLength: 1 }),
  /** In the order in which these facts became true. */
  hints: Type.Array(RepairHint, { maxItems: MAX_HINTS }),
  open: Type.Boolean(),
  force: Type.Boolean(),
  /** Only reports whether a repair is needed. */
  checkOnly: Type.Optional(Type.Boolean()),
});
export type RepairRequest = Static<typeof RepairRequest>;

export type RepairAnswer =
  | { kind: 'intact' }
  /** A repair is needed. */
  | { kind: 'damaged' }
  /** Finished an earlier repair that was interrupted at its end, in `folder`. */
  | { kind: 'finished'; folder: string }
  | { kind: 'done'; text: string }
  | { kind: 'failed'; why: string };

/** Hint from an event of content; undefined for any other event. @param type as declared, without `terrace.` */
export function hintOf(type: string, data: unknown): RepairHint | undefined {
  if (type === tagMoved.type && matches(tagMoved.data, data)) {
    return { repository: data.repository, tag: data.tag, digest: data.digest };
  }
  if (type === tagDeleted.type && matches(tagDeleted.data, data)) {
    return { repository: data.repository, tag: data.tag, digest: data.from, deleted: true };
  }
  if (type === manifestCommitted.type && matches(manifestCommitted.data, data)) {
    return { repository: data.repository, digest: data.digest };
  }
  if (type === manifestDeleted.type && matches(manifestDeleted.data, data)) {
    return { repository: data.repository, digest: data.digest, deleted: true };
  }
  return undefined;
}
