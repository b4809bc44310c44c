import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import { ARRIVING_PATH, Arriving, type ArrivingBlob } from '#proto/content/arriving.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { type RepositoryNames, SAME_NAMES } from '#proto/oci/repository-names.ts';
import { type BlobAnswer, blobAnswer } from '../answers/blob-answer.ts';
import { type Body, firstValue, MAX_PAGE_BYTES } from '../answers/bodies.ts';
import type { Extent } from '../answers/extents.ts';
import { readAs } from '../answers/read-as.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { pullScope } from '../login/token-scopes.ts';
import { refusalIn, TerraceApi, throwIfTransient } from './terrace-api.ts';

/** How long a parent that lacks this API is not asked again, in ms: it may be a newer Terrace by then. */
const RECHECK_MS = 60 * 60_000;
/** Max time that the parent may wait for a byte before it answers that it has none, in seconds. */
const WAIT_S = 4;
/** Min interval between two requests of one connection while the parent has no bytes, in ms. */
const MIN_POLL_MS = 1_000;
/** Backoff: each connection waits at least this share of the time since bytes last arrived. */
const BACKOFF_SHARE = 1 / 8;
/** An attempt ends if no byte arrives for this time, in ms. */
const MAX_IDLE_MS = 60_000;

const NOTHING: Body = { destroy() {}, async *[Symbol.asyncIterator]() {} };

/** Content that a Terrace above is still receiving itself. */
export class ParentArriving {
  readonly #link: ParentLink;
  readonly #idleMs: number;
  readonly #names: RepositoryNames;
  readonly #api = new TerraceApi(RECHECK_MS);

  /** @param idleMs an attempt ends if no byte arrives for this time */
  constructor(link: ParentLink, idleMs = MAX_IDLE_MS, names = SAME_NAMES) {
    this.#link = link;
    this.#idleMs = idleMs;
    this.#names = names;
  }

  /**
   * @param after the cursor of an earlier answer: the parent answers when it has a newer one
   * @param waitS max time that the parent may wait for that, in seconds
   * @returns undefined if the parent does not publish this: it is no Terrace, or denies access
   * @throws Fault `parent-unreachable`, `busy`
   */
  async list(after: string | undefined, waitS: number, signal: AbortSignal): Promise<Arriving | undefined> {
    if (!this.#api.mayRequest) return undefined;
    const query = new URLSearchParams({ ...(after !== undefined && { after }), wait: String(waitS) });
    const scope = 'registry:catalog:*';
    const answer = await this.#link.request(`${ARRIVING_PATH}?${query}`, {
      scope,
      waitMs: waitS * 1_000,
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200) {
      const bytes = await this.#link.read(answer, MAX_PAGE_BYTES, ARRIVING_PATH);
      const arriving = readAs(Arriving, bytes);
      if (arriving) return { ...arriving, blobs: arriving.blobs.flatMap((blob) => this.#here(blob)) };
    } else {
      throwIfTransient(await refusalIn(answer, `GET ${ARRIVING_PATH}`));
    }
    this.#api.suspend();
    return undefined;
  }

  /** The blob by the name of its repository here; nothing if the repository has none. */
  #here(blob: ArrivingBlob): ArrivingBlob[] {
    const repository = this.#names.here(blob.repository);
    return repository === undefined ? [] : [{ ...blob, repository }];
  }

  /** A source for one attempt at one blob. */
  source(): ArrivingSource {
    return new ArrivingSource(this.#link, this.#idleMs, this.#names);
  }
}

/** A blob that the parent is still receiving: an answer holds the bytes that it has already, which may be none. */
export class ArrivingSource {
  /** See `PartialSource`. */
  readonly isPartial = true;
  readonly #link: ParentLink;
  readonly #idleMs: number;
  readonly #names: RepositoryNames;
  /** When bytes last arrived. */
  #bytesAt = performance.now();

  constructor(link: ParentLink, idleMs: number, names: RepositoryNames) {
    this.#link = link;
    this.#idleMs = idleMs;
    this.#names = names;
  }

  /** @throws Fault `blob-unknown` if the parent no longer receives it; `unavailable` if no byte arrives in time; … */
  async blob(
    repository: string,
    digest: Digest,
    size: number,
    extent: Extent,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const begun = performance.now();
    const name = this.#names.above(repository);
    const answer = await this.#link.request(
      `${ARRIVING_PATH}/${digest}?${new URLSearchParams({ repository: name, wait: String(WAIT_S) })}`,
      {
        scope: pullScope(name),
        headers: { range: `bytes=${extent.start}-${extent.end - 1}` },
        waitMs: WAIT_S * 1_000,
        bandwidthTaken: true,
        signal,
      },
    );
    if (answer.statusCode === 204) {
      await answer.body.dump();
      const now = performance.now();
      const sinceBytesMs = now - this.#bytesAt;
      if (sinceBytesMs > this.#idleMs) {
        throw new Fault('unavailable', `the parent makes no progress with ${digest}`);
      }
      const waitMs = Math.max(begun + MIN_POLL_MS - now, sinceBytesMs * BACKOFF_SHARE);
      await sleep(jittered(waitMs), undefined, { signal }).catch(() => signal.throwIfAborted());
      return { start: extent.start, end: extent.start, ranged: true, body: NOTHING };
    }
    const received = await blobAnswer(answer, { repository: name, digest, size, extent });
    this.#bytesAt = performance.now();
    const last = /^bytes \d+-(\d+)\//.exec(firstValue(answer.headers['content-range']) ?? '')?.[1];
    return received.ranged && last !== undefined ? { ...received, end: Number(last) + 1 } : received;
  }
}
