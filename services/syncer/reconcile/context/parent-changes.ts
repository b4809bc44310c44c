import type { Digest, Repository, Tag } from '#proto/oci/names.ts';

/** What the parent told of one repository. */
export type Told = {
  /** What tags point to there now; `null`: they are gone. */
  tags: Map<Tag, Digest | null>;
  /** Manifests on which something hangs that came or went. */
  around: Set<Digest>;
};

export type ParentChanges = ReadonlyMap<Repository, Told>;

/** For one pass: what it is to look at. */
export type Look = {
  /** Undefined: everything. */
  parentChanges: ParentChanges | undefined;
  /** The parent answered right before the pass began, so the pass need not ask it for a sign of life. */
  answered?: boolean;
  /** The pass has ended; `good`: all of it was carried out. */
  settle(good: boolean): Promise<void>;
};
