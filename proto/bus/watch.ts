/**
 * One value that is both read and heard of: tells each value once, and never an older one after a newer one.
 */
export class Watch {
  readonly #read: () => Promise<Uint8Array | undefined>;
  readonly #tell: (bytes: Uint8Array | undefined) => void;
  #last: string | undefined;
  #heard = 0;

  /**
   * @param read asks for the value as it is now; `undefined`: there is none
   * @param tell is called with the first value, and with each that differs from the one before
   */
  constructor(read: () => Promise<Uint8Array | undefined>, tell: (bytes: Uint8Array | undefined) => void) {
    this.#read = read;
    this.#tell = tell;
  }

  /** The value was written just now. */
  hear(bytes: Uint8Array | undefined): void {
    this.#heard += 1;
    this.#take(bytes);
  }

  /** Reads it again, in case a write was not heard of. */
  async refresh(): Promise<void> {
    const before = this.#heard;
    const bytes = await this.#read();
    // A write heard of meanwhile may be newer than what was read.
    if (before === this.#heard) this.#take(bytes);
  }

  #take(bytes: Uint8Array | undefined): void {
    const print = bytes ? Buffer.from(bytes).toString('base64') : '';
    if (print === this.#last) return;
    this.#last = print;
    this.#tell(bytes);
  }
}
