import type { Bus, Log } from '#proto/bus/bus.ts';
import { type Claim, discardIngest, releaseClaim, renewClaim } from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';

/**
 * A claim, renewed as long as this object lives, however slowly the bytes come. `signal` aborts when the claim is
 * lost: then nothing more may be written. Leaving the scope gives the claim back, whatever happened.
 */
export class ClaimRenewal implements AsyncDisposable {
  readonly claim: Claim;
  readonly signal: AbortSignal;
  readonly #bus: Bus;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  readonly #lost = new AbortController();
  #over = false;
  #renewing = false;

  constructor(bus: Bus, claim: Claim, renewMs: number, log: Log) {
    this.claim = claim;
    this.signal = this.#lost.signal;
    this.#bus = bus;
    this.#log = log;
    this.#timer = setInterval(() => void this.#renew(), renewMs).unref();
  }

  get #held() {
    return { id: this.claim.id, claim: this.claim.claim };
  }

  async #renew(): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    try {
      await this.#bus.call(renewClaim, this.#held);
    } catch (error) {
      // A storage that is away for a moment says nothing about the claim.
      if (Fault.is(error, 'claim-lost', 'upload-unknown') && !this.#over) this.#lost.abort(error);
    } finally {
      this.#renewing = false;
    }
  }

  /** The claim went with the ingest: storage has committed it. */
  spent(): void {
    this.#end();
  }

  /** Gives the claim back: only then is what was written sure to count. @throws Fault `claim-lost`, `unavailable` */
  async release(): Promise<void> {
    this.#end();
    await this.#bus.call(releaseClaim, this.#held);
  }

  /** Throws away what was written. Fails only into the log: what stays is an upload that nobody goes on with. */
  async discard(): Promise<void> {
    this.#end();
    await this.#bus
      .call(discardIngest, this.#held)
      .catch((err) => this.#tell(err, 'an upload stays for now'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return;
    await this.release().catch((err) => this.#tell(err, 'a claim was not given back'));
  }

  #end(): void {
    this.#over = true;
    clearInterval(this.#timer);
  }

  #tell(err: unknown, message: string): void {
    if (Fault.is(err, 'claim-lost', 'upload-unknown')) return;
    this.#log.warn({ err, upload: this.claim.id }, message);
  }
}
