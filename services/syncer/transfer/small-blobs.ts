import { each } from '#proto/async/each.ts';
import {
  type Claim,
  claimTransfers,
  commitTransfers,
  discardIngest,
  MAX_TRANSFER_GROUP,
  releaseClaim,
} from '#proto/content/ingests.ts';
import { Fault, toWire } from '#proto/contract/fault.ts';
import type { Static } from '#proto/contract/schema.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';
import { Extents } from '../link/answers/extents.ts';
import { REQUEST_BYTES } from '../link/bandwidth/bandwidth.ts';
import type { WantedBlob } from './download.ts';
import { type DownloadStepDeps, digestOf, renewing } from './download-steps.ts';
import { MIN_RATE_BYTES } from './pace/gauge.ts';
import { ChunkLog } from './pieces/chunk-log.ts';
import { PieceWriter } from './pieces/piece-writer.ts';
import { logged, PATIENCE } from './steps.ts';
import type { TransferRecorder } from './syncer-status.ts';

/**
 * A group of small blobs: claimed with one request, each fetched with one request into memory and written at once,
 * committed with one request. What does not go that way (a blob of which a part is here, a failure, wrong bytes, a slow
 * link) is left to the machine of a single transfer; bytes that arrived before a failure are in the chunk log then.
 *
 * A kill loses no blob that was written: a complete file without a log is recognized by its digest.
 */

export type SmallBlobDeps = Pick<
  DownloadStepDeps,
  'bus' | 'volume' | 'parent' | 'slots' | 'bandwidth' | 'by' | 'log' | 'signal'
> & { activity: TransferRecorder };

/** Steps to report. */
export type GroupReports = { started(blob: WantedBlob): void; finished(blob: WantedBlob): void };

/** Max time that one connection needs for a blob whose bytes are in memory only until they are complete, in s. */
const MAX_IN_MEMORY_S = 1;

/** Storage did not answer: the claims that it may have granted expire. */
const NO_ANSWERS: Static<typeof claimTransfers.reply> = { answers: [] };

type Held = { blob: WantedBlob; claim: Claim };

export const blobsOf = ({
  repository,
  digest,
  size,
  imageContext,
  others = [],
}: TransferJob): WantedBlob[] => [
  { repository, digest, size, ...(imageContext && { imageContext }) },
  ...others,
];

/** @returns the blobs that are left to single transfers, none of them claimed */
export async function downloadSmallBlobs(
  deps: SmallBlobDeps,
  blobs: readonly WantedBlob[],
  reports: GroupReports,
): Promise<WantedBlob[]> {
  const { rate = 0 } = deps.slots.gauge;
  const isQuick = ({ size }: WantedBlob) => size <= Math.max(MIN_RATE_BYTES, rate * MAX_IN_MEMORY_S);
  const left = blobs.filter((blob) => !isQuick(blob));
  const held: Held[] = [];
  const query = blobs.filter(isQuick).map(({ imageContext, ...blob }) => ({
    ...blob,
    ...(imageContext && { part: imageContext }),
  }));
  if (query.length === 0) return left;
  const { answers } = await deps.bus
    .call(claimTransfers, { by: deps.by, blobs: query }, PATIENCE)
    .catch(() => NO_ANSWERS);
  for (const [i, blob] of blobs.filter(isQuick).entries()) {
    const { claim, fault } = answers[i] ?? {};
    if (fault?.code === 'exists') reports.finished(blob);
    else if (!claim) left.push(blob);
    else if (claim.clean && claim.offset === 0) held.push({ blob, claim });
    else left.push(await release(deps, { blob, claim }));
  }
  const arrived: (Held & { hashed: Digest })[] = [];
  await each(held, MAX_TRANSFER_GROUP, async (one) => {
    using _active = deps.activity.begin({ ...one.blob, direction: 'down' });
    reports.started(one.blob);
    // The single transfer reports what fails again.
    const fetched = renewing(deps, one.claim, (signal) => fetchBlob(deps, one, signal));
    const hashed = await logged(deps, fetched).catch(() => undefined);
    if (hashed) arrived.push({ ...one, hashed });
    else left.push(await release(deps, one));
  });
  return arrived.length > 0 ? left.concat(await commit(deps, arrived, reports)) : left;
}

