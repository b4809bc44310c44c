import { backoffMs } from '#proto/async/backoff.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { storageStarted } from '#proto/content/content-events.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import type { AccountCache } from './account-cache.ts';
import type { Session } from './sessions.ts';

/** Max sessions that storage could not record as ended yet. */
const MAX_UNRECORDED = 1_000;
const RETRY = { firstMs: 1_000, maxMs: 60_000 };

type LogoutsDeps = { bus: Bus; accounts: AccountCache; log: Log };

/**
 * Sessions that their owners end. Storage records them for all gateways; while it can not, as its volume is full or it
 * is being started again, they are over in this process, and are recorded later.
 */
export class Logouts {
  readonly #deps: LogoutsDeps;
  readonly #unrecorded = new BoundedMap<Session>(MAX_UNRECORDED);
  #timer: NodeJS.Timeout | undefined;
  /** In a row. */
  #failures = 0;

  constructor(deps: LogoutsDeps) {
    this.#deps = deps;
    deps.bus.onInvalidation(storageStarted, () => void this.#retry());
  }

  /**
   * @returns false if it was ended before
   * @throws Fault `unavailable`, `no-space`: the session is over in this process only
   */
  async end(session: Session): Promise<boolean> {
    try {
      if (await this.isEnded(session)) return false;
      await this.#record(session);
      return true;
    } catch (err) {
      this.#unrecorded.set(session.id, session);
      this.#retryLater(err);
      throw err;
    }
  }

  /** Synchronously if it is known. @throws Fault `unavailable` */
  isEnded({ id }: Session): boolean | Promise<boolean> {
    return this.#unrecorded.has(id) || this.#deps.accounts.isSessionEnded(id);
  }

  async #record(session: Session): Promise<void> {
    await this.#deps.accounts.endSession(session);
    this.#unrecorded.delete(session.id);
  }

  async #retry(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      for (const [, session] of this.#unrecorded.entries()) await this.#record(session);
      this.#failures = 0;
    } catch (err) {
      this.#retryLater(err);
    }
  }

  #retryLater(err: unknown): void {
    if (this.#timer) return;
    this.#failures += 1;
    const waitMs = Math.round(backoffMs(this.#failures, RETRY));
    const message = 'failed to record a logout: until it is, other gateways may take the session';
    this.#deps.log.warn({ err, count: this.#unrecorded.size, waitMs }, message);
    this.#timer = setTimeout(() => void this.#retry(), waitMs).unref();
  }
}
