import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { RepositoryNames } from '#proto/oci/repository-names.ts';
import { type BlobAnswer, blobAnswer } from '../answers/blob-answer.ts';
import { type Body, firstValue } from '../answers/bodies.ts';
import type { Extent } from '../answers/extents.ts';
import type { ParentLink } from '../http/parent-link.ts';
import { pullScope } from '../login/token-scopes.ts';

/** Max time that the parent may wait for a byte before it answers that it has none, in seconds. */
const WAIT_S = 4;
/** Min interval between two requests of one connection while the parent has no bytes, in ms. */
const MIN_POLL_MS = 1_000;
/** Backoff: each connection waits at least this share of the time since bytes last arrived. */
const BACKOFF_SHARE = 1 / 8;
/** An attempt ends if no byte arrives for this time, in ms. */
const MAX_IDLE_MS = 60_000;

const NOTHING: Body = { destroy() {}, async *[Symbol.asyncIterator]() {} };

/** Content that the parent may still be receiving: an answer holds the bytes that it has already, which may be none. */
export class ArrivingSource {
  /** See `PartialSource`. */
  readonly isPartial = true;
  readonly #link: ParentLink;
  readonly #idleMs: number;
  readonly #names: RepositoryNames;
  readonly #path: string;
  /** When bytes last arrived. */
  #bytesAt = performance.now();

  /**
   * @param idleMs an attempt ends if no byte arrives for this time
   * @param path of the API, below which each content has its digest
   */
  constructor(link: ParentLink, names: RepositoryNames, path: string, idleMs = MAX_IDLE_MS) {
    this.#link = link;
    this.#idleMs = idleMs;
    this.#names = names;
    this.#path = path;
  }

  /** @throws Fault `blob-unknown` if the parent does not have it; `unavailable` if no byte arrives in time; … */
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
      `${this.#path}/${digest}?${new URLSearchParams({ repository: name, wait: String(WAIT_S) })}`,
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
