import { hostname } from 'node:os';
import type { Bus, Log } from '#proto/bus/bus.ts';
import { HEARTBEAT_MS, MAX_ACTIVE_TRANSFERS, type SyncerStatus, syncerStatus } from '#proto/status/status.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';

/** What changes is told so long after it did, together with what else does meanwhile, in ms. */
const SOON_MS = 1_000;

type Blob = Pick<TransferJob, 'repository' | 'digest' | 'size' | 'direction'>;
type Transfer = SyncerStatus['transfers'][number];
export type ActiveTransfer = Disposable & {
  /** So many bytes are at the far end. */
  reached(done: number): void;
  /** Nothing goes on before then, in ms since 1970. */
  waits(until: number): void;
};

/** What this process has in hand, told to whoever asks how the layer is. */
export class SyncerActivity implements AsyncDisposable {
  readonly #bus: Pick<Bus, 'put' | 'remove'>;
  readonly #instance: string;
  readonly #log: Log;
  readonly #transfers = new Set<Transfer>();
  #coordinates = false;
  #timer: NodeJS.Timeout | undefined;
  #due = 0;
  #telling: Promise<void> = Promise.resolve();

  constructor(bus: Pick<Bus, 'put' | 'remove'>, instance: string, log: Log) {
    this.#bus = bus;
    this.#instance = instance;
    this.#log = log;
    this.#tellIn(0);
  }

  coordinates(does: boolean): void {
    this.#coordinates = does;
    this.#tellIn(SOON_MS);
  }

  /** Until the hand is disposed of. */
  take({ repository, digest, size, direction }: Blob): ActiveTransfer {
    const transfer: Transfer = { repository, digest, size, direction };
    this.#transfers.add(transfer);
    this.#tellIn(SOON_MS);
    return {
      reached: (done) => {
        transfer.done = done;
        delete transfer.waits;
        this.#tellIn(SOON_MS);
      },
      waits: (until) => {
        transfer.waits = until;
        this.#tellIn(SOON_MS);
      },
      [Symbol.dispose]: () => {
        this.#transfers.delete(transfer);
        this.#tellIn(SOON_MS);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#due = Number.NEGATIVE_INFINITY;
    await this.#telling;
    await this.#bus.remove(syncerStatus, this.#instance).catch(() => {});
  }

  /** Sooner, where it was to be told sooner. */
  #tellIn(ms: number): void {
    const due = performance.now() + ms;
    if (this.#timer && this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#tell(), ms).unref();
  }

  #tell(): void {
    this.#timer = undefined;
    this.#tellIn(HEARTBEAT_MS);
    const status: SyncerStatus = {
      instance: this.#instance,
      host: hostname(),
      pid: process.pid,
      coordinates: this.#coordinates,
      count: this.#transfers.size,
      transfers: [...this.#transfers].slice(0, MAX_ACTIVE_TRANSFERS),
    };
    this.#telling = this.#bus
      .put(syncerStatus, this.#instance, status)
      .catch((err) => this.#log.debug({ err }, 'what this syncer does was not written'));
  }
}
