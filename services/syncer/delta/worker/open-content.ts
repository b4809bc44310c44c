import { createHash } from 'node:crypto';
import { Fault } from '#proto/contract/fault.ts';
import { piecesOf } from '#proto/delta/bytes/bytes.ts';
import type { DeltaBlob } from '#proto/delta/delta.ts';
import { splitDigest } from '#proto/oci/names.ts';
import { FileBytes } from './file-bytes.ts';
import type { WorkLimits } from './limits.ts';
import type { Content } from './task.ts';

const READ_BYTES = 1024 * 1024;

/**
 * Opens content, until the process ends, and reads all of it once: so damage is found, and named, before anything is
 * made of it.
 * @throws Fault `blob-unknown`; `digest-invalid` with its digest as detail; `unsupported`; those of the limits
 */
export function openContent({ digest, size, path }: Content, limits: WorkLimits): DeltaBlob {
  const sha256 = sha256Of(digest);
  const bytes = openFile(digest, path);
  const hash = createHash('sha256');
  if (bytes.size === size) {
    for (const piece of piecesOf(bytes, 0, size, READ_BYTES)) {
      limits.throwIfAborted();
      hash.update(piece);
    }
  }
  if (!hash.digest().equals(sha256)) {
    throw new Fault('digest-invalid', `${digest} is damaged on the data volume`, { detail: { digest } });
  }
  return { bytes, sha256 };
}

/** @throws Fault `unsupported` if it is of another algorithm */
export function sha256Of(digest: string): Buffer {
  const [algorithm, hex] = splitDigest(digest);
  if (algorithm !== 'sha256') throw new Fault('unsupported', `deltas need sha256, and not ${algorithm}`);
  return Buffer.from(hex, 'hex');
}

function openFile(digest: string, path: string): FileBytes {
  try {
    return new FileBytes(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new Fault('blob-unknown', `${digest} was deleted`, { cause, detail: { digest } });
  }
}
