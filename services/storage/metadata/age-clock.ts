import type { Log } from '#proto/contract/log.ts';
import { type Metadata, put } from './metadata.ts';

/**
 * Max age that is added for the time in which storage did not run, in ms: nothing proves more. Less than the time for
 * which a client's upload is retained by default.
 */
export const MAX_OFF_MS = 6 * 60 * 60_000;
/** Interval at which it is stored, in ms. What a crash loses of it counts as time in which storage did not run. */
const STORE_MS = 10 * 60_000;

export type AgeClockDeps = {
  metadata: Pick<Metadata, 'age' | 'writeUnsynced'>;
  /** Wall clock, in ms since 1970. */
  now: () => number;
  /** Monotonic clock, in ms. */
  running: () => number;
  log: Log;
};

/**
 * The clock by which content ages, in ms. It begins with the wall clock, and then runs with the monotonic one: a
 * machine without a battery starts in 1970 and is set decades ahead, or back, and nothing may be deleted for that. Over
 * a stop of storage it advances as the wall clock did, by `MAX_OFF_MS` at most.
 */
export class AgeClock implements AsyncDisposable {
  readonly #deps: AgeClockDeps;
  readonly #offset: number;
  readonly #timer: NodeJS.Timeout;

  static async open(deps: AgeClockDeps): Promise<AgeClock> {
    const { metadata, now } = deps;
    const stored = await metadata.age();
    const off = stored ? Math.min(MAX_OFF_MS, Math.max(0, now() - stored.wall)) : 0;
    return new AgeClock(deps, stored ? stored.age + off : now());
  }

  private constructor(deps: AgeClockDeps, begin: number) {
    this.#deps = deps;
    this.#offset = begin - deps.running();
    this.#timer = setInterval(() => void this.store(), STORE_MS).unref();
  }

  readonly now = (): number => Math.round(this.#offset + this.#deps.running());

  /** When something of this age happened, by the wall clock. */
  wallOf(instant: number): number {
    return Math.max(0, this.#deps.now() - (this.now() - instant));
  }

  async store(): Promise<void> {
    const { metadata, now, log } = this.#deps;
    await metadata
      .writeUnsynced(put.age({ age: this.now(), wall: now() }))
      .catch((err) => log.debug({ err }, 'the age of the content could not be stored; retrying'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.store();
  }
}
