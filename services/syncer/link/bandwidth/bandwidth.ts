import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import { unlessAborted } from '#proto/async/unless-aborted.ts';
import type { Log } from '#proto/bus/bus.ts';
import type { BusCaller, RequestServer } from '#proto/bus/roles.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Limits, limitAt } from '#proto/schedule/bandwidth-limit.ts';
import { takeBandwidth } from '#proto/sync/bandwidth.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { Grants } from './grants.ts';

/**
 * The bandwidth limit of the link, shared by all syncers of the layer. `proto/schedule/` finds the limit in force at a
 * time of day. `grants.ts` is the token bucket, which the coordinator runs. `turns.ts` makes its queue fair between
 * directions and syncers. This file is the part that each syncer has.
 *
 * Before bytes cross the link, their sender or reader calls `take`. Without a limit it resolves at once. With one, the
 * coordinator takes from its own bucket, and any other syncer requests a grant over the bus (`takeBandwidth`). When
 * the coordinator changes, waiting requests fail with `unavailable` and are sent again, to the new one.
 */

/** Approximate size of a request and the head of its answer, in bytes. */
export const REQUEST_BYTES = 700;
/** Duration of a piece at the limit, in seconds: short, so that one piece hardly shows in the average. */
const PIECE_S = 0.25;
/** Min size of a piece, in bytes. */
const MIN_PIECE = 16 * 1024;
/** Wait before a request is sent again while no syncer coordinates, in ms, before jitter. */
const RETRY_MS = 1_000;

export interface Bandwidth {
  /**
   * Resolves when `bytes` may cross the link. To be called before they move, or right after if they are few.
   * @throws the reason of `signal`
   */
  take(bytes: number, direction: Direction, signal: AbortSignal): Promise<void>;
  /** Max bytes to request at once; undefined without a limit. */
  readonly maxPieceBytes: number | undefined;
}

export const UNLIMITED: Bandwidth = { take: async () => {}, maxPieceBytes: undefined };

/**
 * The link's bandwidth, as one syncer uses it. The coordinator grants to all syncers; while none coordinates, nothing
 * is granted. Without a limit, no grant is requested.
 */
export class SharedBandwidth implements Bandwidth {
  readonly #bus: BusCaller & RequestServer;
  readonly #syncer: string;
  readonly #log: Log;
  #limits: Limits = [];
  #grants: Grants | undefined;
  /** Resolves when all requests to the coordinator so far have ended. */
  readonly #pending: Record<Direction, Promise<void>> = { down: Promise.resolve(), up: Promise.resolve() };

  constructor(bus: BusCaller & RequestServer, by: string, log: Log) {
    this.#bus = bus;
    this.#syncer = by;
    this.#log = log;
  }

  set(limits: Limits): void {
    // Settles the time until now by the old limit.
    this.#grants?.changed();
    this.#limits = limits;
    this.#grants?.changed();
  }

  /** The limit in force, in bytes/s; undefined without one. */
  get rate(): number | undefined {
    return limitAt(this.#limits, Date.now()).rate;
  }

  get maxPieceBytes(): number | undefined {
    const rate = this.rate;
    return rate && Math.max(MIN_PIECE, Math.floor(rate * PIECE_S));
  }

  /** Grants to all syncers, as the coordinator. @returns a function that stops it */
  serveGrants(): () => void {
    const grants = new Grants((now) => limitAt(this.#limits, now));
    this.#grants = grants;
    const unserve = this.#bus.serve(takeBandwidth, async ({ by, direction, bytes }) => {
      await grants.take(direction, by, bytes);
      return {};
    });
    return () => {
      if (this.#grants === grants) this.#grants = undefined;
      void unserve();
      grants.end(new Fault('unavailable', 'the coordinator is changing: retry'));
    };
  }

  async take(bytes: number, direction: Direction, signal: AbortSignal): Promise<void> {
    while (bytes > 0 && this.rate !== undefined) {
      try {
        return await this.#ask(bytes, direction, signal);
      } catch (err) {
        signal.throwIfAborted();
        if (!Fault.is(err, 'unavailable')) throw err;
        this.#log.debug({ err }, 'no coordinator grants bandwidth; retrying');
        await sleep(jittered(RETRY_MS), undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
    signal.throwIfAborted();
  }

  /**
   * At most one request to the coordinator at a time in each direction: a request that is aborted here is granted all
   * the same, and its bytes are lost.
   */
  async #ask(bytes: number, direction: Direction, signal: AbortSignal): Promise<void> {
    if (this.#grants) return this.#grants.take(direction, this.#syncer, bytes, signal);
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#pending[direction];
    this.#pending[direction] = before.then(() => promise);
    try {
      await unlessAborted(signal, before);
      await this.#bus.call(takeBandwidth, { by: this.#syncer, direction, bytes }, { signal });
    } finally {
      resolve();
    }
  }
}
