import { backoffMs } from '#proto/async/backoff.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import { listParked, type Parked, park, unpark } from '#proto/sync/outgoing.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { listEntries } from './lists.ts';
import { isRetried, type Retries } from './pass-request.ts';

const RETRY = { firstMs: 60_000, maxMs: 60 * 60_000 };

/** When a change that was refused `attempts` times is retried: backoff from a minute to an hour. */
export function retryAt(attempts: number, now: number, random = Math.random()): number {
  return Math.round(now + backoffMs(attempts, RETRY, random));
}

/** A change for the parent: of a tag, or of a manifest without one. `digest` is absent for a deletion. */
export type Outbound = { repository: Repository; reference: string; digest: Digest | undefined };

/** Whether a parked change still waits: it is the same change, and its retry is not due, nor was the clock set back. */
export const waits = (parked: Parked, digest: Digest | undefined, now: number): boolean =>
  parked.digest === digest && parked.retry > now && parked.retry <= now + RETRY.maxMs;

/** Whether the parent refused the change itself, so that an immediate retry is useless. */
export const isRefusal = (error: unknown): error is Fault => Fault.is(error, 'parent-refused');

/** Parked changes: refused by the parent, and recorded by storage with the time of their retry. */
export class Parking {
  readonly #bus: FencedBus;
  /** What is retried now: a person, or a new configuration, may have removed the cause of the refusal. */
  readonly #retries: Retries | undefined;
  readonly #known = new Map<string, Parked>();

  private constructor(bus: FencedBus, retries: Retries | undefined) {
    this.#bus = bus;
    this.#retries = retries;
  }

  /** @param retries changes that are retried now, regardless of their time */
  static async load(bus: FencedBus, signal: AbortSignal, retries?: Retries): Promise<Parking> {
    const parking = new Parking(bus, retries);
    const entries = listEntries(
      (page) => bus.call(listParked, page, { signal }),
      ({ parked }) => parked,
      key,
    );
    for await (const parked of entries) parking.#known.set(key(parked), parked);
    return parking;
  }

  /** The record of a change whose retry is not due; undefined for any other. */
  waiting(change: Outbound, now = Date.now()): Parked | undefined {
    const parked = this.#known.get(key(change));
    return parked && !isRetried(this.#retries, change) && waits(parked, change.digest, now)
      ? parked
      : undefined;
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

  /** Deletes the record: the change succeeded or is obsolete. */
  async unpark({ repository, reference }: Omit<Outbound, 'digest'>): Promise<void> {
    if (!this.#known.delete(key({ repository, reference }))) return;
    await this.#bus.call(unpark, { repository, reference });
  }
}

const key = ({ repository, reference }: { repository: Repository; reference: string }): string =>
  `${repository}!${reference}`;
