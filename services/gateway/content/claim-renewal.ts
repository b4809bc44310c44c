import type { Bus, Log } from '#proto/bus/bus.ts';
import { type Claim, discardIngest, releaseClaim, renewClaim } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';

/**
 * A claim that is renewed while this object lives, even if bytes arrive slowly. `signal` aborts when the claim is lost:
 * nothing may be written after that. Leaving the scope releases the claim in every case.
 */
export class ClaimRenewal implements AsyncDisposable {
  readonly claim: Claim;
  readonly signal: AbortSignal;
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  readonly #lost = new AbortController();
  #ended = false;
  #renewing = false;
  #renewedAt: number;

  /** @param renewedAt when the claim was requested, or last renewed, in ms of `performance.now` */
  constructor(bus: Bus, claim: Claim, renewMs: number, log: Log, renewedAt = performance.now()) {
    this.claim = claim;
    this.signal = this.#lost.signal;
    this.#bus = bus;
    this.#log = log;
    this.#renewedAt = renewedAt;
    this.#timer = setInterval(() => void this.#renew(), renewMs).unref();
  }

  /** When the last successful renewal was requested: the claim lasts for its TTL from then on, or longer. */
  get renewedAt(): number {
    return this.#renewedAt;
  }

  get #reference() {
    return { id: this.claim.id, claim: this.claim.claim };
  }

  async #renew(): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    const requestedAt = performance.now();
    try {
      await this.#bus.call(renewClaim, this.#reference);
      this.#renewedAt = requestedAt;
    } catch (error) {
      // An outage of storage does not mean that the claim is lost.
      if (Fault.is(error, 'claim-lost', 'upload-unknown') && !this.#ended) this.#lost.abort(error);
    } finally {
      this.#renewing = false;
    }
  }

  /** Storage has committed the ingest, and its claim ended with it. */
  committed(): void {
    this.end();
  }

  /**
   * Releases the claim. Only after that is the written content certain to count. @throws Fault `claim-lost`,
   * `unavailable`
   */
  async release(): Promise<void> {
    this.end();
    await this.#bus.call(releaseClaim, this.#reference);
  }

  /** Discards the written content. A failure is only logged: it leaves an abandoned upload. */
  async discard(): Promise<void> {
    this.end();
    await this.#bus
      .call(discardIngest, this.#reference)
      .catch((err) => this.#logFailure(err, 'cannot discard an upload'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    await this.release().catch((err) => this.#logFailure(err, 'cannot release a claim'));
  }

  /** Ends the renewal. */
  protected end(): void {
    this.#ended = true;
    clearInterval(this.#timer);
  }

  #logFailure(err: unknown, message: string): void {
    if (Fault.is(err, 'claim-lost', 'upload-unknown')) return;
    this.#log.warn({ err, upload: this.claim.id }, message);
  }
}
