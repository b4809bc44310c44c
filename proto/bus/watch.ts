/** One value that is both polled and pushed: reports each change once, and never an older value after a newer one. */
export class Watch {
  readonly #read: () => Promise<Uint8Array | undefined>;
  readonly #changed: (bytes: Uint8Array | undefined) => void;
  #last: string | undefined;
  #writes = 0;

  /**
   * @param read returns the current value; `undefined`: none
   * @param changed is called with the first value, and with each that differs from the previous one
   */
  constructor(read: () => Promise<Uint8Array | undefined>, changed: (bytes: Uint8Array | undefined) => void) {
    this.#read = read;
    this.#changed = changed;
  }

  /** Takes a value that was just written. */
  update(bytes: Uint8Array | undefined): void {
    this.#writes += 1;
    this.#take(bytes);
  }

  /** Reads the value again, in case a write was missed. */
  async refresh(): Promise<void> {
    const before = this.#writes;
    const bytes = await this.#read();
    // A write received meanwhile may be newer than the value read.
    if (before === this.#writes) this.#take(bytes);
  }

  #take(bytes: Uint8Array | undefined): void {
    const encoded = bytes ? Buffer.from(bytes).toString('base64') : '';
    if (encoded === this.#last) return;
    this.#last = encoded;
    this.#changed(bytes);
  }
}
