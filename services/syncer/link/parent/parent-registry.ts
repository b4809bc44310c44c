import type { LeftOutReferrers } from '#proto/content/left-out-referrers.ts';
import type { Fault } from '#proto/contract/fault.ts';
import { type Digest, isRepository, isTag, type Repository, type Tag } from '#proto/oci/names.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { refusedAnswer } from '../answers/answers.ts';
import { readErrorBody } from '../answers/bodies.ts';
import type { BlobRanges } from '../answers/byte-ranges.ts';
import type { Extent } from '../answers/extents.ts';
import { isStatus, withRetries } from '../answers/retry.ts';
import { parentNames } from '../http/name-list.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { tagsPath } from '../http/repository-paths.ts';
import { tagsScope } from '../login/token-scopes.ts';
import { BlobReader } from './blob-reader.ts';
import { ManifestReader } from './manifest-reader.ts';
import type { BlobAnswer, BlobSource, FetchedManifest, ParentReader, ReferrerList } from './parent-reader.ts';
import { projectRepositories } from './project-repositories.ts';
import { ReferrersApi } from './referrers-api.ts';

/**
 * Clients of the parent registry, all over one `ParentLink`. `client-cache.ts` creates them from the configuration
 * (`settings.ts`), and replaces them when the address, the login or the certificates change; a pass or a transfer uses
 * one set to its end.
 *
 * This file reads any registry that speaks the OCI distribution-spec, with `manifest-reader.ts`, `referrers-api.ts` and
 * `blob-reader.ts`; `parent-reader.ts` names what its readers need of it. `push-client.ts` changes it, with upload
 * sessions as `session.ts` parses them. `acr-metadata.ts` reads metadata that only Azure Container Registry has,
 * `project-repositories.ts` the lists of registries with projects. What only a Terrace has is in `../terrace/`. All of
 * them take and return the names that repositories have in this layer, and translate them where they build a request or
 * read a list (`RepositoryNames`).
 */

/** Max lists of tags that are read to see whether a host without `/v2/` is a registry. */
const MAX_PROBES = 3;

/** Reads a registry above this layer: any that speaks the OCI distribution-spec. */
export class ParentRegistry implements ParentReader, BlobSource {
  readonly #link: ParentLink;
  readonly #names: RepositoryNames;
  readonly #manifests: ManifestReader;
  readonly #referrers: ReferrersApi;
  readonly #blobs: BlobReader;

  constructor(link: ParentLink, names = SAME_NAMES) {
    this.#link = link;
    this.#names = names;
    this.#manifests = new ManifestReader(link, names);
    this.#referrers = new ReferrersApi(link, names);
    this.#blobs = new BlobReader(link, names);
  }

  get answers(): number {
    return this.#link.answers;
  }

  get roundTripMs(): number | undefined {
    return this.#link.roundTripMs;
  }

  prepareConnections(count: number): void {
    this.#blobs.prepareConnections(count);
  }

  async ping(signal: AbortSignal, repositories: readonly Repository[] = []): Promise<void> {
    try {
      await withRetries(signal, () => this.#ping(signal));
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      for (const repository of repositories.slice(0, MAX_PROBES)) {
        const tags = await this.tags(repository, signal).catch(() => undefined);
        if (tags) return;
      }
      signal.throwIfAborted();
      throw error;
    }
  }

  async #ping(signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#link.request('/v2/', { scope: 'registry:catalog:*', signal });
      const body = await readErrorBody(answer);
      if (answer.statusCode !== 200) throw refusedAnswer(answer, body, 'GET /v2/');
    } catch (error) {
      // 401 and 403, also of the token service, are answers too: which scopes are granted is known only per repository.
      if (!isStatus(error, 401) && !isStatus(error, 403)) throw error;
    }
  }

  async *repositories(
    signal: AbortSignal,
    onInvalid: (name: string, here: string) => void = () => {},
  ): AsyncGenerator<Repository> {
    const list = { path: '/v2/_catalog?n=1000', field: 'repositories', scope: 'registry:catalog:*' } as const;
    for await (const name of parentNames(this.#link, list, signal)) {
      const here = this.#names.here(name);
      if (here !== undefined) yield here;
      if (isRepository(name)) continue;
      const lower = name.toLowerCase();
      const would = isRepository(lower) ? this.#names.here(lower) : lower;
      if (would !== undefined) onInvalid(name, would);
    }
  }

  async projectRepositories(project: string, signal: AbortSignal): Promise<Repository[] | undefined> {
    const names = await projectRepositories(this.#link, project, signal);
    return names?.map((name) => this.#names.here(name)).filter((name) => name !== undefined);
  }

  async tags(
    repository: Repository,
    signal: AbortSignal,
    onInvalid: (name: string) => void = () => {},
  ): Promise<Tag[] | undefined> {
    const tags: Tag[] = [];
    try {
      const name = this.#names.above(repository);
      const scope = tagsScope(name, this.#link.azure);
      const list = { path: tagsPath(name), field: 'tags', scope } as const;
      for await (const tag of parentNames(this.#link, list, signal)) {
        if (isTag(tag)) tags.push(tag);
        else onInvalid(tag);
      }
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
    return tags;
  }

  resolve(repository: Repository, tag: Tag, signal: AbortSignal): Promise<Digest | undefined> {
    return this.#manifests.resolve(repository, tag, signal);
  }

  manifest(repository: Repository, reference: Tag | Digest, signal: AbortSignal): Promise<FetchedManifest> {
    return this.#manifests.manifest(repository, reference, signal);
  }

  taggedManifest(
    repository: Repository,
    tag: Tag,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<FetchedManifest> {
    return this.#manifests.taggedManifest(repository, tag, digest, signal);
  }

  hasReferrers(repository: Repository): boolean {
    return this.#referrers.isSupported(repository);
  }

  hiddenReferrers(repository: Repository): Fault | undefined {
    return this.#referrers.hiddenBy(repository);
  }

  hiddenReferrersAbove(repository: string): LeftOutReferrers['hidden'] {
    return this.#referrers.hiddenAbove(repository);
  }

  recheckReferrers(): void {
    this.#referrers.recheck();
  }

  referrers(repository: Repository, digest: Digest, signal: AbortSignal): Promise<ReferrerList | undefined> {
    return this.#referrers.list(repository, digest, signal);
  }

  blobSize(repository: Repository, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    return this.#blobs.size(repository, digest, signal);
  }

  blob(
    repository: Repository,
    digest: Digest,
    size: number,
    extent: Extent,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    return this.#blobs.part({ repository, digest, size, extent }, signal);
  }

  blobParts(
    repository: Repository,
    digest: Digest,
    size: number,
    extents: readonly Extent[],
    signal: AbortSignal,
  ): Promise<BlobRanges | undefined> {
    return this.#blobs.parts({ repository, digest, size }, extents, signal);
  }

  invalidateBlob(repository: Repository, digest: Digest): void {
    this.#blobs.invalidate(repository, digest);
  }
}
