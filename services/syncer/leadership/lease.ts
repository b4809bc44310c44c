import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#proto/bus/bus.ts';
import type { StateReader, StateWriter } from '#proto/bus/roles.ts';
import { COORDINATOR_KEY, LEASE_MS } from '#proto/status/status.ts';
import type { Clocks } from './elapsed.ts';
import { KvLease } from './kv-lease.ts';

/** Interval of renewals, in ms. An unanswered renewal and its retry both fit into the lease. */
const RENEW_MS = 0.4 * LEASE_MS;

/** Knows whether this process holds the coordinator lease. */
export interface LeaseHolder {
  readonly holds: boolean;
}

/**
 * The coordinator lease. While two processes believe that they hold it, storage refuses the requests of the earlier
 * holder by their term.
 */
export class CoordinatorLease implements LeaseHolder {
  readonly #lease: KvLease;
  readonly #log: Log;
  readonly #onChange: (held: boolean) => void;
  /** As last reported. */
  #held = false;
  #wake = new AbortController();

  /** @param onChange called on each gain and loss */
  constructor(
    bus: StateReader & StateWriter,
    holder: string,
    log: Log,
    onChange: (held: boolean) => void,
    clocks?: Clocks,
  ) {
    this.#lease = new KvLease(bus, COORDINATOR_KEY, holder, clocks);
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Whether the lease is lost or, by this process' clock, expired. */
  get ended(): boolean {
    return this.#lease.ended;
  }

  /** Whether no other process can hold the lease now, nor soon. */
  get holds(): boolean {
    return this.#lease.holds;
  }

  /** Another process seems to hold the lease: it counts as lost, and `keep` asks the bus at once. */
  invalidate(): void {
    this.#lose();
    this.#wake.abort();
  }

  /** Acquires and renews the lease until `signal` aborts, then releases it. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      // Set before the request: an invalidation during it causes another one at once.
      const wake = new AbortController();
      this.#wake = wake;
      await this.renew();
      const either = AbortSignal.any([signal, wake.signal]);
      await sleep(RENEW_MS * (0.95 + Math.random() * 0.1), undefined, { signal: either }).catch(() => {});
    }
    if (!this.#held) return;
    this.#held = false;
    this.#lease.drop();
    this.#onChange(false);
    // An expired entry may belong to another process by now.
    if (!this.#lease.isExpired) await this.#lease.remove().catch(() => {});
  }

  /** Acquires or renews the lease. If the bus does not answer, nothing changes. */
  async renew(): Promise<void> {
    // Once expired, another process may have held it meanwhile, even if it is free now.
    if (this.ended) this.#lose();
    try {
      if (await this.#lease.renew()) this.#gain();
      else this.#lose();
    } catch (err) {
      this.#log.debug({ err }, 'the lease could not be renewed');
    }
  }

  #gain(): void {
    if (this.#held) return;
    this.#held = true;
    this.#log.info({}, 'coordinator of this layer');
    this.#onChange(true);
  }

  #lose(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#lease.drop();
    this.#log.warn({}, 'no longer the coordinator');
    this.#onChange(false);
  }
}
