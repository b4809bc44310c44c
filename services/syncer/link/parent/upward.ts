import { Fault } from '#proto/contract/fault.ts';
import { manifestTypes } from '#proto/oci/manifest.ts';
import { type Digest, isDigest, type Repository, type Tag } from '#proto/oci/names.ts';
import { type Answer, one, text } from '../answers/bodies.ts';
import { isStatus, patiently } from '../answers/patience.ts';
import type { Ask, Link } from '../http/link.ts';
import { notFollowed, target } from '../http/redirects.ts';
import { type Sent, sent } from '../http/sending.ts';
import { pull, push, remove } from '../login/scopes.ts';
import { type FetchedManifest, refused } from './parent.ts';
import { locationOf, type Session, sessionIn } from './session.ts';

/** What a tag must point to for a change to be made; undefined: nothing. */
export type Condition = { expect: Digest | undefined };

/** What answers of a parent mean that it does not know the session any more, or never takes one up again. */
const GONE = [400, 404, 405, 410, 416, 501];
/** Does what is asked only for tags that are as expected, by ETags (RFC 9110, 13.1): a Terrace does. */
const condition = ({ expect }: Condition): Record<string, string> =>
  expect ? { 'if-match': `"${expect}"` } : { 'if-none-match': '*' };

/**
 * Changes at the parent (distribution-spec, "Push" and "Content Management"). What it does not take is a Fault
 * `parent-refused` with `detail.status` and, where it says so, the OCI error code as `detail.reason`.
 */
export class Upward {
  readonly #link: Link;
  readonly #mayChange: (() => void) | undefined;

  /** @param mayChange throws where no request that changes anything is to be sent now */
  constructor(link: Link, mayChange?: () => void) {
    this.#link = link;
    this.#mayChange = mayChange;
  }

