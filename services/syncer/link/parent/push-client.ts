import { Fault } from '#proto/contract/fault.ts';
import { manifestTypes } from '#proto/oci/manifest.ts';
import { type Digest, isDigest, type Repository, type Tag } from '#proto/oci/names.ts';
import { type ParentRepository, type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { refusedAnswer } from '../answers/answers.ts';
import { type Answer, firstValue, readErrorBody } from '../answers/bodies.ts';
import { isStatus, withRetries } from '../answers/retry.ts';
import type { ParentLink, RequestOptions } from '../http/parent-link.ts';
import { notFollowed, target } from '../http/redirects.ts';
import { acrPath, blobPath, manifestPath } from '../http/repository-paths.ts';
import { bodyOf } from '../http/sending.ts';
import { deleteScope, pullScope, pushScope } from '../login/token-scopes.ts';
import { refusedSha512 } from './blob-upload-state.ts';
import type { FetchedManifest } from './parent-reader.ts';
import { UploadCapabilities } from './upload-capabilities.ts';
import { UploadClient } from './upload-client.ts';

/** Precondition of a change: the digest that the tag must point to; undefined: the tag must not exist. */
export type Condition = { expect: Digest | undefined };

/** The condition as headers, by ETag (RFC 9110, 13.1). A Terrace honours them. */
const condition = ({ expect }: Condition): Record<string, string> =>
  expect ? { 'if-match': `"${expect}"` } : { 'if-none-match': '*' };

/**
 * Changes at the parent (distribution-spec, "Push" and "Content Management"). A change that it rejects is a Fault
 * `parent-refused` with `detail.status` and, if the answer has one, the OCI error code as `detail.reason`.
 */
export class PushClient {
  readonly uploads: UploadClient;
  readonly #link: ParentLink;
  readonly #names: RepositoryNames;
  readonly #mayChange: (() => void) | undefined;

  /** @param mayChange throws if no request that changes anything may be sent now */
  constructor(
    link: ParentLink,
    names = SAME_NAMES,
    {
      mayChange,
      capabilities = new UploadCapabilities(),
    }: { mayChange?: () => void; capabilities?: UploadCapabilities } = {},
  ) {
    this.#link = link;
    this.#names = names;
    this.#mayChange = mayChange;
    this.uploads = new UploadClient({
      base: link.base,
      ask: (path, options) => this.#ask(path, options),
      hasBlob: (repository, digest, signal) => this.hasBlob(repository, digest, signal),
      capabilities,
      names,
    });
  }

  /** The same client, with a check before each request that changes anything. */
  guarded(mayChange: () => void): PushClient {
    return new PushClient(this.#link, this.#names, { mayChange, capabilities: this.uploads.capabilities });
  }

  async hasBlob(repository: Repository, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const name = this.#names.above(repository);
    return this.#has(blobPath(name, digest), name, signal);
  }

  async hasManifest(repository: Repository, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const name = this.#names.above(repository);
    return this.#has(manifestPath(name, digest), name, signal);
  }

  async #has(path: string, repository: ParentRepository, signal: AbortSignal): Promise<boolean> {
    const isManifest = path.includes('/manifests/');
    const headers = { accept: isManifest ? manifestTypes.join(', ') : '*/*' };
    const ask: RequestOptions = { scope: pullScope(repository), headers, signal, redirects: 'return' };
    return withRetries(signal, async () => {
      let answer = await this.#ask(path, { ...ask, method: 'HEAD' });
      if (answer.statusCode === 405 || answer.statusCode === 501) {
        const firstByte = isManifest ? headers : { ...headers, range: 'bytes=0-0' };
        answer = await this.#ask(path, { ...ask, headers: firstByte });
        await answer.body.dump();
      }
      if (answer.statusCode === 200 || answer.statusCode === 206) return true;
      if (answer.statusCode === 404) return false;
      // A parent without this algorithm finds the digest malformed: it has no such content.
      if (answer.statusCode === 400 && path.includes('/sha512:')) return false;
      // A redirect of a blob means that the registry has it. One to the same path, such as to TLS, does not.
      const redirect = target(answer);
      if (redirect && !isManifest && redirect.pathname !== answer.from.pathname) return true;
      if (redirect) throw notFollowed(`HEAD ${path}`, redirect);
      throw refusedAnswer(answer, '', `HEAD ${path}`);
    });
  }

  /**
   * Puts a manifest under its digest, or under a tag that must be as expected.
   * @returns whether the parent processed the manifest's subject (`OCI-Subject`)
   * @throws Fault `conflict` if the tag moved
   */
  async putManifest(
    repository: Repository,
    reference: Tag | Digest,
    { bytes, mediaType }: Pick<FetchedManifest, 'bytes' | 'mediaType'>,
    signal: AbortSignal,
    expected?: Condition,
  ): Promise<{ subject: boolean }> {
    const name = this.#names.above(repository);
    const path = manifestPath(name, reference);
    const headers = { 'content-type': mediaType, ...(expected && condition(expected)) };
    let isRetry = false;
    return withRetries(signal, async () => {
      // An attempt without an answer may have been carried out, and a parent without conditional requests may have
      // received another change since.
      if (expected && isRetry) {
        const current = await this.#pointsTo(path, name, signal);
        if (current !== expected.expect) throw moved(name, reference);
      }
      isRetry = true;
      const body = bodyOf(bytes);
      const answer = await this.#ask(path, {
        scope: pushScope(name),
        method: 'PUT',
        headers,
        body,
        signal,
      });
      const errorBody = await readErrorBody(answer);
      if (answer.statusCode === 412 && expected) throw moved(name, reference);
      if (answer.statusCode < 200 || answer.statusCode > 299)
        throw refusedManifest(refusedAnswer(answer, errorBody, `PUT ${path}`), reference);
      return { subject: isDigest(firstValue(answer.headers['oci-subject']) ?? '') };
    });
  }

  /** @returns the digest, or `UNKNOWN_DIGEST`; undefined if the tag does not exist */
  async #pointsTo(
    path: string,
    repository: ParentRepository,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const headers = { accept: manifestTypes.join(', ') };
    const answer = await this.#ask(path, { scope: pullScope(repository), method: 'HEAD', headers, signal });
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode === 200)
      return firstValue(answer.headers['docker-content-digest']) ?? UNKNOWN_DIGEST;
    throw refusedAnswer(answer, '', `HEAD ${path}`);
  }

  /** A manifest that does not exist counts as deleted. @throws Fault `parent-refused` */
  async deleteManifest(repository: Repository, digest: Digest, signal: AbortSignal): Promise<void> {
    await this.#delete(this.#names.above(repository), digest, {}, signal);
  }

  /**
   * @returns whether the parent can delete a tag by its name
   * @throws Fault `conflict` if the tag moved, `parent-refused`
   */
  async deleteTag(
    repository: Repository,
    tag: Tag,
    expected: Condition,
    signal: AbortSignal,
  ): Promise<boolean> {
    const name = this.#names.above(repository);
    if (this.#link.azure) return this.#untag(name, tag, signal);
    try {
      await this.#delete(name, tag, condition(expected), signal);
      return true;
    } catch (error) {
      if (isStatus(error, 412)) throw moved(name, tag);
      if (isStatus(error, 400, 405, 501)) return false;
      throw error;
    }
  }

  /** Azure Container Registry deletes a tag alone only through its metadata API. It refuses one that is locked. */
  async #untag(repository: ParentRepository, tag: Tag, signal: AbortSignal): Promise<boolean> {
    const path = `${acrPath(repository)}/_tags/${tag}`;
    return withRetries(signal, async () => {
      const answer = await this.#ask(path, { scope: deleteScope(repository), method: 'DELETE', signal });
      const errorBody = await readErrorBody(answer);
      if (answer.statusCode >= 200 && answer.statusCode <= 299) return true;
      if (answer.statusCode !== 404) throw refusedAnswer(answer, errorBody, `DELETE ${path}`);
      // Either the tag or this API does not exist.
      const current = await this.#pointsTo(manifestPath(repository, tag), repository, signal);
      return current === undefined;
    });
  }

  async #delete(
    repository: ParentRepository,
    reference: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const path = manifestPath(repository, reference);
    await withRetries(signal, async () => {
      const answer = await this.#ask(path, {
        scope: deleteScope(repository),
        method: 'DELETE',
        headers,
        signal,
      });
      const errorBody = await readErrorBody(answer);
      const isMissing = answer.statusCode === 404;
      if (!isMissing && (answer.statusCode < 200 || answer.statusCode > 299))
        throw refusedAnswer(answer, errorBody, `DELETE ${path}`);
    });
  }

  #ask(path: string, ask: RequestOptions): Promise<Answer> {
    const { method = 'GET' } = ask;
    const changes = method !== 'GET' && method !== 'HEAD';
    return this.#link.request(path, {
      ...ask,
      ...(changes && this.#mayChange && { before: this.#mayChange }),
    });
  }
}

/** Statuses by which a parent refuses a manifest as it is. */
const REFUSED_CONTENT = [400, 404, 405, 415, 422];

/** The refusal of a manifest, with the remedy if its size or its digest may be the cause. */
function refusedManifest(fault: Fault, reference: Tag | Digest): Fault {
  if (isStatus(fault, 413)) {
    const remedy = 'raise the limit for request bodies at the parent, or at the proxy before it';
    return new Fault(fault.code, `${fault.message}: ${remedy}`, {
      cause: fault,
      detail: { ...fault.detail },
    });
  }
  const { reason } = fault.detail ?? {};
  const isOfContent = isStatus(fault, ...REFUSED_CONTENT) && reason !== 'MANIFEST_BLOB_UNKNOWN';
  return isOfContent && reference.startsWith('sha512:') ? refusedSha512(fault) : fault;
}

/** In place of the digest of a tag that the parent answered without one: it equals none. */
const UNKNOWN_DIGEST = 'unknown';

const moved = (repository: ParentRepository, tag: string) =>
  new Fault('conflict', `${repository}:${tag} moved at the parent: read it again and retry`);