/** @returns the digest of the blob once all of it is written @throws if it is not complete, or wrong */
async function fetchBlob(
  { parent, slots, bandwidth, volume, activity: { counters } }: SmallBlobDeps,
  { blob, claim }: Held,
  signal: AbortSignal,
): Promise<Digest> {
  const { repository, digest, size } = blob;
  const extent = { start: 0, end: size };
  using slot = await slots.take();
  signal.throwIfAborted();
  await bandwidth.take(size + REQUEST_BYTES, 'down', signal);
  const parts: Buffer[] = [];
  let received = 0;
  const begun = performance.now();
  try {
    const { body } = await (await parent()).blob(repository, digest, size, extent, signal);
    slots.gauge.answered(performance.now() - begun);
    try {
      for await (const bytes of body) {
        signal.throwIfAborted();
        received += bytes.length;
        if (received > size) throw new Fault('parent-invalid', `more than the ${size} bytes of ${digest}`);
        slots.gauge.moved(bytes.length);
        parts.push(bytes);
      }
    } finally {
      body.destroy();
    }
  } catch (error) {
    slots.gauge.failed(error);
    counters.bytes('down', received <= size ? 'new' : 'again', received);
    if (received <= size) await savePart(volume, { blob, claim }, parts);
    throw error;
  }
  const bytes = Buffer.concat(parts);
  const isRight = bytes.length < size || digestOf(bytes, digest) === digest;
  counters.bytes('down', isRight ? 'new' : 'again', bytes.length);
  if (bytes.length < size) {
    await savePart(volume, { blob, claim }, parts);
    throw new Fault(
      'parent-unreachable',
      `the parent stopped sending ${digest} at byte ${received} of ${size}`,
    );
  }
  slots.gauge.carried(size, performance.now() - begun, slot);
  if (!isRight) {
    (await parent()).invalidateBlob?.(repository, digest);
    throw new Fault('parent-invalid', `the parent sent content that is not ${digest}`);
  }
  await using file = await volume.openIngest(claim);
  await file.write([bytes], 0);
  return digest;
}

/** Logs what arrived, so that it does not cross the link again. */
async function savePart(volume: SmallBlobDeps['volume'], { claim }: Held, parts: Buffer[]): Promise<void> {
  if (parts.length === 0) return;
  await using file = await volume.openIngest(claim);
  await using log = await ChunkLog.open(await volume.openLog(claim));
  const writer = new PieceWriter({ file, log, progress: () => {} }, 0, new Extents(log.chunks));
  for (const part of parts) await writer.add(part);
  await writer.end();
}

/** @returns the blobs that could not be committed */
async function commit(
  deps: SmallBlobDeps,
  arrived: (Held & { hashed: Digest })[],
  reports: GroupReports,
): Promise<WantedBlob[]> {
  const left: WantedBlob[] = [];
  const blobs = arrived.map(({ blob: { digest, size }, claim: { id, claim }, hashed }) => ({
    id,
    claim,
    digest,
    size,
    hashed,
  }));
  const answers = await deps.bus.call(commitTransfers, { blobs }, PATIENCE).then(
    (answer) => answer.answers,
    // Single transfers find out which of them storage has committed.
    (error) => arrived.map(() => ({ fault: toWire(error) })),
  );
  for (const [i, one] of arrived.entries()) {
    const { fault } = answers[i] ?? { fault: toWire(new Error('no answer')) };
    if (!fault) reports.finished(one.blob);
    else {
      deps.log.warn(
        { digest: one.blob.digest, code: fault.code, reason: fault.message },
        'cannot commit a blob',
      );
      // Wrong bytes on the disk: they are fetched again.
      if (fault.code === 'digest-invalid' || fault.code === 'size-invalid')
        await deps.bus.call(discardIngest, keyOf(one.claim)).catch(() => {});
      left.push(await release(deps, one));
    }
  }
  return left;
}

/** Releases the claim. One that could not be released expires by itself. */
async function release({ bus }: SmallBlobDeps, { blob, claim }: Held): Promise<WantedBlob> {
  await bus.call(releaseClaim, keyOf(claim)).catch(() => {});
  return blob;
}

const keyOf = ({ id, claim }: Claim) => ({ id, claim });
