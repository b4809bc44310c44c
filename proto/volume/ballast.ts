import { randomFillSync } from 'node:crypto';
import { access, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Space } from '../content/maintenance.ts';

/** What metadata needs to be opened, and to take some deletions, in bytes. */
const MIN_FREE = 4 * 1024 * 1024;
const SIZE = 16 * 1024 * 1024;
const PIECE = 256 * 1024;

/** The same in inodes: files that the bus and metadata make at a start. */
const MIN_INODES = 64;
const INODES = 256;

/**
 * Space and inodes of the data volume that are held, to be given back when somebody else has filled it to the brim: a
 * deletion is a write, too; without any room metadata could not even be opened to be read, and no nats-server starts.
 *
 *   <data>/ballast          bytes
 *   <data>/ballast-inodes/  empty files
 */
export class Ballast {
  readonly #bytes: string;
  readonly #inodes: string;
  #taking = false;

  constructor(data: string) {
    this.#bytes = join(data, 'ballast');
    this.#inodes = join(data, 'ballast-inodes');
  }

  /** Gives back what next to nothing is free of. @returns whether it did */
  async giveBack({ free, inodes }: Omit<Space, 'reserve' | 'low'>): Promise<boolean> {
    const paths = [
      ...(free < MIN_FREE ? [this.#bytes] : []),
      ...(inodes && inodes.free < MIN_INODES ? [this.#inodes] : []),
    ];
    let given = false;
    for (const path of paths) {
      given = (await this.#drop(path)) || given;
      // A process that was killed may have left a part of one.
      if (!this.#taking) given = (await this.#drop(comingOf(path))) || given;
    }
    return given;
  }

  /** Takes what all of it is above the reserve of, unless `signal` aborts first. */
  async take({ free, reserve, inodes }: Omit<Space, 'low'>, signal?: AbortSignal): Promise<void> {
    if (this.#taking) return;
    this.#taking = true;
    const hasInodes = !inodes || inodes.free >= inodes.reserve + 2 * INODES;
    try {
      if (free < reserve + 2 * SIZE || !hasInodes) return;
      await this.#hold(this.#bytes, writeBytes, signal);
      if (inodes) await this.#hold(this.#inodes, writeInodes, signal);
    } finally {
      this.#taking = false;
    }
  }

  async #hold(path: string, write: Write, signal: AbortSignal | undefined): Promise<void> {
    if (await exists(path)) return;
    const coming = comingOf(path);
    try {
      await rm(coming, { recursive: true, force: true });
      await write(coming, signal);
      if (!signal?.aborted) await rename(coming, path);
    } finally {
      await rm(coming, { recursive: true, force: true });
    }
  }

  async #drop(path: string): Promise<boolean> {
    if (!(await exists(path))) return false;
    await rm(path, { recursive: true, force: true });
    return true;
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const comingOf = (path: string): string => `${path}.new`;

type Write = (path: string, signal: AbortSignal | undefined) => Promise<void>;

/** Random, as some file systems keep nothing of zeros. */
async function writeBytes(path: string, signal: AbortSignal | undefined): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  const piece = Buffer.allocUnsafeSlow(PIECE);
  for (let at = 0; at < SIZE && !signal?.aborted; at += PIECE) {
    await file.write(randomFillSync(piece), 0, PIECE, at);
  }
  await file.sync();
}

async function writeInodes(path: string, signal: AbortSignal | undefined): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  for (let index = 0; index < INODES && !signal?.aborted; index += 1) {
    await writeFile(join(path, String(index)), '');
  }
}
