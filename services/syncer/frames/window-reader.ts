import type { ByteReader } from '#proto/volume/volume.ts';

const WINDOW_BYTES = 256 * 1024;

/** Reads many small parts of a file, nearly in order, with few reads of the file. One read at a time. */
export class WindowReader implements ByteReader {
  readonly #file: ByteReader;
  readonly #buffer = Buffer.allocUnsafe(WINDOW_BYTES);
  #window = this.#buffer.subarray(0, 0);
  #start = 0;

  constructor(file: ByteReader) {
    this.#file = file;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    if (buffer.byteLength >= WINDOW_BYTES) return this.#file.read(buffer, position);
    const isInside =
      position >= this.#start && position + buffer.byteLength <= this.#start + this.#window.length;
    if (!isInside) {
      this.#window = this.#buffer.subarray(0, await this.#file.read(this.#buffer, position));
      this.#start = position;
    }
    const at = position - this.#start;
    return this.#window.copy(buffer, 0, at, at + buffer.byteLength);
  }
}
