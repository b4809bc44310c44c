import { Fault } from '#proto/contract/fault.ts';
import { manifestTypes } from '#proto/oci/manifest.ts';
import { type Digest, isDigest, type Repository, type Tag } from '#proto/oci/names.ts';
import { type Answer, firstValue, readErrorBody } from '../answers/bodies.ts';
import { urlAt } from '../answers/parent-path.ts';
import { isStatus, withRetries } from '../answers/retry.ts';
import type { ParentLink, RequestOptions } from '../http/parent-link.ts';
import { notFollowed, target } from '../http/redirects.ts';
import { bodyOf, type RequestBody } from '../http/sending.ts';
import { deleteScope, pullScope, pushScope } from '../login/token-scopes.ts';
import { type FetchedManifest, refusedAnswer } from './parent-registry.ts';
import { locationOf, sessionIn, type UploadSession } from './session.ts';

/** Precondition of a change: the digest that the tag must point to; undefined: the tag must not exist. */
export type Condition = { expect: Digest | undefined };

/** Statuses by which a parent says that it no longer has the session, or that it never resumes one. */
const NO_SESSION = [400, 404, 405, 410, 416, 501];
/** The condition as headers, by ETag (RFC 9110, 13.1). A Terrace honours them. */
const condition = ({ expect }: Condition): Record<string, string> =>
  expect ? { 'if-match': `"${expect}"` } : { 'if-none-match': '*' };

/**
 * Changes at the parent (distribution-spec, "Push" and "Content Management"). A change that it rejects is a Fault
 * `parent-refused` with `detail.status` and, if the answer has one, the OCI error code as `detail.reason`.
 */
export class PushClient {
  readonly #link: ParentLink;
  readonly #mayChange: (() => void) | undefined;

  /** @param mayChange throws if no request that changes anything may be sent now */
  constructor(link: ParentLink, mayChange?: () => void) {
    this.#link = link;
    this.#mayChange = mayChange;
  }

  /** The same client, with a check before each request that changes anything. */
  guarded(mayChange: () => void): PushClient {
    return new PushClient(this.#link, mayChange);
  }

  async hasBlob(repository: Repository, digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#has(`/v2/${repository}/blobs/${digest}`, repository, signal);
  }

  async hasManifest(repository: Repository, digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#has(`/v2/${repository}/manifests/${digest}`, repository, signal);
  }

  async #has(path: string, repository: Repository, signal: AbortSignal): Promise<boolean> {
    const isManifest = path.includes('/manifests/');
    const headers = { accept: isManifest ? manifestTypes.join(', ') : '*/*' };
    const ask: RequestOptions = {
      scope: pullScope(repository),
      method: 'HEAD',
      headers,
      signal,
      redirects: 'return',
    };
    return withRetries(signal, async () => {
      const answer = await this.#ask(path, ask);
      if (answer.statusCode === 200) return true;
      if (answer.statusCode === 404) return false;
      // A redirect of a blob means that the registry has it. One to the same path, such as to TLS, does not.
      const redirect = target(answer);
      if (redirect && !isManifest && redirect.pathname !== answer.from.pathname) return true;
      if (redirect) throw notFollowed(`HEAD ${path}`, redirect);
      throw refusedAnswer(answer, '', `HEAD ${path}`);
    });
  }

  /**
   * Links a blob from another repository of the parent.
   * @returns a session to send it by, if the parent can't mount it
   */
  async mount(
    repository: Repository,
    digest: Digest,
    from: Repository,
    signal: AbortSignal,
  ): Promise<'mounted' | UploadSession> {
    const path = `/v2/${repository}/blobs/uploads/?${new URLSearchParams({ mount: digest, from })}`;
    return this.#begin(path, `${pushScope(repository)} ${pullScope(from)}`, signal);
  }

