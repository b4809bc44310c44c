import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import { unlessAborted } from '#proto/async/unless-aborted.ts';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { Fault } from '#proto/contract/fault.ts';
import { takeBandwidth } from '#proto/sync/bandwidth.ts';
import type { Direction } from '#proto/sync/transfers.ts';
import { Grants } from './grants.ts';
import { type Limits, limitAt } from './limit.ts';

/** What a request and the head of its answer weigh, about, in bytes. */
export const REQUEST_BYTES = 700;
/** Pieces are so long at the limit, so that what is asked for at once hardly shows in the average. */
const PIECE_SECONDS = 0.25;
const MIN_PIECE = 16 * 1024;
const RETRY_MS = 1_000;

export interface Bandwidth {
  /** Resolves when so many bytes may go over the link. Paid before they move, or right after where they are few. */
  take(bytes: number, direction: Direction, signal: AbortSignal): Promise<void>;
  /** The most bytes to ask for at once; undefined without a limit. */
  readonly piece: number | undefined;
}

export const UNLIMITED: Bandwidth = { take: async () => {}, piece: undefined };

/**
 * The link's bandwidth as one syncer has it: the coordinator grants to all of them. While nobody coordinates, nobody
 * is granted anything. Without a limit nobody is asked.
 */
export class SharedBandwidth implements Bandwidth {
  readonly #bus: Pick<Bus, 'call' | 'serve'>;
  readonly #by: string;
  readonly #log: Log;
  #limits: Limits = [];
  #grants: Grants | undefined;
  /** Ends when all questions so far are over. */
  readonly #asked: Record<Direction, Promise<void>> = { down: Promise.resolve(), up: Promise.resolve() };

  constructor(bus: Pick<Bus, 'call' | 'serve'>, by: string, log: Log) {
    this.#bus = bus;
    this.#by = by;
    this.#log = log;
  }

  set(limits: Limits): void {
    // By the old limit until now.
    this.#grants?.changed();
    this.#limits = limits;
    this.#grants?.changed();
  }

  get piece(): number | undefined {
    const rate = this.#rate();
    return rate && Math.max(MIN_PIECE, Math.floor(rate * PIECE_SECONDS));
  }

  /** Grants to every syncer, as the coordinator. @returns what ends that */
  lead(): () => void {
    const grants = new Grants((now) => limitAt(this.#limits, now));
    this.#grants = grants;
    const unserve = this.#bus.serve(takeBandwidth, async ({ by, direction, bytes }) => {
      await grants.take(direction, by, bytes);
      return {};
    });
    return () => {
      if (this.#grants === grants) this.#grants = undefined;
      void unserve();
      grants.end(new Fault('unavailable', 'the coordinator changes: ask again'));
    };
  }

  async take(bytes: number, direction: Direction, signal: AbortSignal): Promise<void> {
    while (bytes > 0 && this.#rate() !== undefined) {
      try {
        return await this.#ask(bytes, direction, signal);
      } catch (err) {
        signal.throwIfAborted();
        if (!Fault.is(err, 'unavailable')) throw err;
        this.#log.debug({ err }, 'nobody grants bandwidth; asking again');
        await sleep(jittered(RETRY_MS), undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
    signal.throwIfAborted();
  }

  /** One question after another: what is asked for and wanted no more is granted all the same, and nobody has it. */
  async #ask(bytes: number, direction: Direction, signal: AbortSignal): Promise<void> {
    if (this.#grants) return this.#grants.take(direction, this.#by, bytes, signal);
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#asked[direction];
    this.#asked[direction] = before.then(() => promise);
    try {
      await unlessAborted(signal, before);
      await this.#bus.call(takeBandwidth, { by: this.#by, direction, bytes }, { signal });
    } finally {
      resolve();
    }
  }

  #rate(): number | undefined {
    return limitAt(this.#limits, Date.now()).rate;
  }
}
