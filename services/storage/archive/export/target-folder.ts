import { type FileHandle, lstat, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { isListName, setName, UNFINISHED } from '#proto/archive/set-names.ts';
import { Fault } from '#proto/contract/fault.ts';
import { formatBytes } from '#proto/contract/quantity-text.ts';

/** File with the name of the side that the sets of a folder are for. */
const MARKER = 'terrace-target.txt';
/** Max bytes of it that count. */
const MAX_MARKER_BYTES = 64;
/** Bytes that remain free on the target. */
const SPARE_BYTES = 1024 * 1024;

export const FILE_MODE = 0o644;

/** The layer on the other side has another account than this one. FAT has no modes. */
export async function readableForAll(file: FileHandle): Promise<void> {
  await file.chmod(FILE_MODE).catch(() => {});
}

/** The folder that a set is written to: a removable disk, or what a one-way line sends. */
export class TargetFolder {
  readonly path: string;

  /** @throws Fault `archive-invalid` if it is not a folder */
  static async open(path: string): Promise<TargetFolder> {
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory()) return new TargetFolder(path);
    throw new Fault(
      'archive-invalid',
      `${path} ${stats ? 'is not a folder' : 'does not exist'}: mount the disk, or name a folder that exists, as the layer sees it`,
    );
  }

  private constructor(path: string) {
    this.path = path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Undefined if nothing was exported into the folder yet. */
  async target(): Promise<string | undefined> {
    const path = this.file(MARKER);
    const stats = await lstat(path).catch(() => undefined);
    if (!stats?.isFile()) return undefined;
    try {
      await using file = await open(path, 'r');
      const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_MARKER_BYTES), 0, MAX_MARKER_BYTES, 0);
      return buffer.toString('latin1', 0, bytesRead).trim() || undefined;
    } catch {
      return undefined;
    }
  }

  async setTarget(target: string): Promise<void> {
    await this.put(MARKER, Buffer.from(`${target}\n`));
  }

  /** Highest number of the sets in the folder from this layer for this target; 0 without any. */
  async highestNumber(layer: string, target: string): Promise<number> {
    const begin = setName(layer, target, 0).slice(0, -6);
    const numbers = (await readdir(this.path))
      .filter((name) => isListName(name) && name.startsWith(begin))
      .map((name) => Number(name.slice(begin.length, begin.length + 6)))
      .filter((number) => Number.isInteger(number));
    return numbers.reduce((max, number) => Math.max(max, number), 0);
  }

  /** Deletes the files of a set that was never finished. */
  async clear(set: string): Promise<void> {
    const names = (await readdir(this.path)).filter((name) => name.startsWith(`${set}-`));
    if (names.some(isListName)) return;
    for (const name of names) await rm(this.file(name), { force: true });
  }

  /** @throws Fault `no-space` */
  async mustHaveRoom(bytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.path);
    const free = bavail * bsize;
    if (free >= bytes + SPARE_BYTES) return;
    throw new Fault(
      'no-space',
      `${this.path} has ${formatBytes(free)} free, the set needs ${formatBytes(bytes)}: use a larger disk, or export fewer repositories`,
    );
  }

  /** Writes and syncs a file under its final name. */
  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#write(`${name}${UNFINISHED}`, bytes);
    await this.finish(name);
  }

  /** Writes and syncs a file that `finish` moves into its place. */
  async prepare(name: string, bytes: Uint8Array): Promise<void> {
    await this.#write(`${name}${UNFINISHED}`, bytes);
  }

  /** Moves a file that is written and synced into its place. */
  async finish(name: string): Promise<void> {
    await rename(this.file(`${name}${UNFINISHED}`), this.file(name));
  }

  /** Some file systems of removable disks can't sync a folder; they write its entries with those of its files. */
  async sync(): Promise<void> {
    try {
      await using folder = await open(this.path, 'r');
      await folder.sync();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EINVAL' && code !== 'ENOTSUP') throw error;
    }
  }

  /** Nobody knows where a disk comes from: a link on it must not be followed to a file of this machine. */
  async #write(name: string, bytes: Uint8Array): Promise<void> {
    await rm(this.file(name), { force: true });
    await using file = await open(this.file(name), 'wx', FILE_MODE);
    await readableForAll(file);
    await file.writeFile(bytes);
    await file.sync();
  }
}

/** The fault for an error of the file system of the folder; other errors as they are. */
export function targetFault(error: unknown, folder: string): unknown {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  if (Fault.is(error) || code === undefined) return error;
  const because = (text: string, remedy: string) =>
    new Fault('archive-invalid', `${folder} ${text} (${code}): ${remedy}`, { cause: error });
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new Fault('no-space', `${folder} is full (${code}): use a larger disk, then export again`);
    case 'EFBIG':
      return because('takes no files of this size', 'use a smaller --max-size');
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return because("can't be written", 'mount it writable for the account of the layer');
    case 'ENOENT':
    case 'EIO':
    case 'ENODEV':
    case 'ENXIO':
    case 'ESTALE':
      return because('was removed, or its disk is failing', 'nothing of this set counts, export again');
    default:
      return error;
  }
}
