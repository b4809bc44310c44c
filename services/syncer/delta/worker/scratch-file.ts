import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import type { Scratch } from '#proto/delta/bytes/bytes.ts';
import { readFully } from './file-bytes.ts';

const BUFFER_BYTES = 256 * 1024;

/** Temporary bytes in a file that has no name: they end with the process. */
export class ScratchFile implements Scratch, Disposable {
  size = 0;
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #buffered = 0;
  readonly #onWrite: (bytes: number) => void;

  /** @param onWrite called before bytes are written; it may throw if they are too many */
  constructor(path: string, onWrite: (bytes: number) => void = () => {}) {
    this.#fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    this.#onWrite = onWrite;
  }

  append(bytes: Uint8Array): void {
    if (this.#buffered + bytes.length > BUFFER_BYTES) this.#flush();
    if (bytes.length > BUFFER_BYTES) this.#write(bytes);
    else {
      this.#buffer.set(bytes, this.#buffered);
      this.#buffered += bytes.length;
    }
    this.size += bytes.length;
  }

  read(target: Uint8Array, at: number): number {
    this.#flush();
    return readFully(this.#fd, target, at);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #flush(): void {
    const buffered = this.#buffer.subarray(0, this.#buffered);
    this.#buffered = 0;
    if (buffered.length > 0) this.#write(buffered);
  }

  #write(bytes: Uint8Array): void {
    this.#onWrite(bytes.length);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at);
  }
}
