import { randomFillSync } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sizeOf } from './blob-store.ts';

/** What metadata needs to be opened, and to take some deletions, in bytes. */
const LEAST_FREE = 4 * 1024 * 1024;
const SIZE = 16 * 1024 * 1024;
const PIECE = 256 * 1024;

/**
 * Space of the data volume that is held, to be given back when somebody else has filled it to the brim: a deletion is
 * a write, too, and without any room metadata could not even be opened to be read.
 */
export class Ballast {
  readonly #path: string;
  #taking = false;

  constructor(data: string) {
    this.#path = join(data, 'ballast');
  }

  /** Gives the space back where next to none is free. @returns whether it did */
  async giveBack(free: number): Promise<boolean> {
    if (free >= LEAST_FREE || !(await this.#isHeld())) return false;
    await rm(this.#path, { force: true });
    return true;
  }

  /** Takes the space where all of it is above the reserve. */
  async take(free: number, reserve: number): Promise<void> {
    if (this.#taking || free < reserve + 2 * SIZE) return;
    this.#taking = true;
    try {
      if (!(await this.#isHeld())) await this.#write();
    } finally {
      await rm(`${this.#path}.new`, { force: true });
      this.#taking = false;
    }
  }

  async #isHeld(): Promise<boolean> {
    return (await sizeOf(this.#path)) !== undefined;
  }

  /** Random, as some file systems keep nothing of zeros. */
  async #write(): Promise<void> {
    const coming = `${this.#path}.new`;
    {
      await using file = await open(coming, 'w', 0o600);
      const piece = Buffer.allocUnsafeSlow(PIECE);
      for (let at = 0; at < SIZE; at += PIECE) await file.write(randomFillSync(piece), 0, PIECE, at);
      await file.sync();
    }
    await rename(coming, this.#path);
  }
}
