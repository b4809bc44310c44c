import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { splitDigest } from '#proto/oci/names.ts';
import { hashOnDisk, type Place } from './direct-read.ts';
import type { Pace } from './pace.ts';

const READ_BYTES = 1024 * 1024;

export type Content = { digest: string; size: number };

/** From where copies were read to verify them: past the cache of the system, if the file system permits it. */
export type ReadBack = 'disk' | 'cache';

/** Where a copy is written first, and where it is moved to once it is verified. Both on one file system. */
export type CopyTarget = { temporary: string; path: string; mode: number };

/**
 * Copies content to a file of its own: written, synced, read back, compared with its digest, then renamed. Sync the
 * folder of `path` afterwards.
 * @throws Error if the copy could not be written as it is
 */
export async function copyContent(
  content: Content,
  from: Place,
  { temporary, path, mode }: CopyTarget,
  pace: Pace,
): Promise<ReadBack | 'damaged'> {
  try {
    {
      await using copy = await open(temporary, 'w', 0o600);
      if (!(await copyBytes(content, from, copy, 0, pace))) return 'damaged';
      if (mode !== 0o600) await copy.chmod(mode);
      await copy.sync();
    }
    const copy = { path: temporary, offset: 0, size: content.size };
    const readBack = await verifyCopy(content, copy, pace);
    await rename(temporary, path);
    return readBack;
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Compares a copy with its digest.
 * @param pace that of the source: these bytes do not count
 * @throws Error if it differs: the medium does not keep what is written to it
 */
export async function verifyCopy({ digest, size }: Content, copy: Place, pace: Pace): Promise<ReadBack> {
  const [algorithm, hex] = splitDigest(digest);
  const read = await hashOnDisk(copy, algorithm, () => pace(0));
  if (read.hex !== hex || read.size !== size) throw new Error(`${copy.path} is not as it was written`);
  return read.direct ? 'disk' : 'cache';
}

/** Copies content into an open file. @returns false if the source lacks these bytes, or has other ones */
export async function copyBytes(
  { digest, size }: Content,
  { path, offset }: Place,
  to: FileHandle,
  position: number,
  pace: Pace,
): Promise<boolean> {
  const [algorithm, hex] = splitDigest(digest);
  const sum = createHash(algorithm);
  const source = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!source) return false;
  await using file = source;
  const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, Math.max(1, size)));
  for (let at = 0; at < size; ) {
    const wanted = Math.min(buffer.byteLength, size - at);
    const { bytesRead } = await file.read(buffer, 0, wanted, offset + at).catch((error) => {
      if ((error as NodeJS.ErrnoException).code === 'EIO') return { bytesRead: 0 };
      throw error;
    });
    if (bytesRead === 0) return false;
    sum.update(buffer.subarray(0, bytesRead));
    for (let done = 0; done < bytesRead; )
      done += (await to.write(buffer, done, bytesRead - done, position + at + done)).bytesWritten;
    at += bytesRead;
    await pace(bytesRead);
  }
  return sum.digest('hex') === hex;
}
