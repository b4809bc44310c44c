import { writeSync } from 'node:fs';
import type { ByteSink } from '#proto/delta/bytes/bytes.ts';

const STDOUT_FD = 1;
const BUFFER_BYTES = 256 * 1024;

/** Writes to stdout, which blocks while the reader is behind. Call `end` behind the last byte. */
export class StdoutSink implements ByteSink {
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #filled = 0;

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + BUFFER_BYTES - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === BUFFER_BYTES) this.end();
    }
  }

  end(): void {
    for (let at = 0; at < this.#filled; ) at += writeSync(STDOUT_FD, this.#buffer, at, this.#filled - at);
    this.#filled = 0;
  }
}
