import { setTimeout as sleep } from 'node:timers/promises';
import { type Backoff, backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { type ParentRepository, type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { refusedAnswer } from '../answers/answers.ts';
import { type Answer, firstValue, readErrorBody } from '../answers/bodies.ts';
import { urlAt } from '../answers/parent-path.ts';
import { isStatus, withRetries } from '../answers/retry.ts';
import type { RequestOptions } from '../http/parent-link.ts';
import { uploadsPath } from '../http/repository-paths.ts';
import { bodyOf, type RequestBody } from '../http/sending.ts';
import { pullScope, pushScope } from '../login/token-scopes.ts';
import {
  isSessionMissing,
  isSuccess,
  locationOf,
  rangeIn,
  sessionFault,
  short,
  type UploadSession,
} from './session.ts';
import type { UploadCapabilities } from './upload-capabilities.ts';

/** Statuses by which a parent says that it does not know the request. */
const UNSUPPORTED = [405, 501];
/** Checks whether the parent has a blob that it took, in ms. One that it only accepted may need more of them. */
const CONFIRM = { firstMs: 250, maxMs: 8_000 };
const MAX_CHECKS = 6;
const MAX_CHECKS_ACCEPTED = 12;

export type UploadClientDeps = {
  base: URL;
  ask: (path: string, options: RequestOptions) => Promise<Answer>;
  hasBlob: (repository: Repository, digest: Digest, signal: AbortSignal) => Promise<boolean>;
  capabilities: UploadCapabilities;
  /** Names of repositories at the parent. */
  names?: RepositoryNames;
  /** Waits between checks for a blob that was taken. */
  checks?: Backoff;
};

/** What a parent answered to the end of an upload: it has the blob, or it has to be asked whether it has. */
export type Finished = 'confirmed' | 'taken' | 'accepted';

/** Upload sessions at the parent (distribution-spec, "Pushing blobs"). */
export class UploadClient {
  readonly capabilities: UploadCapabilities;
  readonly #deps: UploadClientDeps;
  readonly #names: RepositoryNames;

  constructor(deps: UploadClientDeps) {
    this.#deps = deps;
    this.#names = deps.names ?? SAME_NAMES;
    this.capabilities = deps.capabilities;
  }

  /**
   * Links a blob from another repository of the parent.
   * @returns a session to send it by, if the parent opened one instead; undefined if it can't mount the blob
   * @throws Fault `parent-refused` if the login may not
   */
  async mount(
    repository: Repository,
    digest: Digest,
    from: Repository,
    signal: AbortSignal,
  ): Promise<'mounted' | UploadSession | undefined> {
    if (this.capabilities.refusesMounts) return undefined;
    const name = this.#names.above(repository);
    const source = this.#names.above(from);
    const path = `${uploadsPath(name)}?${new URLSearchParams({ mount: digest, from: source })}`;
    try {
      const answer = await this.#post(path, `${pushScope(name)} ${pullScope(source)}`, signal);
      if (answer.statusCode === 202) return this.#sessionOf(answer, name);
      return (await this.#isThere(repository, digest, signal)) ? 'mounted' : undefined;
    } catch (error) {
      if (isStatus(error, 429, 503)) throw error;
      if (isStatus(error, ...UNSUPPORTED) || (isFailing(error) && !signal.aborted))
        this.capabilities.onMountsRefused();
      else if (!Fault.is(error, 'parent-invalid')) throw error;
      return undefined;
    }
  }

  async begin(repository: Repository, digest: Digest, signal: AbortSignal): Promise<UploadSession> {
    const name = this.#names.above(repository);
    const path = uploadsPath(name);
    // distribution-spec 1.1.1, "Pushing a blob in chunks": only for another algorithm than the canonical one.
    if (digest.startsWith('sha512:') && !this.capabilities.refusesAlgorithm) {
      const answer = await this.#post(`${path}?digest-algorithm=sha512`, pushScope(name), signal).catch(
        (error) => {
          if (isStatus(error, 400, 404, 405, 415, 422, 501)) return undefined;
          throw error;
        },
      );
      if (answer) return this.#sessionOf(answer, name);
      this.capabilities.onAlgorithmRefused();
    }
    return this.#sessionOf(await this.#post(path, pushScope(name), signal), name);
  }

  async #post(path: string, scope: string, signal: AbortSignal): Promise<Answer> {
    return withRetries(signal, async () => {
      const answer = await this.#ask(path, { scope, method: 'POST', body: bodyOf(Buffer.alloc(0)), signal });
      const body = await readErrorBody(answer);
      if (!isSuccess(answer)) throw refusedAnswer(answer, body, `POST ${short(path)}`);
      return answer;
    });
  }

  #sessionOf(answer: Answer, repository: ParentRepository): UploadSession {
    const id = firstValue(answer.headers['docker-upload-uuid']);
    const byId = id && `${uploadsPath(repository)}${encodeURIComponent(id)}`;
    return { location: locationOf(answer, this.#deps.base, byId), offset: 0 };
  }

  /**
   * The session as the parent has it.
   * @returns undefined if the parent no longer has it, or does not say
   */
  async findSession(
    repository: Repository,
    location: string,
    signal: AbortSignal,
  ): Promise<UploadSession | undefined> {
    const { capabilities } = this;
    if (capabilities.hasStatus === false) return undefined;
    try {
      return await withRetries(signal, async () => {
        const answer = await this.#ask(location, { scope: this.#pushScope(repository), signal });
        const body = await readErrorBody(answer);
        const { statusCode } = answer;
        if (isSuccess(answer)) {
          capabilities.onStatus(true);
          return { location: locationOf(answer, this.#deps.base, location), offset: rangeIn(answer) ?? 0 };
        }
        if (UNSUPPORTED.includes(statusCode) && !capabilities.hasStatus) capabilities.onStatus(false);
        if (isSessionMissing(answer)) return undefined;
        throw refusedAnswer(answer, body, `GET ${short(location)}`);
      });
    } catch (error) {
      // If all requests fail, so does that for a new session, and this one stays stored.
      if (isFailing(error)) return undefined;
      throw error;
    }
  }

  /** Ends a session that is not needed. */
  async cancel(repository: Repository, location: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#ask(location, {
      scope: this.#pushScope(repository),
      method: 'DELETE',
      signal,
    });
    await answer.body.dump();
  }

  /**
   * Sends the next bytes of a session. An answer of success is believed, unless the session itself says less.
   * @param isComplete these bytes are all of the blob, and need no `Content-Range`
   * @returns the session with the number of bytes that the parent has
   * @throws Fault `upload-unknown` if the parent no longer has the session, or does not continue it there
   */
  async append(
    repository: Repository,
    session: UploadSession,
    body: RequestBody,
    signal: AbortSignal,
    isComplete = false,
  ): Promise<UploadSession> {
    const { location, offset, taken = 0 } = session;
    const answer = await this.#ask(location, {
      scope: this.#pushScope(repository),
      method: 'PATCH',
      headers: contentHeaders(isComplete ? 0 : body.size, offset),
      body,
      signal,
    });
    const errorBody = await readErrorBody(answer);
    if (isSuccess(answer)) return this.#appended(repository, session, answer, body.size, signal);
    if (answer.statusCode === 416) {
      // The parent reported fewer bytes than it has.
      if (taken > offset) {
        this.capabilities.onStaleRange();
        return { location, offset: taken };
      }
      const current = await this.findSession(repository, location, signal);
      const reported = current?.offset ?? rangeIn(answer) ?? offset;
      if (reported !== offset) return { location: current?.location ?? location, offset: reported };
    }
    throw sessionFault(answer, errorBody, `PATCH ${short(location)}`);
  }

  async #appended(
    repository: Repository,
    { location: before, offset }: UploadSession,
    answer: Answer,
    size: number,
    signal: AbortSignal,
  ): Promise<UploadSession> {
    const taken = offset + size;
    const location = locationOf(answer, this.#deps.base, before);
    const reported = rangeIn(answer);
    if (reported === undefined || reported >= taken || this.capabilities.hasStaleRange)
      return { location, offset: taken };
    const current = await this.findSession(repository, location, signal);
    if (current && current.offset < taken) return { ...current, taken };
    this.capabilities.onStaleRange();
    return { location: current?.location ?? location, offset: taken };
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
  ): Promise<Finished> {
    const url = urlAt(this.#deps.base, location);
    url.searchParams.set('digest', digest);
    // At offset 0, these are all bytes of the blob.
    const headers = contentHeaders(offset === 0 ? 0 : body.size, offset);
    const ask: RequestOptions = { scope: this.#pushScope(repository), method: 'PUT', headers, body, signal };
    const answer = await this.#ask(url.href, ask);
    const errorBody = await readErrorBody(answer);
    if (!isSuccess(answer)) throw sessionFault(answer, errorBody, `PUT ${short(location)}`);
    if (answer.statusCode === 202) return 'accepted';
    const named = firstValue(answer.headers['docker-content-digest']);
    return answer.statusCode === 201 && named === digest ? 'confirmed' : 'taken';
  }

  /**
   * Waits until the parent has a blob that it took.
   * @throws Fault `parent-refused` with `detail.unconfirmed` if it does not have the blob after all
   */
  async confirm(
    repository: Repository,
    digest: Digest,
    finished: Finished,
    signal: AbortSignal,
  ): Promise<void> {
    if (finished === 'confirmed') return;
    const max = finished === 'accepted' ? MAX_CHECKS_ACCEPTED : MAX_CHECKS;
    for (let checks = 1; checks <= max; checks += 1) {
      if (await this.#isThere(repository, digest, signal)) return;
      if (checks < max) await sleep(backoffMs(checks, this.#deps.checks ?? CONFIRM), undefined, { signal });
    }
    throw new Fault('parent-refused', `the parent answered that it took ${digest}, and does not have it`, {
      detail: { status: 404, unconfirmed: true },
    });
  }

  /** Whether the parent has what it reported as taken. If it does not let this layer ask, it is believed. */
  #isThere(repository: Repository, digest: Digest, signal: AbortSignal): Promise<boolean> {
    return this.#deps.hasBlob(repository, digest, signal).catch((error) => {
      if (Fault.is(error, 'parent-refused')) return true;
      throw error;
    });
  }

  #pushScope(repository: Repository): string {
    return pushScope(this.#names.above(repository));
  }

  async #ask(path: string, options: RequestOptions): Promise<Answer> {
    const answer = await this.#deps.ask(path, options);
    const min = firstValue(answer.headers['oci-chunk-min-length']);
    // Only the answer that begins a session has to repeat it.
    if (min !== undefined || (options.method === 'POST' && isSuccess(answer)))
      this.capabilities.onMinLength(min);
    return answer;
  }
}

const isFailing = (error: unknown): boolean =>
  Fault.is(error, 'parent-unreachable') && error.detail?.status !== undefined;

const contentHeaders = (size: number, offset: number): Record<string, string> => ({
  'content-type': 'application/octet-stream',
  ...(size > 0 && { 'content-range': `${offset}-${offset + size - 1}` }),
});
