import { createHash, randomUUID } from 'node:crypto';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { LEASE_MS } from '#proto/status/status.ts';
import type { Clocks } from '../leadership/elapsed.ts';
import { KvLease } from '../leadership/kv-lease.ts';

const RENEW_MS = LEASE_MS / 4;

/**
 * A lease by which one transfer at a time sends a blob to a repository of the parent: two that write into one session
 * would corrupt it. It expires by itself, so that another process soon resumes the upload of a killed one. If the bus
 * loses the lease, two may send for a moment: the parent checks the digest, so that costs only bytes.
 */
export class UploadLease implements AsyncDisposable {
  readonly #lease: KvLease;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #renewing: Promise<void> | undefined;

  /** @returns undefined if another transfer has the lease */
  static async acquire(
    bus: Bus,
    by: string,
    repository: Repository,
    digest: Digest,
    clocks?: Clocks,
  ): Promise<UploadLease | undefined> {
    const name = createHash('sha256').update(`${repository}!${digest}`).digest('hex');
    const key = `upload.${name.slice(0, 40)}`;
    const lease = new KvLease(bus, key, `${by} ${randomUUID()}`, clocks);
    return (await lease.acquire()) ? new UploadLease(lease) : undefined;
  }

  private constructor(lease: KvLease) {
    this.#lease = lease;
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
    this.signal.throwIfAborted();
    if (!this.#lease.holds) await this.#renew().catch(() => {});
    this.signal.throwIfAborted();
  }

  /** At most one renewal at a time: with two, one could mistake the other's new revision for another holder's. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewNow().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renewNow(): Promise<void> {
    if (!(await this.#lease.renew())) {
      this.#lost.abort(new Fault('claim-lost', 'another syncer sends this blob'));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#lost.signal.aborted) await this.#lease.remove().catch(() => {});
  }
}
