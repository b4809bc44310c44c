import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '#proto/bus/bus.ts';
import type { StateReader, StateWriter } from '#proto/bus/roles.ts';
import { COORDINATOR_KEY, LEASE_MS, lease } from '#proto/status/status.ts';
import { type Clocks, Elapsed } from './elapsed.ts';

/** Interval of renewals, in ms. An unanswered renewal and its retry both fit into the lease. */
const RENEW_MS = 0.4 * LEASE_MS;
/** Nothing that needs the lease begins in this last part of it, in ms: a request takes time to arrive. */
export const MARGIN_MS = 1_000;

/** Knows whether this process holds the coordinator lease. */
export interface LeaseHolder {
  readonly holds: boolean;
}

/**
 * The coordinator lease: a state on the bus that expires after `LEASE_MS`. The holder renews it, and gives it up by its
 * own clock if no renewal succeeded for that time. After a pause, two processes may both believe for a moment that they
 * hold it; storage refuses the requests of the earlier holder by their term.
 */
export class Lease implements LeaseHolder {
  readonly #bus: StateReader & StateWriter;
  readonly #holder: string;
  readonly #log: Log;
  readonly #onChange: (held: boolean) => void;
  readonly #clocks: Clocks | undefined;
  #revision: number | undefined;
  /** Time since the request of the last renewal that was answered. */
  #renewed: Elapsed;
  #wake = new AbortController();

  /** @param onChange called on each gain and loss */
  constructor(
    bus: StateReader & StateWriter,
    holder: string,
    log: Log,
    onChange: (held: boolean) => void,
    clocks?: Clocks,
  ) {
    this.#bus = bus;
    this.#holder = holder;
    this.#log = log;
    this.#onChange = onChange;
    this.#clocks = clocks;
    this.#renewed = new Elapsed(clocks);
  }

  /** Whether the lease is lost or, by this process' clock, expired. */
  get ended(): boolean {
    return this.#revision === undefined || this.#renewed.ms > LEASE_MS;
  }

  /** Whether no other process can hold the lease now, nor within `MARGIN_MS`. */
  get holds(): boolean {
    return this.#revision !== undefined && this.#renewed.ms < LEASE_MS - MARGIN_MS;
  }

  /** Another process seems to hold the lease: it counts as lost, and `keep` asks the bus at once. */
  invalidate(): void {
    this.#lose();
    this.#wake.abort();
  }

  /** Acquires and renews the lease until `signal` aborts, then releases it. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.renew();
      this.#wake = new AbortController();
      const either = AbortSignal.any([signal, this.#wake.signal]);
      await sleep(RENEW_MS * (0.95 + Math.random() * 0.1), undefined, { signal: either }).catch(() => {});
    }
    if (this.#revision === undefined) return;
    this.#revision = undefined;
    this.#onChange(false);
    // After that time, the entry may belong to another process.
    if (this.#renewed.ms < LEASE_MS) await this.#bus.remove(lease, COORDINATOR_KEY).catch(() => {});
  }

  /** Acquires or renews the lease. If the bus does not answer, nothing changes. */
  async renew(): Promise<void> {
    // Once expired, another process may have held it meanwhile, even if it is free now.
    if (this.ended) this.#lose();
    const requested = new Elapsed(this.#clocks);
    try {
      const revision = await this.#swap();
      if (revision === undefined) this.#lose();
      else this.#gain(revision, requested);
    } catch (err) {
      this.#log.debug({ err }, 'the lease could not be renewed');
    }
  }

  #gain(revision: number, requested: Elapsed): void {
    const before = this.#revision;
    this.#revision = revision;
    this.#renewed = requested;
    if (before !== undefined) return;
    this.#log.info({}, 'coordinator of this layer');
    this.#onChange(true);
  }

  #lose(): void {
    if (this.#revision === undefined) return;
    this.#revision = undefined;
    this.#log.warn({}, 'no longer the coordinator');
    this.#onChange(false);
  }

  /** @returns the new revision; undefined if another process holds the lease */
  async #swap(): Promise<number | undefined> {
    const value = { holder: this.#holder };
    const next =
      this.#revision === undefined
        ? undefined
        : await this.#bus.swap(lease, COORDINATOR_KEY, value, this.#revision);
    if (next !== undefined) return next;
    // The store of the bus may have been lost and created again, or the answer to our own write was lost.
    const current = await this.#bus.get(lease, COORDINATOR_KEY);
    if (current && current.value.holder !== this.#holder) return undefined;
    return this.#bus.swap(lease, COORDINATOR_KEY, value, current?.revision ?? 0);
  }
}
