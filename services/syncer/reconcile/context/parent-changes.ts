import type { Digest, Repository, Tag } from '#proto/oci/names.ts';

/** Changes that the parent reported for one repository. */
export type RepositoryChanges = {
  /** Current targets of tags at the parent; `null`: the tag is deleted. */
  tags: Map<Tag, Digest | null>;
  /** Manifests whose referrers, or children that an index left out, have changed. */
  around: Set<Digest>;
};

export type ParentChanges = ReadonlyMap<Repository, RepositoryChanges>;

/** What the parent reported since the last pass, as one pass takes it. */
export type ReportedChanges = {
  /** Undefined: everything is compared. */
  parentChanges: ParentChanges | undefined;
  /** The parent answered right before the pass began, so that no ping is needed. */
  answered?: boolean;
  /** To be called at the end of the pass. `good`: everything was carried out; the cursor, or the marks, are stored. */
  finish(good: boolean): Promise<void>;
};
