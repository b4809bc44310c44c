import type { Log } from '#proto/contract/log.ts';
import type { TrustProvider } from '#proto/iot-edge/workload.ts';

/** How long a bundle is cached, in ms. A device's trust changes only when it is reconfigured. */
const CACHE_MS = 5 * 60_000;
/** Wait after a failed poll, in ms. */
const RETRY_MS = 30_000;
/** Max time of a poll, in ms. */
const TIMEOUT_MS = 20_000;

/** Certificates (PEM) to trust, of now. */
export interface TrustSource {
  get(): Promise<string | undefined>;
}

/**
 * Certificates (PEM) that the device of this module trusts, among them the issuers of the certificate of the device
 * above. Polled on use, when the last poll is older than `CACHE_MS`. While the daemon is unavailable, the last known
 * bundle stays in use. Before the first one, only the certificates that the machine trusts apply.
 */
export class TrustBundle implements TrustSource {
  readonly #workload: TrustProvider;
  readonly #log: Log;
  readonly #now: () => number;
  #known: string | undefined;
  #next = Number.NEGATIVE_INFINITY;
  #polling: Promise<void> | undefined;

  constructor(workload: TrustProvider, log: Log, now = () => performance.now()) {
    this.#workload = workload;
    this.#log = log;
    this.#now = now;
  }

  async get(): Promise<string | undefined> {
    if (this.#now() >= this.#next) {
      this.#polling ??= this.#poll().finally(() => {
        this.#polling = undefined;
      });
      await this.#polling;
    }
    return this.#known;
  }

  async #poll(): Promise<void> {
    try {
      this.#known = await this.#workload.trustBundle(AbortSignal.timeout(TIMEOUT_MS));
      this.#next = this.#now() + CACHE_MS;
    } catch (err) {
      this.#next = this.#now() + RETRY_MS;
      this.#log.warn({ err }, "failed to get the device's trust bundle; the last known one stays in use");
    }
  }
}
