import type { LeftOutReferrers } from '#proto/content/left-out-referrers.ts';
import type { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository, Tag } from '#proto/oci/names.ts';
import type { BlobAnswer } from '../answers/blob-answer.ts';
import type { BlobRanges } from '../answers/byte-ranges.ts';
import type { Extent } from '../answers/extents.ts';
import type { ReadManifest } from '../answers/manifest-answer.ts';
import type { ReferrerList } from './referrers-api.ts';

/**
 * What reads a parent, by what it reads. Every answer is checked. Every failure is a Fault: see `refusal` in
 * `../answers/answers.ts`; `isTransient` there says which of them pass by themselves.
 */

export type { BlobAnswer, ReferrerList };

/** A manifest as the parent sent it. Its digest is checked; its media type is the one that its bytes have. */
export type FetchedManifest = ReadManifest;

/** Checks that the parent answers. */
export interface ParentProbe {
  /**
   * Checks that the parent answers as a registry.
   * @param repositories some of those that it may have: a bucket has their lists, and nothing at `/v2/`
   * @throws Fault see `refusal`
   */
  ping(signal: AbortSignal, repositories?: readonly Repository[]): Promise<void>;
}

/** Lists repositories. */
export interface RepositoryLister {
  /**
   * distribution-spec, "Listing repositories" (in registries: `_catalog`).
   * @param onInvalid called with each listed name that is no valid repository, and with what it would be here in lower
   * case
   */
  repositories(
    signal: AbortSignal,
    onInvalid?: (name: string, here: string) => void,
  ): AsyncGenerator<Repository>;
}

/** Lists the repositories of a project, where the parent has projects. */
export interface ProjectLister {
  /**
   * See `projectRepositories` in `project-repositories.ts`.
   * @param project by its name at the parent
   */
  projectRepositories(project: string, signal: AbortSignal): Promise<Repository[] | undefined>;
}

/** Lists the tags of a repository. */
export interface TagLister {
  /**
   * @param onInvalid called with each listed name that is no valid tag
   * @returns undefined if the parent has no such repository
   */
  tags(
    repository: Repository,
    signal: AbortSignal,
    onInvalid?: (name: string) => void,
  ): Promise<Tag[] | undefined>;
}

/** Reads manifests, and what tags point to. */
export interface ManifestSource {
  /** The digest that a tag points to; undefined if the tag does not exist. */
  resolve(repository: Repository, tag: Tag, signal: AbortSignal): Promise<Digest | undefined>;

  /**
   * @throws Fault `manifest-unknown` (with the platform as `detail.leftOut` if the parent left it out of a sparse
   * index), `parent-invalid` (the content does not match its digest)
   */
  manifest(repository: Repository, reference: Tag | Digest, signal: AbortSignal): Promise<FetchedManifest>;

  /**
   * The manifest that a tag points to, if it has this digest: for registries that serve some manifests by tag only.
   * @throws Fault `manifest-unknown`; `conflict` if the tag points to another manifest
   */
  taggedManifest(
    repository: Repository,
    tag: Tag,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<FetchedManifest>;
}

/** Lists what refers to a manifest. */
export interface ReferrerLister {
  /** False while the parent is known to lack the referrers API in this repository. */
  hasReferrers(repository: Repository): boolean;

  /** Why the lists of referrers of this repository can't be read, while that is known. */
  hiddenReferrers(repository: Repository): Fault | undefined;

  /** Why the parent, a Terrace, can't read them at its own parent, as its last list of the repository says. */
  hiddenReferrersAbove(repository: Repository): LeftOutReferrers['hidden'];

  /** Asks again for lists of referrers that could not be read. */
  recheckReferrers(): void;

  /** Manifests whose subject is `digest`; see `ReferrersApi.list`. */
  referrers(repository: Repository, digest: Digest, signal: AbortSignal): Promise<ReferrerList | undefined>;
}

/** Opens connections before requests need them. */
export interface ConnectionOpener {
  /** Round trip of the link, in ms; absent while it is unknown. */
  readonly roundTripMs?: number | undefined;

  /** Opens connections to where blobs come from, until there are `count`. */
  prepareConnections?(count: number): void;
}

/** Reads the bytes of blobs. */
export interface BlobSource extends ConnectionOpener {
  /** Part of a blob, see `BlobReader`. */
  blob(
    repository: Repository,
    digest: Digest,
    size: number,
    extent: Extent,
    signal: AbortSignal,
  ): Promise<BlobAnswer>;

  /** Parts of a blob with one request, see `BlobReader.parts`. Absent if the source sends one at a time. */
  blobParts?(
    repository: Repository,
    digest: Digest,
    size: number,
    extents: readonly Extent[],
    signal: AbortSignal,
  ): Promise<BlobRanges | undefined>;

  /**
   * The content of a blob did not match its digest: the registry is asked for it again, not the host to which it
   * redirected. Absent if the source has no other host.
   */
  invalidateBlob?(repository: Repository, digest: Digest): void;
}

/** Knows the sizes of blobs. */
export interface BlobSizes {
  /**
   * Size of a blob as the parent reports it, in bytes: that in a manifest may be wrong.
   * @returns undefined if the parent does not say
   */
  blobSize(repository: Repository, digest: Digest, signal: AbortSignal): Promise<number | undefined>;
}

/** What a pass reads with. */
export interface ParentReader
  extends ParentProbe,
    RepositoryLister,
    ProjectLister,
    TagLister,
    ManifestSource,
    ReferrerLister,
    ConnectionOpener,
    BlobSizes {
  /** Number of answers of the parent so far. */
  readonly answers: number;
}
