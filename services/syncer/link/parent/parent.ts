import { createHash } from 'node:crypto';
import { check } from '#proto/contract/contract.ts';
import { Fault } from '#proto/contract/fault.ts';
import { Descriptor, MANIFEST_LIMIT, manifestTypes } from '#proto/oci/manifest.ts';
import { type Digest, isDigest, isRepository, isTag, splitDigest } from '#proto/oci/names.ts';
import { refusal } from '../answers/answers.ts';
import { type BlobAnswer, blobAnswer } from '../answers/blob-answer.ts';
import { type Answer, one, text } from '../answers/bodies.ts';
import type { Extent } from '../answers/extents.ts';
import { isStatus, patiently } from '../answers/patience.ts';
import type { Link } from '../http/link.ts';
import { pages, strings } from '../http/pages.ts';
import { pull } from '../login/scopes.ts';

export type { BlobAnswer };

/** A manifest as the parent sent it; its digest was checked. */
export type FetchedManifest = { digest: Digest; mediaType: string; bytes: Buffer };

const ACCEPT = manifestTypes.join(', ');

/**
 * A registry above this layer: any that speaks the OCI distribution-spec. Every failure is a Fault; which of them
 * pass by themselves, `answers.ts` knows.
 */
/** Reading the parent. Whatever it answers is checked; faults are those of `refusal` in answers.ts. */
export type ParentReader = Pick<
  Parent,
  'answers' | 'ping' | 'repositories' | 'tags' | 'resolve' | 'manifest' | 'hasReferrers' | 'referrers'
>;

export class Parent {
  readonly #link: Link;
  /** Whether it has the referrers API; learned from the first answer. */
  #referrers: boolean | undefined;

  constructor(link: Link) {
    this.#link = link;
  }

  /** How often it has answered anything so far. */
  get answers(): number {
    return this.#link.answers;
  }