  async begin(repository: Repository, digest: Digest, signal: AbortSignal): Promise<UploadSession> {
    // distribution-spec 1.1.1, "Pushing a blob in chunks": only for another algorithm than the canonical one.
    const query = digest.startsWith('sha512:') ? '?digest-algorithm=sha512' : '';
    const path = `/v2/${repository}/blobs/uploads/${query}`;
    const begun = await this.#begin(path, pushScope(repository), signal);
    if (begun !== 'mounted') return begun;
    throw new Fault('parent-invalid', `POST ${path}: the parent answered 201 before any content was sent`);
  }

  async #begin(path: string, scope: string, signal: AbortSignal): Promise<'mounted' | UploadSession> {
    return withRetries(signal, async () => {
      const answer = await this.#ask(path, { scope, method: 'POST', body: bodyOf(Buffer.alloc(0)), signal });
      const body = await readErrorBody(answer);
      if (answer.statusCode === 201) return 'mounted';
      if (answer.statusCode !== 202) throw refusedAnswer(answer, body, `POST ${path}`);
      return { location: locationOf(answer, this.#link.base), offset: 0 };
    });
  }

  /** The session as the parent has it. @returns undefined if the parent no longer has it */
  async findSession(
    repository: Repository,
    location: string,
    signal: AbortSignal,
  ): Promise<UploadSession | undefined> {
    return withRetries(signal, async () => {
      const answer = await this.#ask(location, { scope: pushScope(repository), signal });
      const body = await readErrorBody(answer);
      if (NO_SESSION.includes(answer.statusCode)) return undefined;
      if (answer.statusCode !== 204 && answer.statusCode !== 202) {
        throw refusedAnswer(answer, body, `GET ${short(location)}`);
      }
      return sessionIn(answer, this.#link.base, location);
    });
  }

  /** Ends a session that is not needed. */
  async cancel(repository: Repository, location: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#ask(location, { scope: pushScope(repository), method: 'DELETE', signal });
    await answer.body.dump();
  }

  /**
   * Sends the next bytes of a session.
   * @returns the session with the offset that the parent reports, which may be before the end of these bytes
   * @throws Fault `upload-unknown` if the parent no longer has the session
   */
  async append(
    repository: Repository,
    { location, offset }: UploadSession,
    body: RequestBody,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    const headers = {
      'content-type': 'application/octet-stream',
      'content-range': `${offset}-${offset + body.size - 1}`,
    };
    const answer = await this.#ask(location, {
      scope: pushScope(repository),
      method: 'PATCH',
      headers,
      body,
      signal,
    });
    const errorBody = await readErrorBody(answer);
    if (answer.statusCode === 202 || answer.statusCode === 201) {
      return sessionIn(answer, this.#link.base, location, offset + body.size);
    }
    if (answer.statusCode === 416) {
      const current = await this.findSession(repository, location, signal);
      if (current && current.offset !== offset) return current;
    }
    throw this.#sessionFault(answer, errorBody, `PATCH ${short(location)}`);
  }

  /**
   * Ends a session with its last bytes, which may be none.
   * @throws Fault `upload-unknown` if the parent no longer has the session, `parent-refused`
   */
  async finish(
    repository: Repository,
    digest: Digest,
    { location, offset }: UploadSession,
    body: RequestBody,
    signal: AbortSignal,
  ): Promise<void> {
    const url = urlAt(this.#link.base, location);
    url.searchParams.set('digest', digest);
    const headers = {
      'content-type': 'application/octet-stream',
      ...(body.size > 0 && { 'content-range': `${offset}-${offset + body.size - 1}` }),
    };
    const ask: RequestOptions = { scope: pushScope(repository), method: 'PUT', headers, body, signal };
    const answer = await this.#ask(url.href, ask);
    const errorBody = await readErrorBody(answer);
    if (answer.statusCode === 201 || answer.statusCode === 204) return;
    throw this.#sessionFault(answer, errorBody, `PUT ${short(location)}`);
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
    const path = `/v2/${repository}/manifests/${reference}`;
    const headers = { 'content-type': mediaType, ...(expected && condition(expected)) };
    let isRetry = false;
    return withRetries(signal, async () => {
      // An attempt without an answer may have been carried out, and a parent without conditional requests may have
      // received another change since.
      if (expected && isRetry) {
        const current = await this.#pointsTo(path, repository, signal);
        if (current !== expected.expect) throw moved(repository, reference);
      }
      isRetry = true;
      const body = bodyOf(bytes);
      const answer = await this.#ask(path, {
        scope: pushScope(repository),
        method: 'PUT',
        headers,
        body,
        signal,
      });
      const errorBody = await readErrorBody(answer);
      if (answer.statusCode === 412 && expected) throw moved(repository, reference);
      if (answer.statusCode < 200 || answer.statusCode > 299)
        throw refusedAnswer(answer, errorBody, `PUT ${path}`);
      return { subject: isDigest(firstValue(answer.headers['oci-subject']) ?? '') };
    });
  }

