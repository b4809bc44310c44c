import { BoundedMap } from '#proto/contract/bounded-map.ts';

/** Max time for the head of an answer, as a multiple of the stall time: 10 min. */
const MAX_STALLS = 30;
/** A host works for this multiple of the stall time after an answer: longer than any answer may take. */
const WORKS_STALLS = 2 * MAX_STALLS;
/** Max resources and hosts that are remembered. */
const MAX_RESOURCES = 1_000;
const MAX_HOSTS = 100;

type Host = { answeredAt: number; slowest?: { ms: number; at: number } };

/**
 * How long the head of an answer may take. A caching proxy answers only once it has fetched the content itself, and may
 * begin again when its client leaves. So the limit of a resource doubles at each timeout if its host works, and what a
 * slow answer took is granted to the other resources of the host. A host that does not answer at all gets the stall
 * time, unless the parent must have answered before, maybe another syncer: a blob, or another host. Pure.
 */
export class FirstByteLimits {
  readonly #stallMs: number;
  readonly #parent: URL;
  readonly #now: () => number;
  readonly #limits = new BoundedMap<number>(MAX_RESOURCES);
  readonly #hosts = new BoundedMap<Host>(MAX_HOSTS);

  /** @param now monotonic, in ms */
  constructor(stallMs: number, parent: URL, now: () => number = () => performance.now()) {
    this.#stallMs = stallMs;
    this.#parent = parent;
    this.#now = now;
  }

  /** In ms. */
  limitFor(url: URL): number {
    const host = this.#working(url);
    if (!host && !this.#isContent(url)) return this.#stallMs;
    const slowest = host?.slowest;
    const isRecent = slowest !== undefined && this.#isRecent(slowest.at);
    const granted = isRecent ? this.#bounded(2 * slowest.ms) : this.#stallMs;
    return Math.max(granted, this.#limits.get(keyOf(url)) ?? 0);
  }

  /** An answer arrived after `ms`. @param works whether it shows that the host works */
  answered(url: URL, ms: number, works: boolean): void {
    this.#limits.delete(keyOf(url));
    if (!works) return;
    const now = this.#now();
    const known = this.#hosts.get(url.origin)?.slowest;
    const slowest = known && this.#isRecent(known.at) ? known : undefined;
    const isSlow = ms > this.#stallMs / 2 && ms >= (slowest?.ms ?? 0);
    this.#hosts.set(url.origin, {
      answeredAt: now,
      ...(isSlow ? { slowest: { ms, at: now } } : slowest && { slowest }),
    });
  }

  /**
   * No answer arrived within `ms`.
   * @returns the limit of the next attempt, if it is longer
   */
  timedOut(url: URL, ms: number): number | undefined {
    const next = this.#bounded(2 * ms);
    if (!this.#working(url) && !this.#isContent(url)) this.#limits.delete(keyOf(url));
    else if (next > ms) {
      this.#limits.set(keyOf(url), next);
      return next;
    }
    return undefined;
  }

  /** Requested only after an answer of the parent that names it. */
  #isContent({ origin, pathname }: URL): boolean {
    return origin !== this.#parent.origin || pathname.includes('/blobs/');
  }

  /** Whether the host has answered not long ago. */
  works(url: URL): boolean {
    return this.#working(url) !== undefined;
  }

  #working(url: URL): Host | undefined {
    const host = this.#hosts.get(url.origin);
    return host && this.#isRecent(host.answeredAt) ? host : undefined;
  }

  #isRecent(at: number): boolean {
    return this.#now() - at < WORKS_STALLS * this.#stallMs;
  }

  #bounded(ms: number): number {
    return Math.min(MAX_STALLS * this.#stallMs, Math.max(this.#stallMs, ms));
  }
}

/** Without the query: it may hold a signature, or the place in a list. */
const keyOf = ({ origin, pathname }: URL): string => `${origin}${pathname}`;
