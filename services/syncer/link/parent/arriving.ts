import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import { ARRIVING_PATH, Arriving } from '#proto/content/arriving.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { type BlobAnswer, blobAnswer } from '../answers/blob-answer.ts';
import { type Body, one, PAGE_LIMIT } from '../answers/bodies.ts';
import type { Extent } from '../answers/extents.ts';
import { readAs } from '../answers/read-as.ts';
import type { Link } from '../http/link.ts';
import { pull } from '../login/scopes.ts';
import { TerraceApi } from './terrace-api.ts';

/** A parent that does not tell what comes is asked again after so long, in ms: it may be a newer Terrace by then. */
const ASK_AGAIN_MS = 60 * 60_000;
/** How long the parent may wait for a byte before it answers that there is none, in seconds. */
const WAIT_S = 4;
/** One that answers so at once is not asked again at once, in ms. */
const MIN_MS = 1_000;
/** The longer nothing came, the more seldom it is asked: each connection rests for this part of that time as well. */
const REST = 1 / 8;
/** An attempt ends where no byte came for so long, in ms. */
const IDLE_MS = 60_000;

const NOTHING: Body = { destroy() {}, async *[Symbol.asyncIterator]() {} };

/** What a Terrace above is itself still receiving. */
export class ParentArriving {
  readonly #link: Link;
  readonly #idleMs: number;
  readonly #api = new TerraceApi(ASK_AGAIN_MS);

  /** @param idleMs an attempt ends where no byte came for so long */
  constructor(link: Link, idleMs = IDLE_MS) {
    this.#link = link;
    this.#idleMs = idleMs;
  }

  /**
   * @param after the cursor of an earlier answer: this one comes when there is another one to give
   * @param waitS how long the parent may wait for that, in seconds
   * @returns undefined where the parent does not tell, as it is no Terrace or does not let us
   * @throws Fault `parent-unreachable`, `busy`
   */
  async list(after: string | undefined, waitS: number, signal: AbortSignal): Promise<Arriving | undefined> {
    if (!this.#api.isSpoken) return undefined;
    const query = new URLSearchParams({ ...(after !== undefined && { after }), wait: String(waitS) });
    const scope = 'registry:catalog:*';
    const answer = await this.#link.request(`${ARRIVING_PATH}?${query}`, {
      scope,
      waitMs: waitS * 1_000,
      signal,
    });
    const { statusCode: status } = answer;
    if (status === 200) {
      const bytes = await this.#link.read(answer, PAGE_LIMIT, ARRIVING_PATH);
      const found = readAs(Arriving, bytes);
      if (found) return found;
    } else {
      await TerraceApi.refused(answer, `GET ${ARRIVING_PATH}`);
    }
    this.#api.rest();
    return undefined;
  }

  /** For one attempt to bring one blob. */
  source(): ArrivingSource {
    return new ArrivingSource(this.#link, this.#idleMs);
  }
}

/** A blob as the parent has it while it comes there: an answer has what is there, which may be nothing. */
export class ArrivingSource {
  /** See `Source`. */
  readonly inPart = true;
  readonly #link: Link;
  readonly #idleMs: number;
  #came = performance.now();

  constructor(link: Link, idleMs: number) {
    this.#link = link;
    this.#idleMs = idleMs;
  }

  /** @throws Fault `blob-unknown` where the parent does not bring it any more; `unavailable` where nothing comes */
  async blob(
    repository: string,
    digest: Digest,
    size: number,
    extent: Extent,
    signal: AbortSignal,
  ): Promise<BlobAnswer> {
    const begun = performance.now();
    const answer = await this.#link.request(
      `${ARRIVING_PATH}/${digest}?${new URLSearchParams({ repository, wait: String(WAIT_S) })}`,
      {
        scope: pull(repository),
        headers: { range: `bytes=${extent.start}-${extent.end - 1}` },
        waitMs: WAIT_S * 1_000,
        paid: true,
        signal,
      },
    );
    if (answer.statusCode === 204) {
      await answer.body.dump();
      const now = performance.now();
      const idle = now - this.#came;
      if (idle > this.#idleMs) {
        throw new Fault('unavailable', `the parent gets no further with ${digest} now`);
      }
      const rest = Math.max(begun + MIN_MS - now, idle * REST);
      await sleep(jittered(rest), undefined, { signal }).catch(() => signal.throwIfAborted());
      return { start: extent.start, end: extent.start, ranged: true, body: NOTHING };
    }
    const found = await blobAnswer(answer, { repository, digest, size, extent });
    this.#came = performance.now();
    const last = /^bytes \d+-(\d+)\//.exec(one(answer.headers['content-range']) ?? '')?.[1];
    return found.ranged && last !== undefined ? { ...found, end: Number(last) + 1 } : found;
  }
}