  /** Whether it answers as a registry. @throws Fault */
  async ping(signal: AbortSignal): Promise<void> {
    await patiently(signal, () => this.#ping(signal));
  }

  async #ping(signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#link.request('/v2/', { scope: 'registry:catalog:*', signal });
      const body = await text(answer);
      if (answer.statusCode !== 200) throw refused(answer, body, 'GET /v2/');
    } catch (error) {
      // 401 is an answer too, the token service's as well: which scope is granted is known only for a repository.
      if (!isStatus(error, 401) && !isStatus(error, 403)) throw error;
    }
  }

  /** distribution-spec, "Listing repositories" (as registries have it: `_catalog`) */
  async *repositories(signal: AbortSignal): AsyncGenerator<string> {
    for await (const page of pages(this.#link, '/v2/_catalog?n=1000', 'registry:catalog:*', signal)) {
      yield* strings(page, 'repositories').filter(isRepository);
    }
  }

  /** @returns undefined where the parent knows no such repository */
  async tags(repository: string, signal: AbortSignal): Promise<string[] | undefined> {
    const tags: string[] = [];
    try {
      for await (const page of pages(
        this.#link,
        `/v2/${repository}/tags/list?n=1000`,
        pull(repository),
        signal,
      )) {
        for (const tag of strings(page, 'tags')) if (isTag(tag)) tags.push(tag);
      }
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
    return tags;
  }

  /** The digest that a tag points to; undefined where there is no such tag. */
  async resolve(repository: string, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    return patiently(signal, () => this.#resolve(repository, tag, signal));
  }

  async #resolve(repository: string, tag: string, signal: AbortSignal): Promise<Digest | undefined> {
    const path = `/v2/${repository}/manifests/${tag}`;
    const ask = { scope: pull(repository), headers: { accept: ACCEPT }, signal };
    const answer = await this.#link.request(path, { ...ask, method: 'HEAD' });
    const body = await text(answer);
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode !== 200) throw refused(answer, body, `HEAD ${path}`);
    const digest = one(answer.headers['docker-content-digest']);
    if (digest && isDigest(digest)) return digest;
    // Older registries leave the header out: the content tells.
    return (await this.#manifest(repository, tag, signal)).digest;
  }

  /**
   * @throws Fault `manifest-unknown` (with the platform as `detail.leftOut` where the parent left it out of a sparse
   * index), `parent-invalid` (the content is not what its digest says)
   */
  async manifest(repository: string, reference: string, signal: AbortSignal): Promise<FetchedManifest> {
    return patiently(signal, () => this.#manifest(repository, reference, signal));
  }

  async #manifest(repository: string, reference: string, signal: AbortSignal): Promise<FetchedManifest> {
    const path = `/v2/${repository}/manifests/${reference}`;
    const answer = await this.#link.request(path, {
      scope: pull(repository),
      headers: { accept: ACCEPT },
      signal,
    });
    if (answer.statusCode === 404) {
      const leftOut = leftOutIn(await text(answer));
      const why = `the parent has no manifest ${reference} in ${repository}`;
      throw new Fault('manifest-unknown', why, leftOut ? { detail: { leftOut } } : {});
    }
    if (answer.statusCode !== 200) throw refused(answer, await text(answer), `GET ${path}`);
    const bytes = await this.#link.read(answer, MANIFEST_LIMIT, `manifest ${reference} of ${repository}`);
    const algorithm = isDigest(reference) ? splitDigest(reference)[0] : 'sha256';
    const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
    if (isDigest(reference) && digest !== reference) {
      throw new Fault(
        'parent-invalid',
        `the parent sent ${digest} for manifest ${reference} of ${repository}`,
      );
    }
    return {
      digest,
      bytes,
      mediaType: (one(answer.headers['content-type']) ?? '').split(';')[0]?.trim() ?? '',
    };
  }

  /** False once the parent was seen to have no referrers API. */
  get hasReferrers(): boolean {
    return this.#referrers !== false;
  }

  /** Manifests whose subject is `digest`; undefined where the parent has no referrers API. */
  async referrers(
    repository: string,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Descriptor[] | undefined> {
    if (this.#referrers === false) return undefined;
    const found: Descriptor[] = [];
    try {
      const path = `/v2/${repository}/referrers/${digest}`;
      for await (const page of pages(this.#link, path, pull(repository), signal)) {
        const listed = (page as { manifests?: unknown }).manifests;
        for (const item of Array.isArray(listed) ? listed : []) found.push(slim(check(Descriptor, item)));
      }
    } catch (error) {
      // "No such API", in whatever words: a registry that has it answers an empty list for what it does not know.
      if (![400, 404, 405, 501].some((status) => isStatus(error, status))) throw error;
      this.#referrers = false;
      return undefined;
    }
    this.#referrers = true;
    return found;
  }

  /**
   * Part of a blob (distribution-spec, "Pulling blobs"). A redirect to another host is followed without the
   * Authorization header, and asked for anew each time: signed addresses end. The caller pays for the bandwidth.
   * @throws Fault `blob-unknown`, `parent-invalid`, …
   */
  async blob(
    repository: string,
    digest: Digest,
    size: number,
    extent: Extent,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const path = `/v2/${repository}/blobs/${digest}`;
    const range = `bytes=${extent.start}-${extent.end - 1}`;
    const headers = extent.end > extent.start ? { range } : {};
    for (let again = false; ; again = true) {
      const ask = { scope: pull(repository), headers, signal, paid: true, redirects: 'follow' as const };
      const answer = await this.#link.request(path, ask);
      const elsewhere = answer.from.origin !== this.#link.base.origin;
      if (!elsewhere || !ENDED.includes(answer.statusCode)) {
        return blobAnswer(answer, { repository, digest, size, extent });
      }
      const why = await text(answer);
      // Only the registry knows whether it has the blob: it is asked for another address, at once and then by and by.
      if (again) {
        const { message, detail } = refused(answer, why, `GET ${answer.from.origin}`);
        throw new Fault('parent-unreachable', message, { detail: { ...detail } });
      }
    }
  }
}

/** What is asked of a list of referrers: annotations may be most of it. */
const slim = ({ mediaType, digest, size, artifactType }: Descriptor): Descriptor => ({
  mediaType: mediaType.length <= MAX_MEDIA_TYPE ? mediaType : '',
  digest,
  size,
  ...(artifactType && artifactType.length <= MAX_MEDIA_TYPE && { artifactType }),
});

/** Characters (RFC 6838, 4.2). */
const MAX_MEDIA_TYPE = 255;

/** What an address answers whose time is over. */
const ENDED = [400, 401, 403, 404, 410];

export const refused = ({ statusCode, headers }: Answer, body: string, what: string): Fault =>
  refusal(statusCode, headers, body, what);

/** The platform for which a parent left a child out of a sparse index, where its error body says so. */
function leftOutIn(body: string): string | undefined {
  try {
    const { errors } = JSON.parse(body) as { errors?: { detail?: { leftOut?: unknown } }[] };
    const leftOut = errors?.[0]?.detail?.leftOut;
    return typeof leftOut === 'string' ? leftOut : undefined;
  } catch {
    return undefined;
  }
}
