import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Bytes } from '#proto/delta/bytes/bytes.ts';

/** A file that is read in place. */
export class FileBytes implements Bytes, Disposable {
  readonly size: number;
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.size = fstatSync(this.#fd).size;
  }

  read(target: Uint8Array, at: number): number {
    return readFully(this.#fd, target, at);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** @returns fewer bytes than `target` has at the end of the file */
export function readFully(fd: number, target: Uint8Array, at: number): number {
  let filled = 0;
  while (filled < target.length) {
    const read = readSync(fd, target, filled, target.length - filled, at + filled);
    if (read === 0) break;
    filled += read;
  }
  return filled;
}
