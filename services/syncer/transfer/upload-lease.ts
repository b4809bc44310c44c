import { createHash, randomUUID } from 'node:crypto';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { LEASE_MS, lease } from '#proto/status/status.ts';
import { type Clocks, Elapsed } from '../leadership/elapsed.ts';
import { MARGIN_MS } from '../leadership/lease.ts';

const RENEW_MS = LEASE_MS / 4;

/**
 * A lease on the bus by which one transfer at a time sends a blob to a repository of the parent: two that write into
 * one session would corrupt it. The lease expires by itself, so that another process soon resumes the upload of a
 * killed one. If the bus loses the lease, two may send for a moment: the parent checks the digest, so that costs only
 * bytes.
 */
export class UploadLease implements AsyncDisposable {
  readonly #bus: Bus;
  readonly #key: string;
  readonly #holder: string;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #clocks: Clocks | undefined;
  #revision: number;
  /** Time since the last answered renewal was requested. */
  #renewed: Elapsed;
  #renewing: Promise<void> | undefined;

  /** @returns undefined if another transfer has the lease */
  static async take(
    bus: Bus,
    by: string,
    repository: Repository,
    digest: Digest,
    clocks?: Clocks,
  ): Promise<UploadLease | undefined> {
    const name = createHash('sha256').update(`${repository}!${digest}`).digest('hex');
    const key = `upload.${name.slice(0, 40)}`;
    const holder = `${by} ${randomUUID()}`;
    const requested = new Elapsed(clocks);
    const revision = await bus.swap(lease, key, { holder }, 0);
    return revision === undefined
      ? undefined
      : new UploadLease(bus, key, holder, revision, requested, clocks);
  }

  private constructor(
    bus: Bus,
    key: string,
    holder: string,
    revision: number,
    requested: Elapsed,
    clocks: Clocks | undefined,
  ) {
    this.#bus = bus;
    this.#key = key;
    this.#holder = holder;
    this.#revision = revision;
    this.#renewed = requested;
    this.#clocks = clocks;
    this.#timer = setInterval(() => void this.#renew().catch(() => {}), RENEW_MS);
  }

  /** Aborts with a Fault `claim-lost`. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * To be called before each request, so that a transfer that was paused does not write into a session that another one
   * continues. A request that slips through begins at an offset that is no longer the session's end: if the parent
   * does not refuse it, the blob is wrong at the end, which its digest shows.
   * @throws Fault `claim-lost`
   */
  async ensureHeld(): Promise<void> {
    if (this.#renewed.ms >= LEASE_MS - MARGIN_MS) await this.#renew().catch(() => {});
    this.signal.throwIfAborted();
  }

  /** At most one renewal at a time: with two, one could mistake the other's new revision for another holder's. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewNow().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** No answer of the bus is not a loss of the lease. */
  async #renewNow(): Promise<void> {
    const requested = new Elapsed(this.#clocks);
    const entry = { holder: this.#holder };
    const next = await this.#bus.swap(lease, this.#key, entry, this.#revision);
    if (next !== undefined) {
      this.#revision = next;
      this.#renewed = requested;
      return;
    }
    const current = await this.#bus.get(lease, this.#key);
    const retried =
      current && current.value.holder !== this.#holder
        ? undefined
        : await this.#bus.swap(lease, this.#key, entry, current?.revision ?? 0);
    if (retried === undefined) this.#lost.abort(new Fault('claim-lost', 'another syncer sends this blob'));
    else {
      this.#revision = retried;
      this.#renewed = requested;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#lost.signal.aborted) await this.#bus.remove(lease, this.#key).catch(() => {});
  }
}
