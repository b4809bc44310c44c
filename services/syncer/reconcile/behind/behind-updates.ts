import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import { type BehindTag, type ComparisonFailure, MAX_BEHIND } from '#proto/sync/behind.ts';

/** Records of one repository for storage: see `recordBehind`. */
export type BehindUpdate = {
  repository: Repository;
  put: BehindTag[];
  drop: Tag[];
  complete?: { tag: Tag; target: Digest }[];
  replace?: { after?: Tag; until?: Tag; incomplete?: true };
  uncompared?: ComparisonFailure | null;
};

/**
 * An update in parts of at most `MAX_BEHIND` tags. The records of a complete comparison replace all others: each part
 * those of its range of tags. Pure.
 */
export function updatesOf({
  repository,
  put,
  drop,
  complete = [],
  replace,
  uncompared,
}: BehindUpdate): BehindUpdate[] {
  const sorted = put.toSorted((a, b) => (a.tag < b.tag ? -1 : 1));
  const updates: BehindUpdate[] = [];
  const parts = Math.max(1, Math.ceil(Math.max(sorted.length, drop.length, complete.length) / MAX_BEHIND));
  let after: Tag | undefined;
  for (let part = 0; part < parts; part += 1) {
    const at = part * MAX_BEHIND;
    const tags = sorted.slice(at, at + MAX_BEHIND);
    const until = part === parts - 1 ? undefined : tags.at(-1)?.tag;
    const ended = complete.slice(at, at + MAX_BEHIND);
    updates.push({
      repository,
      put: tags,
      drop: drop.slice(at, at + MAX_BEHIND),
      ...(ended.length > 0 && { complete: ended }),
      ...(part === 0 && uncompared !== undefined && { uncompared }),
      ...(replace && {
        replace: {
          ...replace,
          ...(after !== undefined && { after }),
          ...(until !== undefined && { until }),
        },
      }),
    });
    after = until ?? after;
  }
  return updates;
}
