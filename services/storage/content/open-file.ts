import { closeSync, fstatSync, fsync, openSync, readSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const fsyncInThread = promisify(fsync);

/**
 * A file or folder that is open for a few calls. What the page cache answers is called at once: it takes microseconds,
 * and a switch of threads several times as long. Only syncs wait for the disk, in a thread: await them before disposal.
 */
export class OpenFile implements Disposable {
  readonly #fd: number;

  /** @param mode of a file that is created */
  constructor(path: string, flags: string | number, mode = 0o600) {
    this.#fd = openSync(path, flags, mode);
  }

  /** In bytes. */
  get size(): number {
    return fstatSync(this.#fd).size;
  }

  /** Reads few bytes from `at` on. @returns how many */
  read(target: Uint8Array, at: number): number {
    return readSync(this.#fd, target, 0, target.byteLength, at);
  }

  /** Appends the bytes, which are few. */
  write(bytes: Uint8Array): void {
    writeFileSync(this.#fd, bytes);
  }

  sync(): Promise<void> {
    return fsyncInThread(this.#fd);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
