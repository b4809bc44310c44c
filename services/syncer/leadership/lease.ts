import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { COORDINATOR_KEY, LEASE_MS, lease } from '#proto/status/status.ts';
import { type Clocks, Elapsed } from './elapsed.ts';

/** So that a renewal that storage never answered, and the one after it, have their time within the lease. */
const RENEW_MS = 0.4 * LEASE_MS;
/** Nothing begins so shortly before the lease may end: it needs time to arrive, too. In ms. */
export const MARGIN_MS = 1_000;

/**
 * The lease of the coordinator: a state entry that ends by itself. Whoever has it renews it, and gives it up by its
 * own clock when it could not for as long as it lasts. Two may believe for a moment that they have it, where one of
 * them was paused: what the one before still asks of storage is refused by its term.
 */
export class Lease {
  readonly #bus: Pick<Bus, 'get' | 'swap' | 'remove'>;
  readonly #holder: string;
  readonly #log: Log;
  readonly #tell: (held: boolean) => void;
  readonly #clocks: Clocks | undefined;
  #revision: number | undefined;
  /** When the last renewal that was answered was asked for. */
  #renewed: Elapsed;
  #nudge = new AbortController();

  /** @param tell is told each change */
  constructor(
    bus: Pick<Bus, 'get' | 'swap' | 'remove'>,
    holder: string,
    log: Log,
    tell: (held: boolean) => void,
    clocks?: Clocks,
  ) {
    this.#bus = bus;
    this.#holder = holder;
    this.#log = log;
    this.#tell = tell;
    this.#clocks = clocks;
    this.#renewed = new Elapsed(clocks);
  }

  /** Whether it was lost, or is about to be found lost: its time is over. */
  get ended(): boolean {
    return this.#revision === undefined || this.#renewed.ms > LEASE_MS;
  }

  /** Whether nobody else can have it now, and for a moment to come. */
  get holds(): boolean {
    return this.#revision !== undefined && this.#renewed.ms < LEASE_MS - MARGIN_MS;
  }

  /** Somebody else seems to have it: it counts as lost until the bus says otherwise, which is asked at once. */
  invalidate(): void {
    this.#lose();
    this.#nudge.abort();
  }

  /** Tries to get it and to keep it for as long as `signal` lets it; then gives it back. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.renew();
      this.#nudge = new AbortController();
      const either = AbortSignal.any([signal, this.#nudge.signal]);
      await sleep(RENEW_MS * (0.95 + Math.random() * 0.1), undefined, { signal: either }).catch(() => {});
    }
    if (this.#revision === undefined) return;
    this.#revision = undefined;
    this.#tell(false);
    // Later than that it may be another one's.
    if (this.#renewed.ms < LEASE_MS) await this.#bus.remove(lease, COORDINATOR_KEY).catch(() => {});
  }

  /** Asks the bus for it. */
  async renew(): Promise<void> {
    // Somebody else may have had it since, even where nobody has it now.
    if (this.ended) this.#lose();
    const asked = new Elapsed(this.#clocks);
    try {
      const revision = await this.#swap();
      if (revision === undefined) this.#lose();
      else this.#have(revision, asked);
    } catch (err) {
      this.#log.debug({ err }, 'the lease could not be renewed');
    }
  }

  #have(revision: number, asked: Elapsed): void {
    const before = this.#revision;
    this.#revision = revision;
    this.#renewed = asked;
    if (before !== undefined) return;
    this.#log.info({}, 'coordinator of this layer');
    this.#tell(true);
  }

  #lose(): void {
    if (this.#revision === undefined) return;
    this.#revision = undefined;
    this.#log.warn({}, 'no longer the coordinator');
    this.#tell(false);
  }

  /** @returns the new revision, undefined where somebody else has it */
  async #swap(): Promise<number | undefined> {
    const value = { holder: this.#holder };
    const next =
      this.#revision === undefined
        ? undefined
        : await this.#bus.swap(lease, COORDINATOR_KEY, value, this.#revision);
    if (next !== undefined) return next;
    // The store of the bus may have been lost and made again, or our own write answered too late.
    const found = await this.#bus.get(lease, COORDINATOR_KEY);
    if (found && found.value.holder !== this.#holder) return undefined;
    return this.#bus.swap(lease, COORDINATOR_KEY, value, found?.revision ?? 0);
  }
}