  /** @returns the digest, or `UNKNOWN_DIGEST`; undefined if the tag does not exist */
  async #pointsTo(path: string, repository: Repository, signal: AbortSignal): Promise<string | undefined> {
    const headers = { accept: manifestTypes.join(', ') };
    const answer = await this.#ask(path, { scope: pullScope(repository), method: 'HEAD', headers, signal });
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode === 200)
      return firstValue(answer.headers['docker-content-digest']) ?? UNKNOWN_DIGEST;
    throw refusedAnswer(answer, '', `HEAD ${path}`);
  }

  /** A manifest that does not exist counts as deleted. @throws Fault `parent-refused` */
  async deleteManifest(repository: Repository, digest: Digest, signal: AbortSignal): Promise<void> {
    await this.#delete(repository, digest, {}, signal);
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
    if (this.#link.azure) return this.#untag(repository, tag, signal);
    try {
      await this.#delete(repository, tag, condition(expected), signal);
      return true;
    } catch (error) {
      if (isStatus(error, 412)) throw moved(repository, tag);
      if (isStatus(error, 400, 405, 501)) return false;
      throw error;
    }
  }

  /** Azure Container Registry deletes a tag alone only through its metadata API. It refuses one that is locked. */
  async #untag(repository: Repository, tag: Tag, signal: AbortSignal): Promise<boolean> {
    const path = `/acr/v1/${repository}/_tags/${tag}`;
    return withRetries(signal, async () => {
      const answer = await this.#ask(path, { scope: deleteScope(repository), method: 'DELETE', signal });
      const errorBody = await readErrorBody(answer);
      if (answer.statusCode >= 200 && answer.statusCode <= 299) return true;
      if (answer.statusCode !== 404) throw refusedAnswer(answer, errorBody, `DELETE ${path}`);
      // Either the tag or this API does not exist.
      const current = await this.#pointsTo(`/v2/${repository}/manifests/${tag}`, repository, signal);
      return current === undefined;
    });
  }

  async #delete(
    repository: Repository,
    reference: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const path = `/v2/${repository}/manifests/${reference}`;
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

  /** `upload-unknown` if the answer says that the session no longer exists; otherwise as `refusedAnswer`. */
  #sessionFault(answer: Answer, body: string, what: string): Fault {
    const fault = refusedAnswer(answer, body, what);
    const { reason } = fault.detail ?? {};
    const isMissing = answer.statusCode === 404 || answer.statusCode === 410 || answer.statusCode === 416;
    // A repository without write permission is "not found" as well: the session is not missing then.
    const isUnknown = isMissing && reason !== 'NAME_UNKNOWN' && reason !== 'DENIED';
    if (!isUnknown && reason !== 'BLOB_UPLOAD_INVALID') return fault;
    return new Fault('upload-unknown', fault.message, { cause: fault });
  }
}

/** In place of the digest of a tag that the parent answered without one: it equals none. */
const UNKNOWN_DIGEST = 'unknown';

const moved = (repository: Repository, tag: string) =>
  new Fault('conflict', `${repository}:${tag} moved at the parent: read it again and retry`);

/** Without the query, which may hold secrets. */
const short = (location: string): string => location.split('?', 1)[0]?.slice(0, 200) ?? '';
