import { setTimeout as systemSleep } from 'node:timers/promises';
import type { Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Desired, desiredOf, type Properties, reportedOf, withoutNulls } from './desired.ts';
import type { Hub } from './hub.ts';
import { admissible, difference } from './reported-rules.ts';
import { pauseAfter, type Timing } from './timing.ts';

export type Clock = {
  now(): number;
  /** Ends early, without an error, when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
};

export const systemClock: Clock = {
  now: Date.now,
  sleep: async (ms, signal) => {
    await systemSleep(ms, undefined, { signal, ref: false }).catch(() => {});
  },
};

/** What a module holds beyond any one connection. */
export type TwinDelegate = {
  /** What is desired, as looked up now. */
  take(desired: Desired): Promise<void>;
  /** All that is to be reported. */
  readonly wanted: Properties | undefined;
};

/**
 * What is said over one connection: one request at a time. The twin is looked up at once, after each word of a patch,
 * and each five minutes; what is reported follows, as the difference to what the twin holds.
 */
export class Conversation {
  readonly #standing: TwinDelegate;
  readonly #log: Log;
  readonly #timing: Timing;
  readonly #clock: Clock;
  /** When the twin is looked up next. */
  #lookAt: number;
  #known: Properties | undefined;
  /** What the twin refused, until something else is wanted. */
  #refused: string | undefined;
  #reportAt = 0;
  #failures = 0;
  #wake = Promise.withResolvers<void>();
  #complained = '';
  #silent = false;
  /** The twin has been looked up, so all is well. */
  onLook: () => void = () => {};

  constructor(standing: TwinDelegate, log: Log, timing: Timing, clock: Clock = systemClock) {
    this.#standing = standing;
    this.#log = log;
    this.#timing = timing;
    this.#clock = clock;
    this.#lookAt = clock.now();
  }

  /** The desired properties are said to be otherwise: however often, one look is enough. */
  readonly patched = (): void => {
    this.#lookAt = Math.min(this.#lookAt, this.#clock.now() + this.#timing.debounce);
    this.#wake.resolve();
  };

  /** Something else may be to be reported. */
  readonly wantedChanged = (): void => this.#wake.resolve();

  /**
   * Until the signal ends it, or the connection does.
   * @returns why it ended
   * @throws Fault: a request was not answered; the connection is of no use any more
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
        const now = this.#clock.now();
        const patch = this.#known && now >= this.#reportAt ? this.#patch(this.#known) : undefined;
        if (now >= this.#lookAt) await this.#look(hub);
        else if (patch) await this.#report(hub, patch);
        else await this.#rest(signal);
      }
      return over ?? 'ended';
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }

  async #rest(signal: AbortSignal): Promise<void> {
    const now = this.#clock.now();
    const next = this.#reportAt > now ? Math.min(this.#lookAt, this.#reportAt) : this.#lookAt;
    const over = new AbortController();
    await Promise.race([
      this.#clock.sleep(Math.max(0, next - now), AbortSignal.any([signal, over.signal])),
      this.#wake.promise,
    ]);
    over.abort();
    this.#wake = Promise.withResolvers();
  }

  async #look(hub: Hub): Promise<void> {
    this.#lookAt = this.#clock.now() + this.#timing.resync;
    try {
      const { desired, reported } = await hub.twin();
      this.#known = reportedOf(reported);
      this.#failures = 0;
      const found = desiredOf(desired);
      if (found) await this.#standing.take(found);
      else if (!this.#silent) {
        this.#log.warn({}, 'edgeHub does not know the desired properties now; what was in force stays so');
      }
      this.#silent = found === undefined;
      this.onLook();
    } catch (error) {
      this.#lookAt = this.#clock.now() + this.#again(error, 'the twin could not be looked up');
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
          'edgeHub refuses what the layer reports; it waits for something else',
        );
        return;
      }
      this.#reportAt = this.#clock.now() + this.#again(error, 'the layer could not be reported');
    }
  }

  /** @returns how long to wait before the next attempt, in ms. @throws what ends the connection */
  #again(error: unknown, what: string): number {
    if (statusOf(error) === undefined) throw error;
    this.#failures += 1;
    const ms = pauseAfter(this.#failures, this.#timing);
    this.#log.warn({ reason: (error as Error).message, ms }, `${what}; trying again`);
    return ms;
  }

  #patch(known: Properties): Properties | undefined {
    if (!this.#standing.wanted) return undefined;
    const { fields, complaints } = admissible(withoutNulls(this.#standing.wanted));
    const said = complaints.join('; ');
    if (said !== this.#complained && said)
      this.#log.error({ complaints }, 'a twin does not take all that is reported');
    this.#complained = said;
    const patch = difference(known, fields);
    return patch && JSON.stringify(patch) !== this.#refused ? patch : undefined;
  }
}

/** The answer's status; undefined where there was none. */
const statusOf = (error: unknown): number | undefined =>
  error instanceof Fault && typeof error.detail?.status === 'number' ? error.detail.status : undefined;

/** As the twin merges a patch. */
function merge(known: Properties, patch: Properties): Properties {
  const merged = { ...known };
  for (const [key, value] of Object.entries(patch)) {
    const before = merged[key];
    merged[key] =
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? merge(
            (typeof before === 'object' && before !== null ? before : {}) as Properties,
            value as Properties,
          )
        : value;
  }
  return merged;
}
