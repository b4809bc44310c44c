import type { LeftOutReferrers } from '#proto/content/left-out-referrers.ts';
import { Fault } from '#proto/contract/fault.ts';
import { MAX_MANIFEST_BYTES, manifestTypes } from '#proto/oci/manifest.ts';
import { type Digest, isDigest, isRepository, isTag } from '#proto/oci/names.ts';
import { refusal } from '../answers/answers.ts';
import type { BlobAnswer } from '../answers/blob-answer.ts';
import { type Answer, firstValue, readErrorBody } from '../answers/bodies.ts';
import type { Extent } from '../answers/extents.ts';
import { type ReadManifest, readContent } from '../answers/manifest-answer.ts';
import { isStatus, withRetries } from '../answers/retry.ts';
import { BoundedMap } from '../http/bounded-map.ts';
import { parentNames } from '../http/name-list.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { pullScope } from '../login/token-scopes.ts';
import { BlobReader } from './blob-reader.ts';
import { projectRepositories } from './project-repositories.ts';
import { type ReferrerList, ReferrersApi } from './referrers-api.ts';

/**
 * Clients of the parent registry, all over one `ParentLink`. `client-cache.ts` creates them from the configuration
 * (`settings.ts`), and replaces them when the address, the login or the certificates change; a pass or a transfer uses
 * one set to its end.
 *
 * This file reads any registry that speaks the OCI distribution-spec, and `blob-reader.ts` its blobs. `push-client.ts`
 * changes it, with upload sessions as `session.ts` parses them. `acr-metadata.ts` reads metadata that only Azure
 * Container Registry has, `project-repositories.ts` the lists of registries with projects. The other clients speak APIs
 * of a Terrace (`terrace-api.ts`): `activation.ts` activates this layer, `parent-feed.ts` follows the parent's changes,
 * `arriving.ts` reads content that the parent is still receiving, `parent-reports.ts` sends the status of this layer.
 * `renamed-clients.ts` translates names where repositories have other names in this layer.
 */

export type { BlobAnswer };

/** A manifest as the parent sent it. Its digest is checked; its media type is the one that its bytes have. */
export type FetchedManifest = ReadManifest;
export type { ReferrerList };

const ACCEPT = manifestTypes.join(', ');

/** Checks that the parent answers. */
export interface ParentProbe {
  ping: ParentRegistry['ping'];
}

/** Lists repositories. */
export interface RepositoryLister {
  repositories: ParentRegistry['repositories'];
}

/** Lists the repositories of a project, where the parent has projects. */
export interface ProjectLister {
  projectRepositories: ParentRegistry['projectRepositories'];
}

/** Lists the tags of a repository. */
export interface TagLister {
  tags: ParentRegistry['tags'];
}

/** Reads manifests, and what tags point to. */
export interface ManifestReader {
  resolve: ParentRegistry['resolve'];
  manifest: ParentRegistry['manifest'];
  taggedManifest: ParentRegistry['taggedManifest'];
}

/** Lists what refers to a manifest. */
export interface ReferrerLister {
  hasReferrers: ParentRegistry['hasReferrers'];
  hiddenReferrers: ParentRegistry['hiddenReferrers'];
  hiddenReferrersAbove: ParentRegistry['hiddenReferrersAbove'];
  recheckReferrers: ParentRegistry['recheckReferrers'];
  referrers: ParentRegistry['referrers'];
}

/** Reads the bytes of blobs. */
export interface BlobSource {
  blob: ParentRegistry['blob'];
}

/** Knows the sizes of blobs. */
export interface BlobSizes {
  blobSize: ParentRegistry['blobSize'];
}

/** What a pass reads with. Every answer is checked; for faults, see `refusal` in `../answers/answers.ts`. */
export interface ParentReader
  extends ParentProbe,
    RepositoryLister,
    ProjectLister,
    TagLister,
    ManifestReader,
    ReferrerLister,
    BlobSizes {
  /** Number of answers of the parent so far. */
  readonly answers: number;
}

/**
 * Reads a registry above this layer: any that speaks the OCI distribution-spec. Every failure is a Fault; `isTransient`
 * in `../answers/answers.ts` says which of them pass by themselves.
 */
