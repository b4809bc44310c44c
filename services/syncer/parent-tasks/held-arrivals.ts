import { MAX_TIMER_MS } from '#proto/async/max-timer.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { Pull } from './arrivals.ts';

type Held = { timer: NodeJS.Timeout; since: number };

export type HeldArrivalsDeps = {
  /** Called when the time of a blob is over: it is pulled in full. */
  release: (pull: Pull) => void;
  /** Called with the time for which a blob was held, in ms, however that ended. */
  held: (ms: number) => void;
};

/** Blobs that the parent still receives and that are not pulled for a while, as a delta may come instead. */
export class HeldArrivals {
  readonly #deps: HeldArrivalsDeps;
  readonly #blobs = new Map<Digest, Held>();

  constructor(deps: HeldArrivalsDeps) {
    this.#deps = deps;
  }

  has(digest: Digest): boolean {
    return this.#blobs.has(digest);
  }

  hold(pull: Pull, ms: number): void {
    const release = () => {
      this.#end(pull.digest);
      this.#deps.release(pull);
    };
    this.#blobs.set(pull.digest, {
      timer: setTimeout(release, Math.min(ms, MAX_TIMER_MS)),
      since: performance.now(),
    });
  }

  /** Of these blobs the parent receives no more, or a delta: a pass pulls them, or the caller. */
  endWhere(isEnded: (digest: Digest) => boolean): void {
    for (const digest of [...this.#blobs.keys()]) if (isEnded(digest)) this.#end(digest);
  }

  #end(digest: Digest): void {
    const { timer, since } = this.#blobs.get(digest) as Held;
    clearTimeout(timer);
    this.#blobs.delete(digest);
    this.#deps.held(performance.now() - since);
  }
}
