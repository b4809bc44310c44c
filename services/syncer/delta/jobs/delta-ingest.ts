import type { BusCaller } from '#proto/bus/roles.ts';
import type { DeltaRecord } from '#proto/content/deltas.ts';
import { type Claim, commitBlob, discardIngest, startUpload } from '#proto/content/ingests.ts';
import type { Digest, Repository } from '#proto/oci/names.ts';
import type { Volume } from '#proto/volume/volume.ts';
import { renewing } from '../../transfer/download-steps.ts';
import { PATIENCE } from '../../transfer/steps.ts';

export type IngestDeps = { bus: BusCaller; volume: Volume; by: string };
type Commit = {
  digest: Digest;
  size: number;
  /** Where the content is linked, unless it is a delta. */
  repository?: Repository;
  delta?: DeltaRecord;
};
type Write = (bytes: Buffer) => Promise<void>;

/**
 * Writes content into an ingest of its own, and commits it.
 * @param write writes all bytes; returns what to commit, or undefined to discard the ingest. Its signal aborts with
 * `claim-lost`, too
 * @throws Fault as `commitBlob`; what `write` throws. The ingest is discarded then
 */
export async function ingest<T extends { commit: Commit | undefined }>(
  { bus, volume, by }: IngestDeps,
  repository: Repository,
  signal: AbortSignal,
  write: (onBytes: Write, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const claim = await bus.call(startUpload, { repository, by, hold: true, alone: true }, PATIENCE);
  const held = { id: claim.id, claim: claim.claim };
  let isCommitted = false;
  try {
    return await renewing({ bus, signal }, claim, async (lost) => {
      const done = await writeInto(volume, claim, (onBytes) => write(onBytes, lost));
      if (done.commit) {
        const { digest, delta } = done.commit;
        // A delta was applied before it was written: storage compares the file with what was applied.
        const hashed = delta ? {} : { hashed: digest };
        await bus.call(commitBlob, { ...held, ...done.commit, ...hashed }, { ...PATIENCE, signal: lost });
        isCommitted = true;
      }
      return done;
    });
  } finally {
    if (!isCommitted) await bus.call(discardIngest, held).catch(() => {});
  }
}

async function writeInto<T>(volume: Volume, claim: Claim, write: (onBytes: Write) => Promise<T>): Promise<T> {
  await using file = await volume.openIngest(claim);
  let at = 0;
  return await write(async (bytes) => {
    await file.write([bytes], at);
    at += bytes.length;
  });
}
