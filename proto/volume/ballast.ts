import { randomFillSync } from 'node:crypto';
import { access, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Space } from '../content/maintenance.ts';
import { BALLAST, BALLAST_INODES } from './layout.ts';

/** Free bytes that metadata needs to be opened and to process some deletions. */
const MIN_FREE = 4 * 1024 * 1024;
/** Bytes of the ballast, and of each write of them. */
const SIZE = 16 * 1024 * 1024;
const PIECE = 256 * 1024;
/** Bytes of the smallest block that a file system recognizes. */
const BLOCK = 4 * 1024;

/** The same in inodes: files that the bus and metadata create at a start. */
const MIN_INODES = 64;
const INODES = 256;

/**
 * Holds space and inodes of the data volume, and releases them when other writers have filled it completely. A deletion
 * is a write too: without free space, metadata can't even be opened for reading, and nats-server does not start.
 *
 *   <data>/ballast          bytes
 *   <data>/ballast-inodes/  empty files
 */
export class Ballast {
  readonly #bytes: string;
  readonly #inodes: string;
  #taking = false;

  constructor(data: string) {
    this.#bytes = join(data, BALLAST);
    this.#inodes = join(data, BALLAST_INODES);
  }

  /** Releases the bytes, the inodes or both if almost none are free. @returns whether it released any */
  async giveBack({ free, inodes }: Omit<Space, 'reserve' | 'low'>): Promise<boolean> {
    const paths = [
      ...(free < MIN_FREE ? [this.#bytes] : []),
      ...(inodes && inodes.free < MIN_INODES ? [this.#inodes] : []),
    ];
    let released = false;
    for (const path of paths) {
      released = (await this.#drop(path)) || released;
      // A killed process may have left an incomplete one.
      if (!this.#taking) released = (await this.#drop(temporaryOf(path))) || released;
    }
    return released;
  }

  /** Takes the ballast if free space and inodes then stay above their reserves, unless `signal` aborts first. */
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
    const temporary = temporaryOf(path);
    try {
      await rm(temporary, { recursive: true, force: true });
      await write(temporary, signal);
      if (!signal?.aborted) await rename(temporary, path);
    } finally {
      await rm(temporary, { recursive: true, force: true });
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

const temporaryOf = (path: string): string => `${path}.new`;

type Write = (path: string, signal: AbortSignal | undefined) => Promise<void>;

/** Random bytes, and no block twice: some file systems allocate nothing for zeros, or for a block that they have. */
async function writeBytes(path: string, signal: AbortSignal | undefined): Promise<void> {
  await using file = await open(path, 'w', 0o600);
  const piece = randomFillSync(Buffer.allocUnsafeSlow(PIECE));
  for (let at = 0; at < SIZE && !signal?.aborted; at += PIECE) {
    for (let block = 0; block < PIECE; block += BLOCK) piece.writeUInt32LE(at + block, block);
    await file.write(piece, 0, PIECE, at);
  }
  await file.sync();
}

async function writeInodes(path: string, signal: AbortSignal | undefined): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  for (let index = 0; index < INODES && !signal?.aborted; index += 1) {
    await writeFile(join(path, String(index)), '');
  }
}
