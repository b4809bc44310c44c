/** Bounds of a buffer, and of all buffers together, in bytes. Large reads cost a fifth less than small ones. */
const MAX_BYTES = 512 * 1024;
const MIN_BYTES = 64 * 1024;
const MAX_TOTAL_BYTES = 32 * 1024 * 1024;
/** Max buffers of the largest size that stay for the next streams, and how long after the last one, in ms. */
const MAX_IDLE = 16;
const IDLE_MS = 2_000;

/** Size of a read, in bytes: smaller with more streams, which have two buffers each. */
export const bufferSizeFor = (streams: number): number =>
  Math.max(MIN_BYTES, Math.min(MAX_BYTES, Math.floor(MAX_TOTAL_BYTES / (2 * streams))));

/** Reuses buffers of streams: new ones for each of many short streams would keep garbage collection busy. */
export class BufferPool {
  readonly #idle: Buffer[] = [];
  #streams = 0;
  #timer: NodeJS.Timeout | undefined;

  /** Number of idle buffers. */
  get idle(): number {
    return this.#idle.length;
  }

  /** Registers a stream. @returns the size of its buffers, in bytes */
  begin(): number {
    this.#streams += 1;
    return bufferSizeFor(this.#streams);
  }

  /** A buffer of `size` bytes, or of `max` if that is less. The largest size is always allocated in full, for reuse. */
  take(size: number, max: number): Buffer {
    const idle = size === MAX_BYTES ? this.#idle.pop() : undefined;
    // Of a large buffer, only written pages take memory.
    return idle ?? Buffer.allocUnsafeSlow(size === MAX_BYTES ? size : Math.min(size, max));
  }

  /** Ends a stream. Nothing may read or write its buffers any more. */
  end(buffers: readonly (Buffer | undefined)[]): void {
    this.#streams -= 1;
    for (const buffer of buffers) {
      if (buffer?.byteLength === MAX_BYTES && this.#idle.length < MAX_IDLE) this.#idle.push(buffer);
    }
    if (this.#timer) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#release(), IDLE_MS).unref();
  }

  #release(): void {
    this.#timer = undefined;
    this.#idle.length = 0;
  }
}
