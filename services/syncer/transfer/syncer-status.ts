import { hostname } from 'node:os';
import type { Log } from '#proto/bus/bus.ts';
import type { StateWriter } from '#proto/bus/roles.ts';
import { HEARTBEAT_MS, MAX_ACTIVE_TRANSFERS, type SyncerStatus, syncerStatus } from '#proto/status/status.ts';
import type { CrossingDelta, TransferJob } from '#proto/sync/transfers.ts';
import type { SavedTotals } from '../counters/saved-totals.ts';
import { countsOf, savingsOf } from '../counters/savings.ts';
import { TransferCounters } from '../counters/transfer-counters.ts';
import { RateMeter } from './pace/rate-meter.ts';

/** Max delay from a change to its publication, in ms. Changes within it are published together. */
const DELAY_MS = 1_000;
/** Max interval of publications while bytes move, in ms. */
const RATE_MS = 5_000;

/** The limit of the link in force, in bytes/s; undefined without one. */
type LinkLimit = { readonly rate: number | undefined };

type Blob = Pick<TransferJob, 'repository' | 'digest' | 'size' | 'direction'>;
type Transfer = SyncerStatus['transfers'][number];
export type ActiveTransfer = Disposable & {
  /** From now on, this delta crosses the link instead of the blob; undefined: the blob does. */
  crosses(delta: CrossingDelta | undefined): void;
  /** An attempt begins; `present` bytes are at the far end already. */
  attempts(present: number): void;
  /** `done` bytes are at the far end. */
  reached(done: number): void;
  /** Bytes came to be at the far end without crossing the link. */
  copied(bytes: number): void;
  /** The transfer waits until then, in ms since 1970. @param code of the fault */
  waits(until: number, code: string): void;
};

/** Takes note of active transfers, and counts them. */
export interface TransferRecorder {
  readonly counters: TransferCounters;
  begin(blob: Blob): ActiveTransfer;
  /** Bytes that crossed the link apart from these transfers. */
  moved(direction: Transfer['direction'], bytes: number): void;
}

/** The active transfers of this process, published as its entry of the state `syncerStatus`. */
export class SyncerActivity implements TransferRecorder, AsyncDisposable {
  readonly counters = new TransferCounters();
  readonly #bus: StateWriter;
  readonly #instance: string;
  readonly #log: Log;
  readonly #link: LinkLimit | undefined;
  readonly #totals: Pick<SavedTotals, 'add'> | undefined;
  readonly #meters = { down: new RateMeter(), up: new RateMeter() };
  readonly #transfers = new Map<Transfer, RateMeter>();
  readonly #since = Date.now();
  #coordinates = false;
  #timer: NodeJS.Timeout | undefined;
  /** When the next publication is due. */
  #due = 0;
  #publishing: Promise<void> = Promise.resolve();

  constructor(
    bus: StateWriter,
    instance: string,
    log: Log,
    link?: LinkLimit,
    totals?: Pick<SavedTotals, 'add'>,
  ) {
    this.#bus = bus;
    this.#instance = instance;
    this.#log = log;
    this.#link = link;
    this.#totals = totals;
    this.#publishIn(0);
  }

  /** Records whether this process is the coordinator. */
  coordinates(isCoordinator: boolean): void {
    this.#coordinates = isCoordinator;
    this.#publishIn(DELAY_MS);
  }

  /** Adds an active transfer, until the result is disposed of. */
  begin({ repository, digest, size, direction }: Blob): ActiveTransfer {
    const transfer: Transfer = { repository, digest, size, direction };
    const meter = new RateMeter();
    this.#transfers.set(transfer, meter);
    this.#publishIn(DELAY_MS);
    const reached = (done: number) => {
      // The first report has what earlier attempts left.
      const bytes = transfer.done === undefined ? 0 : Math.max(0, done - transfer.done);
      meter.add(bytes);
      this.moved(direction, bytes);
      transfer.done = done;
      delete transfer.waits;
      delete transfer.code;
      this.#publishIn(DELAY_MS);
    };
    return {
      crosses: (delta) => {
        delete transfer.delta;
        delete transfer.done;
        if (delta) transfer.delta = { digest: delta.digest, size: delta.size };
        this.#publishIn(DELAY_MS);
      },
      attempts: (present) => {
        transfer.attempts = (transfer.attempts ?? 0) + 1;
        reached(present);
      },
      reached,
      copied: (bytes) => {
        transfer.done = (transfer.done ?? 0) + bytes;
      },
      waits: (until, code) => {
        transfer.waits = until;
        transfer.code = code;
        this.#publishIn(DELAY_MS);
      },
      [Symbol.dispose]: () => {
        this.#transfers.delete(transfer);
        this.#publishIn(DELAY_MS);
      },
    };
  }

  moved(direction: Transfer['direction'], bytes: number): void {
    this.#meters[direction].add(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#due = Number.NEGATIVE_INFINITY;
    await this.#publishing;
    await this.#addToTotals();
    await this.#bus.remove(syncerStatus, this.#instance).catch(() => {});
  }

  async #addToTotals(): Promise<void> {
    const counts = countsOf(this.counters, this.#since, Date.now());
    await this.#totals?.add(counts).catch((err) => this.#log.debug({ err }, 'failed to add to the savings'));
  }

  /** Publishes after `ms`, or earlier if an earlier publication is due. */
  #publishIn(ms: number): void {
    const due = performance.now() + ms;
    if (this.#timer && this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#publish(), ms).unref();
  }

  #publish(): void {
    this.#timer = undefined;
    const rate = { down: this.#meters.down.rate, up: this.#meters.up.rate };
    const limit = this.#link?.rate;
    const savings = savingsOf(this.counters, this.#since, Date.now());
    const isMoving = rate.down + rate.up > 0;
    this.#publishIn(isMoving ? RATE_MS : HEARTBEAT_MS);
    const status: SyncerStatus = {
      instance: this.#instance,
      host: hostname(),
      pid: process.pid,
      coordinates: this.#coordinates,
      rate,
      ...(this.#coordinates && limit !== undefined && { limit: Math.round(limit) }),
      ...(savings && { savings }),
      count: this.#transfers.size,
      transfers: [...this.#transfers].slice(0, MAX_ACTIVE_TRANSFERS).map(([transfer, { rate: own }]) => ({
        ...transfer,
        ...(own > 0 && transfer.waits === undefined && { rate: own }),
      })),
    };
    const published = this.#bus
      .put(syncerStatus, this.#instance, status)
      .catch((err) => this.#log.debug({ err }, 'failed to write the syncer status'));
    this.#publishing = Promise.all([published, this.#addToTotals()]).then(() => {});
  }
}
