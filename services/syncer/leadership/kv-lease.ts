import type { Bus } from '#proto/bus/bus.ts';
import { LEASE_MS, lease } from '#proto/status/status.ts';
import { CLOCKS, type Clocks, Elapsed } from './elapsed.ts';
import { heldEntriesOf } from './held-entries.ts';

/** Nothing that needs a lease begins in this last part of it, in ms: a request takes time to arrive. */
const MARGIN_MS = 1_000;

/**
 * A lease: an entry of a key-value bucket on the bus, which expires `LEASE_MS` after its last write. Its holder writes
 * it again in time, and gives it up by its own clock if no write succeeded for that long. No answer of the bus is not a
 * loss. After a pause, two holders may both believe for a moment that they have it.
 */
export class KvLease {
  readonly #bus: Pick<Bus, 'get' | 'swap' | 'remove'>;
  readonly #key: string;
  readonly #holder: string;
  readonly #clocks: Clocks;
  #revision: number | undefined;
  /** Time since the request of the last write that was answered. */
  #renewed: Elapsed;

  /** @param holder of this lease alone: an entry with it counts as written by this object */
  constructor(bus: Pick<Bus, 'get' | 'swap' | 'remove'>, key: string, holder: string, clocks = CLOCKS) {
    this.#bus = bus;
    this.#key = key;
    this.#holder = holder;
    this.#clocks = clocks;
    this.#renewed = new Elapsed(clocks);
  }

  /** Whether the entry may have expired, by this process' clock. */
  get isExpired(): boolean {
    return this.#renewed.ms > LEASE_MS;
  }

  /** Whether the lease is lost or may have expired. */
  get ended(): boolean {
    return this.#revision === undefined || this.isExpired;
  }

  /** Whether no other holder can have the lease now, nor within `MARGIN_MS`. */
  get holds(): boolean {
    return this.#revision !== undefined && this.#renewed.ms < LEASE_MS - MARGIN_MS;
  }

  /** Acquires the lease if nobody holds it. @returns whether it is held. @throws Fault if the bus does not answer */
  acquire(): Promise<boolean> {
    return this.#write(async () => (await this.#swap(0)) ?? this.#replace());
  }

  /** Acquires or renews the lease. @returns whether it is held. @throws Fault if the bus does not answer: no change */
  renew(): Promise<boolean> {
    return this.#write(async () => {
      const next = this.#revision === undefined ? undefined : await this.#swap(this.#revision);
      if (next !== undefined) return next;
      return this.#replace();
    });
  }

  /**
   * Replaces an entry that is missing, as the store of the bus may have been lost and created again, one that is this
   * holder's, as the answer to its write may have been lost, and one that should have expired.
   */
  async #replace(): Promise<number | undefined> {
    const current = await this.#bus.get(lease, this.#key);
    if (!current || current.value.holder === this.#holder) return this.#swap(current?.revision ?? 0);
    const isStuck = heldEntriesOf(this.#bus).isStuck(this.#key, current.revision, this.#clocks.monotonic());
    return isStuck ? this.#swap(current.revision) : undefined;
  }

  /** It counts as lost until it is renewed. */
  drop(): void {
    this.#revision = undefined;
  }

  /** Removes the entry. @throws Fault if the bus does not answer: it expires by itself */
  async remove(): Promise<void> {
    await this.#bus.remove(lease, this.#key);
  }

  async #write(write: () => Promise<number | undefined>): Promise<boolean> {
    const requested = new Elapsed(this.#clocks);
    this.#revision = await write();
    if (this.#revision === undefined) return false;
    this.#renewed = requested;
    return true;
  }

  /** @returns the new revision; undefined if the entry has another one (0: if there is one) */
  #swap(revision: number): Promise<number | undefined> {
    return this.#bus.swap(lease, this.#key, { holder: this.#holder }, revision);
  }
}
