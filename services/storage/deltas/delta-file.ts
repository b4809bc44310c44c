import type { DeltaRecord } from '#proto/content/deltas.ts';
import { FORMAT, readHeader, type Stored } from '#proto/delta/format/header.ts';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { OpenFile } from '../content/open-file.ts';

/**
 * Whether the header of a file says what the record says: otherwise a claim could have any content served as a delta.
 * A format that this version does not know is none.
 */
export function isDeltaFile(path: string, size: number, { format, to, toSize, from }: DeltaRecord): boolean {
  if (format !== FORMAT) return false;
  try {
    using file = new OpenFile(path, 'r');
    const { target, bases } = readHeader({ size, read: (bytes, at) => file.read(bytes, at) });
    const isTarget = target.length === toSize && hasDigest(target, to);
    return (
      isTarget && bases.length === from.length && bases.every((base, i) => hasDigest(base, from[i] ?? ''))
    );
  } catch (error) {
    const isUnreadable = ['ENOENT', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '');
    if (error instanceof DeltaInvalid || isUnreadable) return false;
    throw error;
  }
}

/** The header has SHA-256 of blobs that are named by SHA-512, too: those are not compared. */
function hasDigest({ sha256 }: Stored, digest: string): boolean {
  const [algorithm, hex] = splitDigest(digest);
  return algorithm !== 'sha256' || Buffer.from(sha256).toString('hex') === hex;
}
