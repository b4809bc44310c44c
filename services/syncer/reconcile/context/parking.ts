import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { listParked, type Parked, park, unpark } from '#proto/sync/outgoing.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { pages } from './lists.ts';

const RETRY = { firstMs: 60_000, maxMs: 60 * 60_000 };

/** When a change that was refused `attempts` times is tried again: after a minute, doubling up to an hour. */
export function retryAt(attempts: number, now: number, random = Math.random()): number {
  return Math.round(now + backoffMs(attempts, RETRY, random));
}

/** A change for the parent: of a tag, or of a manifest without one. `digest` is absent for a deletion. */
export type Outbound = { repository: Repository; reference: string; digest: Digest | undefined };

/** Whether a parked change waits on: until its time, or until it is another change. */
export const waits = (parked: Parked, digest: Digest | undefined, now: number): boolean =>
  parked.digest === digest && parked.retry > now;

/** Trying again does not help by itself: the parent understood, and will not have it. */
export const isRefusal = (error: unknown): error is Fault => Fault.is(error, 'parent-refused');

/** The changes that the parent refused, as storage keeps them. */
export class Parking {
  readonly #bus: FencedBus;
  /** Nothing waits: whoever asked, or a new configuration, may have changed the parent's mind. */
  readonly #all: boolean;
  readonly #known = new Map<string, Parked>();

  private constructor(bus: FencedBus, all: boolean) {
    this.#bus = bus;
    this.#all = all;
  }

  /** @param all whether everything is tried again whatever its time */
  static async load(bus: FencedBus, signal: AbortSignal, all: boolean): Promise<Parking> {
    const parking = new Parking(bus, all);
    const entries = pages(
      (page) => bus.call(listParked, page, { signal }),
      ({ parked }) => parked,
      key,
    );
    for await (const parked of entries) parking.#known.set(key(parked), parked);
    return parking;
  }

  /** The record of a change that is not to be tried now. */
  waiting(change: Outbound, now = Date.now()): Parked | undefined {
    const parked = this.#known.get(key(change));
    return parked && !this.#all && waits(parked, change.digest, now) ? parked : undefined;
  }

  byRepository(): Map<Repository, Parked[]> {
    return Map.groupBy(this.#known.values(), ({ repository }) => repository);
  }

  async refused({ repository, reference, digest }: Outbound, fault: Fault): Promise<Parked> {
    const before = this.#known.get(key({ repository, reference }));
    const same = before?.digest === digest ? before : undefined;
    const attempts = (same?.attempts ?? 0) + 1;
    const now = Date.now();
    const parked: Parked = {
      repository,
      reference,
      ...(digest !== undefined && { digest }),
      code: fault.code,
      reason: fault.message,
      since: same?.since ?? now,
      attempts,
      retry: retryAt(attempts, now),
    };
    await this.#bus.call(park, parked);
    this.#known.set(key(parked), parked);
    return parked;
  }

  /** It succeeded, or there is nothing to be done any more. */
  async over({ repository, reference }: Omit<Outbound, 'digest'>): Promise<void> {
    if (!this.#known.delete(key({ repository, reference }))) return;
    await this.#bus.call(unpark, { repository, reference });
  }
}

const key = ({ repository, reference }: { repository: Repository; reference: string }): string =>
  `${repository}!${reference}`;
