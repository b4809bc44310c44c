import type { Digest, Repository, Tag } from '#proto/oci/names.ts';

/** Changes that the parent reported for one repository. */
export type RepositoryChanges = {
  /** Current targets of tags at the parent; `null`: the tag is deleted. */
  tags: Map<Tag, Digest | null>;
  /** Manifests whose referrers, or children that an index left out, have changed. */
  around: Set<Digest>;
};

/** Undefined for a repository: its changes could not be read, or do not suffice; all of it is compared. */
export type ParentChanges = ReadonlyMap<Repository, RepositoryChanges | undefined>;

/**
 * How a pass ended. `good`: everything was carried out. `failed`: everything was carried out in other repositories than
 * these; absent if it was not.
 */
export type PassOutcome = { good: boolean; failed?: ReadonlySet<Repository> };

/** What the parent reported since the last pass, as one pass takes it. */
export type ReportedChanges = {
  /** Undefined: everything is compared. */
  parentChanges: ParentChanges | undefined;
  /** The parent answered right before the pass began, so that no ping is needed. */
  answered?: boolean;
  /** To be called at the end of the pass. The cursor, or the marks, are stored up to what was carried out. */
  finish(outcome: PassOutcome): Promise<void>;
};
