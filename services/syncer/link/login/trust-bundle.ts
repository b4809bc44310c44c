import type { Log } from '#proto/contract/log.ts';
import type { Workload } from '#proto/iot-edge/workload.ts';

/** A device's trust changes when somebody configures it, in ms. */
const KEPT_MS = 5 * 60_000;
const ASK_AGAIN_MS = 30_000;
const ASK_MS = 20_000;

/**
 * Certificates (PEM) that the device of this module trusts: those that the device above has its own from are among
 * them. Asked for now and then; what was known last counts while the daemon is away, and nothing more than what the
 * machine trusts before it was there.
 */
export class TrustBundle {
  readonly #workload: Pick<Workload, 'trustBundle'>;
  readonly #log: Log;
  readonly #now: () => number;
  #known: string | undefined;
  #next = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(workload: Pick<Workload, 'trustBundle'>, log: Log, now = () => performance.now()) {
    this.#workload = workload;
    this.#log = log;
    this.#now = now;
  }

  async get(): Promise<string | undefined> {
    if (this.#now() >= this.#next) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
      await this.#asking;
    }
    return this.#known;
  }

  async #ask(): Promise<void> {
    try {
      this.#known = await this.#workload.trustBundle(AbortSignal.timeout(ASK_MS));
      this.#next = this.#now() + KEPT_MS;
    } catch (err) {
      this.#next = this.#now() + ASK_AGAIN_MS;
      this.#log.warn({ err }, "the device's trust bundle is not to be had; what was known before counts");
    }
  }
}
