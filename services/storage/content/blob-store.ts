import { createHash } from 'node:crypto';
import { chmod, type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { splitDigest } from '#proto/oci/names.ts';
import { blobPath } from '#proto/volume/layout.ts';

/*
 * Committed bytes by their digest:
 *
 *   <data>/blobs/<sha256|sha512>/<first 2 hexadecimal digits>/<all hexadecimal digits>
 *
 * A file here is read-only and never changes. It is content only where metadata has its record; without one it was
 * left by a crash between rename and batch, and may be taken over (after a check) or replaced.
 */
const READ_BYTES = 1024 * 1024;

export class BlobStore {
  readonly #data: string;
  /** Folders whose own entries, up to the data root, are known to be on the disk. */
  readonly #durable = new Set<string>();

  constructor(data: string) {
    this.#data = data;
  }

  /** Where a blob's bytes lie, relative to the data volume. */
  path(digest: string): string {
    const [algorithm, hex] = splitDigest(digest);
    return blobPath(algorithm, hex);
  }

  /** The same, absolute. */
  file(digest: string): string {
    return join(this.#data, this.path(digest));
  }

  async has(digest: string): Promise<boolean> {
    return (await sizeOf(this.file(digest))) !== undefined;
  }

  /**
   * Moves a file, whose bytes are on the disk already, into place; the move is on the disk when this returns. Where
   * it throws, the file is where it was.
   */
  async place(source: string, digest: string): Promise<void> {
    const target = this.file(digest);
    await mkdir(dirname(target), { recursive: true });
    await chmod(source, 0o444);
    let placed = false;
    try {
      await rename(source, target);
      placed = true;
      await this.settle(digest);
    } catch (error) {
      if (placed) await rename(target, source);
      await chmod(source, 0o600);
      throw error;
    }
  }

  /** Moves a file that has no record back to `path`, to be written to again; nothing where there is none. */
  async takeBack(digest: string, path: string): Promise<void> {
    if (!(await this.has(digest))) return;
    await rename(this.file(digest), path);
    await chmod(path, 0o600);
  }

  /** Brings the names of a placed file and of the folders above it to the disk. */
  async settle(digest: string): Promise<void> {
    let folder = dirname(this.file(digest));
    await syncFolder(folder);
    if (this.#durable.has(folder)) return;
    const leaf = folder;
    while (folder !== this.#data) {
      folder = dirname(folder);
      await syncFolder(folder);
    }
    this.#durable.add(leaf);
  }

  /** The caller has seen to it that nothing names it any more. */
  async remove(digest: string): Promise<void> {
    await rm(this.file(digest), { force: true });
  }
}

/** The size of a file in bytes, or undefined where there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Reads a file from start to end, and writes what it read to `copy`. @returns digest and size of what was read */
export async function digestOf(
  file: FileHandle,
  algorithm: 'sha256' | 'sha512',
  copy?: FileHandle,
): Promise<{ digest: string; size: number }> {
  const hash = createHash(algorithm);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  let size = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, size);
    if (bytesRead === 0) return { digest: `${algorithm}:${hash.digest('hex')}`, size };
    const bytes = buffer.subarray(0, bytesRead);
    hash.update(bytes);
    for (let done = 0; copy && done < bytesRead; ) {
      done += (await copy.write(bytes, done, bytesRead - done, size + done)).bytesWritten;
    }
    size += bytesRead;
  }
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}
