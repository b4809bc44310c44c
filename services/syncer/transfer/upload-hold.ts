import { createHash, randomUUID } from 'node:crypto';
import type { Bus } from '#proto/bus.ts';
import { Fault } from '#proto/fault.ts';
import type { Digest, Repository } from '#proto/names.ts';
import { LEASE_MS, lease } from '#proto/status.ts';

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
  #revision: number;

  /** @returns undefined where another one has it */
  static async take(
    bus: Bus,
    by: string,
    repository: Repository,
    digest: Digest,
  ): Promise<UploadHold | undefined> {
    const name = createHash('sha256').update(`${repository}!${digest}`).digest('hex');
    const key = `upload.${name.slice(0, 40)}`;
    const holder = `${by} ${randomUUID()}`;
    const revision = await bus.swap(lease, key, { holder }, 0);
    return revision === undefined ? undefined : new UploadHold(bus, key, holder, revision);
  }

  private constructor(bus: Bus, key: string, holder: string, revision: number) {
    this.#bus = bus;
    this.#key = key;
    this.#holder = holder;
    this.#revision = revision;
    this.#timer = setInterval(() => void this.#renew().catch(() => {}), RENEW_MS);
  }

  /** Aborts with a Fault `claim-lost`. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Silence of the bus is not loss. */
  async #renew(): Promise<void> {
    const mine = { holder: this.#holder };
    const next = await this.#bus.swap(lease, this.#key, mine, this.#revision);
    if (next !== undefined) {
      this.#revision = next;
      return;
    }
    const found = await this.#bus.get(lease, this.#key);
    const again =
      found && found.value.holder !== this.#holder
        ? undefined
        : await this.#bus.swap(lease, this.#key, mine, found?.revision ?? 0);
    if (again === undefined) this.#lost.abort(new Fault('claim-lost', 'another syncer sends this blob'));
    else this.#revision = again;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#lost.signal.aborted) await this.#bus.remove(lease, this.#key).catch(() => {});
  }
}
