import { createHash, randomUUID } from 'node:crypto';
import type { Bus } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { LEASE_MS, lease } from '#proto/status/status.ts';
import { type Clocks, Elapsed } from '../leadership/elapsed.ts';
import { MARGIN_MS } from '../leadership/lease.ts';

const RENEW_MS = LEASE_MS / 4;

/**
 * One transfer at a time sends a blob to a repository of the parent: two that wrote into one session would spoil it.
 * A lease on the bus that ends by itself, so what a killed process sent is gone on with soon after. Where the bus
 * forgot it two may send for a moment: the parent checks the digest, so that costs bytes only.
 */
export class UploadHold implements AsyncDisposable {
  readonly #bus: Bus;
  readonly #key: string;
  readonly #holder: string;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #clocks: Clocks | undefined;
  #revision: number;
  /** When the last renewal that was answered was asked for. */
  #renewed: Elapsed;
  #renewing: Promise<void> | undefined;

  /** @returns undefined where another one has it */
  static async take(
    bus: Bus,
    by: string,
    repository: Repository,
    digest: Digest,
    clocks?: Clocks,
  ): Promise<UploadHold | undefined> {
    const name = createHash('sha256').update(`${repository}!${digest}`).digest('hex');
    const key = `upload.${name.slice(0, 40)}`;
    const holder = `${by} ${randomUUID()}`;
    const asked = new Elapsed(clocks);
    const revision = await bus.swap(lease, key, { holder }, 0);
    return revision === undefined ? undefined : new UploadHold(bus, key, holder, revision, asked, clocks);
  }

  private constructor(
    bus: Bus,
    key: string,
    holder: string,
    revision: number,
    asked: Elapsed,
    clocks: Clocks | undefined,
  ) {
    this.#bus = bus;
    this.#key = key;
    this.#holder = holder;
    this.#revision = revision;
    this.#renewed = asked;
    this.#clocks = clocks;
    this.#timer = setInterval(() => void this.#renew().catch(() => {}), RENEW_MS);
  }

  /** Aborts with a Fault `claim-lost`. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * To be called before each request: one that was paused writes into no session that another one goes on with. What
   * it may ask for in a moment between is a piece from an offset that is not the session's end any more: a parent that
   * does not refuse it has a wrong blob at the end, which its digest shows.
   * @throws Fault `claim-lost`
   */
  async ensureHeld(): Promise<void> {
    if (this.#renewed.ms >= LEASE_MS - MARGIN_MS) await this.#renew().catch(() => {});
    this.signal.throwIfAborted();
  }

  /** One at a time: two would each take the other's entry for somebody else's. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#renewNow().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  /** Silence of the bus is not loss. */
  async #renewNow(): Promise<void> {
    const asked = new Elapsed(this.#clocks);
    const mine = { holder: this.#holder };
    const next = await this.#bus.swap(lease, this.#key, mine, this.#revision);
    if (next !== undefined) {
      this.#revision = next;
      this.#renewed = asked;
      return;
    }
    const found = await this.#bus.get(lease, this.#key);
    const again =
      found && found.value.holder !== this.#holder
        ? undefined
        : await this.#bus.swap(lease, this.#key, mine, found?.revision ?? 0);
    if (again === undefined) this.#lost.abort(new Fault('claim-lost', 'another syncer sends this blob'));
    else {
      this.#revision = again;
      this.#renewed = asked;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#lost.signal.aborted) await this.#bus.remove(lease, this.#key).catch(() => {});
  }
}