export class ParentRegistry implements ParentReader, BlobSource {
  readonly #link: ParentLink;
  readonly #blobs: BlobReader;
  readonly #referrers: ReferrersApi;
  /** Whether the parent has answered a HEAD of a manifest; until then, only its answer to a GET counts. */
  #answersHead = false;
  /** Repositories whose digests in headers were wrong: there, the content is hashed. */
  readonly #wrongDigests = new BoundedMap<true>(MAX_WRONG_DIGESTS);

  constructor(link: ParentLink) {
    this.#link = link;
    this.#referrers = new ReferrersApi(link);
    this.#blobs = new BlobReader(link);
  }

  /** Number of answers of the parent so far. */
  get answers(): number {
    return this.#link.answers;
  }

  /** Checks that the parent answers as a registry. @throws Fault see `refusal` */
  async ping(signal: AbortSignal): Promise<void> {
    await withRetries(signal, () => this.#ping(signal));
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

  /** distribution-spec, "Listing repositories" (in registries: `_catalog`). */
  async *repositories(signal: AbortSignal): AsyncGenerator<string> {
    const list = { path: '/v2/_catalog?n=1000', field: 'repositories', scope: 'registry:catalog:*' } as const;
    for await (const name of parentNames(this.#link, list, signal)) if (isRepository(name)) yield name;
  }

  /** See `projectRepositories` in `project-repositories.ts`. */
  async projectRepositories(project: string, signal: AbortSignal): Promise<string[] | undefined> {
    return projectRepositories(this.#link, project, signal);
  }

  /** @returns undefined if the parent has no such repository */
  async tags(repository: string, signal: AbortSignal): Promise<string[] | undefined> {
    const tags: string[] = [];
    try {
      const path = `/v2/${repository}/tags/list?n=1000`;
      // At an Azure registry, a list of tags is metadata.
      const scope = this.#link.azure ? `repository:${repository}:pull,metadata_read` : pullScope(repository);
      const list = { path, field: 'tags', scope } as const;
      for await (const tag of parentNames(this.#link, list, signal)) if (isTag(tag)) tags.push(tag);
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
    return tags;
  }

  /** The digest that a tag points to; undefined if the tag does not exist. */
  async resolve(repository: string, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    return withRetries(signal, () => this.#resolve(repository, tag, signal));
  }

  async #resolve(repository: string, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    if (!this.#wrongDigests.get(repository)) {
      const head = await this.#head(repository, tag, signal);
      if (head !== 'unknown') return head;
    }
    // Older registries omit the header, or do not answer HEAD: the content has to be hashed.
    try {
      return (await this.#fetch(repository, tag, signal)).digest;
    } catch (error) {
      if (Fault.is(error, 'manifest-unknown')) return undefined;
      throw error;
    }
  }

  /** @returns `unknown` if only the content can tell */
  async #head(repository: string, tag: string, signal: AbortSignal): Promise<Digest | undefined | 'unknown'> {
    const path = `/v2/${repository}/manifests/${tag}`;
    const ask = { scope: pullScope(repository), headers: { accept: ACCEPT }, signal };
    const answer = await this.#link.request(path, { ...ask, method: 'HEAD' });
    const body = await readErrorBody(answer);
    const { statusCode } = answer;
    if (statusCode === 404) return this.#answersHead ? undefined : 'unknown';
    if (NO_HEAD.includes(statusCode)) return 'unknown';
    if (statusCode > 200 && statusCode < 300) return 'unknown';
    if (statusCode !== 200) throw refusedAnswer(answer, body, `HEAD ${path}`);
    this.#answersHead = true;
    const digest = firstValue(answer.headers['docker-content-digest'])?.trim();
    return digest && isDigest(digest) ? digest : 'unknown';
  }

  /**
   * @throws Fault `manifest-unknown` (with the platform as `detail.leftOut` if the parent left it out of a sparse
   * index), `parent-invalid` (the content does not match its digest)
   */
  async manifest(repository: string, reference: string, signal: AbortSignal): Promise<FetchedManifest> {
    return withRetries(signal, () => this.#fetch(repository, reference, signal));
  }

  /**
   * The manifest that a tag points to, if it has this digest: for registries that serve some manifests by tag only.
   * @throws Fault `manifest-unknown`; `conflict` if the tag points to another manifest
   */
  async taggedManifest(
    repository: string,
    tag: string,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<FetchedManifest> {
    const fetched = await withRetries(signal, () => this.#fetch(repository, tag, signal));
    if (fetched.digest === digest) return fetched;
    this.#wrongDigests.set(repository, true);
    const why = `the parent announced ${digest} for ${repository}:${tag}, and sent ${fetched.digest}`;
    throw new Fault('conflict', `${why}: the next pass reads the tag again`);
  }

  async #fetch(repository: string, reference: string, signal: AbortSignal): Promise<FetchedManifest> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const answer = await this.#link.request(path, {
      scope: pullScope(repository),
      headers: { accept: ACCEPT },
      signal,
    });
    if (answer.statusCode === 404) {
      const leftOut = leftOutIn(await readErrorBody(answer));
      const why = `the parent has no manifest ${reference} in ${repository}`;
      throw new Fault('manifest-unknown', why, leftOut ? { detail: leftOut } : {});
    }
    if (!CONTENT.includes(answer.statusCode))
      throw refusedAnswer(answer, await readErrorBody(answer), `GET ${path}`);
    const bytes = await this.#link.read(answer, MAX_MANIFEST_BYTES, `manifest ${reference} of ${repository}`);
    return readContent(bytes, answer.headers, { repository, reference });
  }

  /** False while the parent is known to lack the referrers API in this repository. */
  hasReferrers(repository: string): boolean {
    return this.#referrers.isSupported(repository);
  }

  /** Why the lists of referrers of this repository can't be read, while that is known. */
  hiddenReferrers(repository: string): Fault | undefined {
    return this.#referrers.hiddenBy(repository);
  }

  /** Why the parent, a Terrace, can't read them at its own parent, as its last list says. */
  hiddenReferrersAbove(repository: string): LeftOutReferrers['hidden'] {
    return this.#referrers.hiddenAbove(repository);
  }

  /** Asks again for lists of referrers that could not be read. */
  recheckReferrers(): void {
    this.#referrers.recheck();
  }

  /** Manifests whose subject is `digest`; see `ReferrersApi.list`. */
  referrers(repository: string, digest: Digest, signal: AbortSignal): Promise<ReferrerList | undefined> {
    return this.#referrers.list(repository, digest, signal);
  }

  /**
   * Size of a blob as the parent reports it: that in a manifest may be wrong.
   * @returns undefined if the parent does not say
   */
  async blobSize(repository: string, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const path = `/v2/${repository}/blobs/${digest}`;
    // A signed URL of another host may accept GET only: one byte of content says the size as well.
    const ask = { scope: pullScope(repository), signal, redirects: 'follow' as const };
    const answer = await this.#link.request(path, { ...ask, headers: { range: 'bytes=0-0' } });
    const { statusCode, headers } = answer;
    answer.body.destroy();
    const text =
      statusCode === 200
        ? firstValue(headers['content-length'])
        : /^bytes (?:\d+-\d+|\*)\/(\d+)$/.exec(firstValue(headers['content-range']) ?? '')?.[1];
    const size = Number(text);
    return [200, 206, 416].includes(statusCode) && text !== undefined && Number.isSafeInteger(size)
      ? size
      : undefined;
  }

  /** Part of a blob, see `BlobReader`. */
  async blob(
    repository: string,
    digest: Digest,
    size: number,
    extent: Extent,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    return this.#blobs.part({ repository, digest, size, extent }, signal);
  }
}

/** Max repositories with wrong digests that are remembered. */
const MAX_WRONG_DIGESTS = 1_000;

/** Statuses of answers with content: a proxy may mark it as changed, and the digest decides whether it is. */
const CONTENT = [200, 203, 206];

/** Statuses with which a registry answers HEAD if it supports only GET. */
const NO_HEAD = [400, 403, 405, 406, 415, 500, 501];

/** The Fault for an answer that is not success, see `refusal`. */
export const refusedAnswer = ({ statusCode, headers }: Answer, body: string, what: string): Fault =>
  refusal(statusCode, headers, body, what);

/** What the error body of a Terrace says about a child manifest that is left out of a sparse index there. */
function leftOutIn(body: string): { leftOut: string; unavailable?: true } | undefined {
  try {
    const { errors } = JSON.parse(body) as { errors?: { detail?: Record<string, unknown> }[] };
    const { leftOut, unavailable } = errors?.[0]?.detail ?? {};
    if (typeof leftOut !== 'string') return undefined;
    return { leftOut, ...(unavailable === true && { unavailable }) };
  } catch {
    return undefined;
  }
}
