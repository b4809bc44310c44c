/** Large pieces cost a fifth less than small ones; but those of all streams together must fit into some memory. */
const MAX_BYTES = 512 * 1024;
const MIN_BYTES = 64 * 1024;
const ALL_STREAMS = 32 * 1024 * 1024;
/** How many of the largest are kept for the next streams, and for how long after the last one, in ms. */
const KEPT = 16;
const KEPT_MS = 2_000;

/** How much of a file is read at once, in bytes: less, the more streams there are. */
export const bufferSizeFor = (streams: number): number =>
  Math.max(MIN_BYTES, Math.min(MAX_BYTES, Math.floor(ALL_STREAMS / (2 * streams))));

/** Buffers for streams, used again: new ones for each of many short streams would keep garbage collection busy. */
export class BufferPool {
  readonly #idle: Buffer[] = [];
  #streams = 0;
  #timer: NodeJS.Timeout | undefined;

  /** How many buffers wait for a stream. */
  get idle(): number {
    return this.#idle.length;
  }

  /** A stream begins. @returns how large its pieces are, in bytes */
  begin(): number {
    this.#streams += 1;
    return bufferSizeFor(this.#streams);
  }

  /** A buffer of that size, or the whole `most` where that is less. */
  take(size: number, most: number): Buffer {
    const kept = size === MAX_BYTES ? this.#idle.pop() : undefined;
    // Of a large one, only what is written to takes memory.
    return kept ?? Buffer.allocUnsafeSlow(size === MAX_BYTES ? size : Math.min(size, most));
  }

  /** The stream has ended; nobody reads or writes these buffers any more. */
  end(buffers: readonly (Buffer | undefined)[]): void {
    this.#streams -= 1;
    for (const buffer of buffers) {
      if (buffer?.byteLength === MAX_BYTES && this.#idle.length < KEPT) this.#idle.push(buffer);
    }
    if (this.#timer) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#letGo(), KEPT_MS).unref();
  }

  #letGo(): void {
    this.#timer = undefined;
    this.#idle.length = 0;
  }
}
