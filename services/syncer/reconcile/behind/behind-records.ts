import type { Log } from '#proto/contract/log.ts';
import type { Repository } from '#proto/oci/names.ts';
import { listBehind, recordBehind } from '#proto/sync/behind.ts';
import type { FencedBus } from '../../leadership/fenced-bus.ts';
import { BehindBook } from './behind-book.ts';
import type { BehindUpdate } from './behind-updates.ts';

/**
 * What the layer lacks of its parent, for the figure of synchronization: `behind-book.ts` collects it while a pass
 * compares and pulls, and this file has storage record it.
 */

/** Interval of recording, in ms. A pass that ends within it records nothing but what it left undone. */
const FLUSH_MS = 1_000;
/** Number of intervals after which the remaining bytes are recorded. */
const PROGRESS_FLUSHES = 10;
const PAGE = 1_000;
/** Max time for what is recorded at the end of a pass, in ms. */
const END_MS = 2_000;

/**
 * Has storage record the book of one pass, at an interval and, when it is disposed of, what the pass left undone. A
 * failure only makes the figure late.
 */
export class BehindRecords implements AsyncDisposable {
  readonly book: BehindBook;
  readonly #bus: FencedBus;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  #waiting: BehindUpdate[] = [];
  #flushes = 0;
  #flushing: Promise<void> | undefined;

  /** @param scoped the pass compares only what a client changed here */
  static async load(bus: FencedBus, log: Log, signal: AbortSignal, scoped: boolean): Promise<BehindRecords> {
    const recorded: Repository[] = [];
    const uncompared: Repository[] = [];
    for (let more = !scoped; more; ) {
      const after = recorded.at(-1);
      const page = await bus.call(listBehind, { limit: PAGE, ...(after && { after }) }, { signal });
      for (const repository of page.repositories) recorded.push(repository);
      for (const repository of page.uncompared ?? []) uncompared.push(repository);
      more = page.more && page.repositories.length > 0;
    }
    return new BehindRecords(bus, log, new BehindBook(recorded, uncompared));
  }

  private constructor(bus: FencedBus, log: Log, book: BehindBook) {
    this.book = book;
    this.#bus = bus;
    this.#log = log;
    this.#timer = setInterval(() => void this.#tick(), FLUSH_MS).unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushing;
    await this.#flush(true, AbortSignal.timeout(END_MS));
  }

  async #tick(): Promise<void> {
    if (this.#flushing) return;
    this.#flushes += 1;
    this.#flushing = this.#flush(this.#flushes % PROGRESS_FLUSHES === 0).finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async #flush(progress: boolean, signal?: AbortSignal): Promise<void> {
    for (const update of this.book.take(progress)) this.#waiting.push(update);
    try {
      for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
        await this.#bus.call(recordBehind, next, { ...(signal && { signal }) });
        this.#waiting.shift();
      }
    } catch (err) {
      this.#log.debug({ err, count: this.#waiting.length }, 'failed to record what the layer lacks');
    }
  }
}
