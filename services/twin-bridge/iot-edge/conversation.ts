import { setTimeout as systemSleep } from 'node:timers/promises';
import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Desired, desiredOf, type Properties, twinReported, withoutNulls } from './desired.ts';
import type { Hub } from './hub.ts';
import { admissible, difference } from './reported-rules.ts';
import { pauseAfter, type Timing } from './timing.ts';

export type TwinClock = {
  now(): number;
  /** Monotonic, in ms: for what is due after a while. */
  running(): number;
  /** Resolves early, without an error, when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
};

export const systemClock: TwinClock = {
  now: Date.now,
  running: () => performance.now(),
  sleep: async (ms, signal) => {
    await systemSleep(ms, undefined, { signal, ref: false }).catch(() => {});
  },
};

/** State of a module that outlives a connection. */
export type TwinDelegate = {
  /** Takes the desired properties as just read. */
  take(desired: Desired): Promise<void>;
  /** The complete properties to report. */
  readonly wanted: Properties | undefined;
};

/**
 * The requests over one connection, one at a time. The twin is read at the start, after each patch, and every five
 * minutes. Reports follow, as the difference to the properties that the twin holds.
 */
export class Conversation {
  readonly #delegate: TwinDelegate;
  readonly #log: Log;
  readonly #timing: Timing;
  readonly #clock: TwinClock;
  /** Time of the next read of the twin. */
  #readAt: number;
  /** Reported properties that the twin holds; undefined before the first read. */
  #known: Properties | undefined;
  /** Patch that the twin refused, as JSON. The same patch is not sent again. */
  #refused: string | undefined;
  #reportAt = 0;
  #failures = 0;
  #wake = Promise.withResolvers<void>();
  #complained = '';
  #isUnknown = false;
  /** Called after each successful read of the twin: the connection works. */
  onRead: () => void = () => {};

  constructor(delegate: TwinDelegate, log: Log, timing: Timing, clock: TwinClock = systemClock) {
    this.#delegate = delegate;
    this.#log = log;
    this.#timing = timing;
    this.#clock = clock;
    this.#readAt = clock.running();
  }

  /** To be called after each patch of the desired properties. Several patches cause one read. */
  readonly patched = (): void => {
    this.#readAt = Math.min(this.#readAt, this.#clock.running() + this.#timing.debounceMs);
    this.#wake.resolve();
  };

  /** To be called when the properties to report may have changed. */
  readonly wantedChanged = (): void => this.#wake.resolve();

  /**
   * Runs until the signal aborts or the connection ends.
   * @returns the reason why it ended
   * @throws Fault if a request was not answered: the connection is unusable
   */
  async run(hub: Hub, signal: AbortSignal): Promise<string> {
    let over: string | undefined;
    void hub.ended.then((why) => {
      over = why;
      this.#wake.resolve();
    });
    const aborted = () => this.#wake.resolve();
    signal.addEventListener('abort', aborted);
    try {
      while (over === undefined && !signal.aborted) {
        const now = this.#clock.running();
        const patch = this.#known && now >= this.#reportAt ? this.#patch(this.#known) : undefined;
        if (now >= this.#readAt) await this.#read(hub);
        else if (patch) await this.#report(hub, patch);
        else await this.#idle(now, signal);
      }
      return over ?? 'ended';
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }

  /** @param now at which nothing was due. With a later time, what became due since would be delayed. */
  async #idle(now: number, signal: AbortSignal): Promise<void> {
    const next = this.#reportAt > now ? Math.min(this.#readAt, this.#reportAt) : this.#readAt;
    const over = new AbortController();
    await Promise.race([
      this.#clock.sleep(Math.max(0, next - now), AbortSignal.any([signal, over.signal])),
      this.#wake.promise,
    ]);
    over.abort();
    this.#wake = Promise.withResolvers();
  }

  async #read(hub: Hub): Promise<void> {
    this.#readAt = this.#clock.running() + this.#timing.resyncMs;
    try {
      const { desired, reported } = await hub.twin();
      this.#known = twinReported(reported);
      this.#failures = 0;
      const document = desiredOf(desired);
      if (document) await this.#delegate.take(document);
      else if (!this.#isUnknown) {
        this.#log.warn(
          {},
          'edgeHub returned no desired properties; the current configuration stays in force',
        );
      }
      this.#isUnknown = document === undefined;
      this.onRead();
    } catch (error) {
      this.#readAt = this.#clock.running() + this.#backoff(error, 'failed to read the twin');
    }
  }

  async #report(hub: Hub, patch: Properties): Promise<void> {
    try {
      await hub.report(patch);
      this.#known = withoutNulls(merge(this.#known ?? {}, patch));
      this.#failures = 0;
    } catch (error) {
      if (statusOf(error) === 400) {
        this.#refused = JSON.stringify(patch);
        this.#log.error(
          { fields: Object.keys(patch) },
          'edgeHub refused the reported properties; not sending them again until they change',
        );
        return;
      }
      this.#reportAt =
        this.#clock.running() + this.#backoff(error, 'failed to write the reported properties');
    }
  }

  /** @returns backoff before the next attempt, in ms. @throws errors that end the connection */
  #backoff(error: unknown, what: string): number {
    if (statusOf(error) === undefined) throw error;
    this.#failures += 1;
    const ms = pauseAfter(this.#failures, this.#timing);
    this.#log.warn({ reason: (error as Error).message, ms }, `${what}; retrying`);
    return ms;
  }

  #patch(known: Properties): Properties | undefined {
    if (!this.#delegate.wanted) return undefined;
    const { fields, complaints } = admissible(withoutNulls(this.#delegate.wanted));
    const text = complaints.join('; ');
    if (text !== this.#complained && text)
      this.#log.error({ complaints }, 'some properties are not valid in a twin; not reporting them');
    this.#complained = text;
    const patch = difference(known, fields);
    return patch && JSON.stringify(patch) !== this.#refused ? patch : undefined;
  }
}

/** Status of the answer; undefined if there was no answer. */
const statusOf = (error: unknown): number | undefined =>
  error instanceof Fault && typeof error.detail?.status === 'number' ? error.detail.status : undefined;

/** Merges a patch in the way of the twin. */
function merge(known: Properties, patch: Properties): Properties {
  const merged = { ...known };
  for (const [key, value] of Object.entries(patch)) {
    const previous = merged[key];
    merged[key] =
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? merge(
            (typeof previous === 'object' && previous !== null ? previous : {}) as Properties,
            value as Properties,
          )
        : value;
  }
  return merged;
}