  guarded(mayChange: () => void): Upward {
    return new Upward(this.#link, mayChange);
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
    const ask: Ask = { scope: pull(repository), method: 'HEAD', headers, signal, redirects: 'return' };
    return patiently(signal, async () => {
      const answer = await this.#ask(path, ask);
      if (answer.statusCode === 200) return true;
      if (answer.statusCode === 404) return false;
      // A registry that knows where a blob lies has it. Another one, such as that with TLS, is no place of a blob.
      const elsewhere = target(answer);
      if (elsewhere && !isManifest && elsewhere.pathname !== path) return true;
      if (elsewhere) throw notFollowed(`HEAD ${path}`, elsewhere);
      throw refused(answer, '', `HEAD ${path}`);
    });
  }

  /**
   * Links a blob that another repository of the parent has. @returns a session to send it by, where that can't be done
   */
  async mount(
    repository: Repository,
    digest: Digest,
    from: Repository,
    signal: AbortSignal,
  ): Promise<'mounted' | Session> {
    const path = `/v2/${repository}/blobs/uploads/?${new URLSearchParams({ mount: digest, from })}`;
    return this.#begin(path, `${push(repository)} ${pull(from)}`, signal);
  }

  async begin(repository: Repository, digest: Digest, signal: AbortSignal): Promise<Session> {
    // distribution-spec 1.1.1, "Pushing a blob in chunks": only for what is not the canonical algorithm.
    const query = digest.startsWith('sha512:') ? '?digest-algorithm=sha512' : '';
    const path = `/v2/${repository}/blobs/uploads/${query}`;
    const begun = await this.#begin(path, push(repository), signal);
    if (begun !== 'mounted') return begun;
    throw new Fault('parent-invalid', `POST ${path}: the parent answered 201 to an upload that only begins`);
  }

  async #begin(path: string, scope: string, signal: AbortSignal): Promise<'mounted' | Session> {
    return patiently(signal, async () => {
      const answer = await this.#ask(path, { scope, method: 'POST', body: sent(Buffer.alloc(0)), signal });
      const said = await text(answer);
      if (answer.statusCode === 201) return 'mounted';
      if (answer.statusCode !== 202) throw refused(answer, said, `POST ${path}`);
      return { location: locationOf(answer, this.#link.base), offset: 0 };
    });
  }

  /** Where the session goes on. @returns undefined where the parent has none of this name any more */
  async offset(repository: Repository, location: string, signal: AbortSignal): Promise<Session | undefined> {
    return patiently(signal, async () => {
      const answer = await this.#ask(location, { scope: push(repository), signal });
      const said = await text(answer);
      if (GONE.includes(answer.statusCode)) return undefined;
      if (answer.statusCode !== 204 && answer.statusCode !== 202) {
        throw refused(answer, said, `GET ${short(location)}`);
      }
      return sessionIn(answer, this.#link.base, location);
    });
  }

  /** Ends a session that is of no use. */
  async cancel(repository: Repository, location: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#ask(location, { scope: push(repository), method: 'DELETE', signal });
    await answer.body.dump();
  }

  /**
   * Sends the next bytes of a session. @returns where the parent says that it ends now, which need not be their end
   * @throws Fault `upload-unknown` where the session is gone
   */
  async append(
    repository: Repository,
    { location, offset }: Session,
    body: Sent,
    signal: AbortSignal,
  ): Promise<Session> {
    const headers = {
      'content-type': 'application/octet-stream',
      'content-range': `${offset}-${offset + body.size - 1}`,
    };
    const answer = await this.#ask(location, {
      scope: push(repository),
      method: 'PATCH',
      headers,
      body,
      signal,
    });
    const said = await text(answer);
    if (answer.statusCode === 202 || answer.statusCode === 201) {
      return sessionIn(answer, this.#link.base, location, offset + body.size);
    }
    if (answer.statusCode === 416) {
      const found = await this.offset(repository, location, signal);
      if (found && found.offset !== offset) return found;
    }
    throw this.#lost(answer, said, `PATCH ${short(location)}`);
  }

  /**
   * Ends a session with its last bytes, which may be none.
   * @throws Fault `upload-unknown` where the session is gone, `parent-refused`
   */
  async finish(
    repository: Repository,
    digest: Digest,
    { location, offset }: Session,
    body: Sent,
    signal: AbortSignal,
  ): Promise<void> {
    const url = new URL(location, this.#link.base);
    url.searchParams.set('digest', digest);
    const headers = {
      'content-type': 'application/octet-stream',
      ...(body.size > 0 && { 'content-range': `${offset}-${offset + body.size - 1}` }),
    };
    const ask: Ask = { scope: push(repository), method: 'PUT', headers, body, signal };
    const answer = await this.#ask(url.href, ask);
    const said = await text(answer);
    if (answer.statusCode === 201 || answer.statusCode === 204) return;
    throw this.#lost(answer, said, `PUT ${short(location)}`);
  }

  /**
   * Puts a manifest under its digest, or under a tag that must point to what is expected.
   * @returns whether the parent took note of the manifest's subject
   * @throws Fault `conflict` where the tag moved
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
    let again = false;
    return patiently(signal, async () => {
      // Whether an attempt without an answer was carried out is not known, and a parent that knows no conditions may
      // have got another change since.
      if (expected && again) {
        const found = await this.#pointsTo(path, repository, signal);
        if (found !== expected.expect) throw moved(repository, reference);
      }
      again = true;
      const body = sent(bytes);
      const answer = await this.#ask(path, { scope: push(repository), method: 'PUT', headers, body, signal });
      const said = await text(answer);
      if (answer.statusCode === 412 && expected) throw moved(repository, reference);
      if (answer.statusCode < 200 || answer.statusCode > 299) throw refused(answer, said, `PUT ${path}`);
      return { subject: isDigest(one(answer.headers['oci-subject']) ?? '') };
    });
  }

  /** @returns the digest, where the tag is there */
  async #pointsTo(path: string, repository: Repository, signal: AbortSignal): Promise<string | undefined> {
    const headers = { accept: manifestTypes.join(', ') };
    const answer = await this.#ask(path, { scope: pull(repository), method: 'HEAD', headers, signal });
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode === 200) return one(answer.headers['docker-content-digest']) ?? 'not said';
    throw refused(answer, '', `HEAD ${path}`);
  }

  /** One that is not there is deleted. @throws Fault `parent-refused` */
  async deleteManifest(repository: Repository, digest: Digest, signal: AbortSignal): Promise<void> {
    await this.#delete(repository, digest, {}, signal);
  }

  /**
   * @returns whether the parent can delete a tag by its name
   * @throws Fault `conflict` where the tag moved, `parent-refused`
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

  /** Azure Container Registry deletes a tag alone where it tells of tags; one that is locked is refused. */
  async #untag(repository: Repository, tag: Tag, signal: AbortSignal): Promise<boolean> {
    const path = `/acr/v1/${repository}/_tags/${tag}`;
    return patiently(signal, async () => {
      const answer = await this.#ask(path, { scope: remove(repository), method: 'DELETE', signal });
      const said = await text(answer);
      if (answer.statusCode >= 200 && answer.statusCode <= 299) return true;
      if (answer.statusCode !== 404) throw refused(answer, said, `DELETE ${path}`);
      // There is no such tag, or no such interface.
      const found = await this.#pointsTo(`/v2/${repository}/manifests/${tag}`, repository, signal);
      return found === undefined;
    });
  }

  async #delete(
    repository: Repository,
    reference: string,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<void> {
    const path = `/v2/${repository}/manifests/${reference}`;
    await patiently(signal, async () => {
      const answer = await this.#ask(path, { scope: remove(repository), method: 'DELETE', headers, signal });
      const said = await text(answer);
      const gone = answer.statusCode === 404;
      if (!gone && (answer.statusCode < 200 || answer.statusCode > 299))
        throw refused(answer, said, `DELETE ${path}`);
    });
  }

  #ask(path: string, ask: Ask): Promise<Answer> {
    const { method = 'GET' } = ask;
    const changes = method !== 'GET' && method !== 'HEAD';
    return this.#link.request(path, {
      ...ask,
      ...(changes && this.#mayChange && { before: this.#mayChange }),
    });
  }

  #lost(answer: Answer, said: string, what: string): Fault {
    const fault = refused(answer, said, what);
    const { reason } = fault.detail ?? {};
    const gone = answer.statusCode === 404 || answer.statusCode === 410 || answer.statusCode === 416;
    // A repository that may not be written to is "not found" as well, but then it is not the upload that is missing.
    const unknown = gone && reason !== 'NAME_UNKNOWN' && reason !== 'DENIED';
    if (!unknown && reason !== 'BLOB_UPLOAD_INVALID') return fault;
    return new Fault('upload-unknown', fault.message, { cause: fault });
  }
}

const moved = (repository: Repository, tag: string) =>
  new Fault('conflict', `${repository}:${tag} moved at the parent: look again, then decide again`);

/** Without the query, which may hold what nobody should read. */
const short = (location: string): string => location.split('?', 1)[0]?.slice(0, 200) ?? '';
