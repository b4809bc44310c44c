import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { fromPromise } from 'xstate';
import type { Bus, Log } from '#proto/bus/bus.ts';
import type { BusCaller } from '#proto/bus/roles.ts';
import { missingBlobs } from '#proto/content/blobs.ts';
import {
  CLAIM_RENEW_MS,
  type Claim,
  claimTransfer,
  commitBlob,
  discardIngest,
  releaseClaim,
  renewClaim,
} from '#proto/content/ingests.ts';
import { Fault } from '#proto/contract/fault.ts';
import { type Digest, splitDigest } from '#proto/oci/names.ts';
import { MAX_GROUPED_BYTES, type SavedBytes } from '#proto/sync/transfers.ts';
import type { IngestFile, Volume } from '#proto/volume/volume.ts';
import type { TransferCounters } from '../counters/transfer-counters.ts';
import { type Copied, copyFrames, type PlainBlobs } from '../frames/frames.ts';
import type { Extent } from '../link/answers/extents.ts';
import type { Bandwidth } from '../link/bandwidth/bandwidth.ts';
import { Download, type DownloadOptions, type PartialSource, type WantedBlob } from './download.ts';
import { ChunkLog } from './pieces/chunk-log.ts';
import type { Slots } from './slots.ts';
import { logged, PATIENCE, withGainedBytes } from './steps.ts';
import { type Hold, type Located, transferMachine } from './transfer.machine.ts';

export type DownloadStepDeps = {
  bus: Bus;
  volume: Volume;
  parent: () => Promise<PartialSource>;
  slots: Slots;
  bandwidth: Bandwidth;
  /** Id of this process, as the holder of claims. */
  by: string;
  log: Log;
  /** Ends the transfer cleanly: the bytes that arrived are retained and the claim is released. */
  signal: AbortSignal;
  /** Called once per attempt, with the bytes that are present already, and those of them that were made here. */
  started: (present: number, made?: number) => void;
  /** @param isLast all of it has arrived, but it is not the end of the transfer */
  progress: (done: number, isLast?: boolean) => void;
  /** Called with bytes that were missing and that this attempt copied from other blobs, and with all that are here. */
  copied: (bytes: number, done: number) => void;
  /** Called once the blob is here, if less than all of it crossed the link. */
  saved: (saved: SavedBytes) => void;
  counters: TransferCounters;
  /** Of this process: blobs that are not made of frames. Absent: none is. */
  plainBlobs?: PlainBlobs;
  /** Size of a delta of the blob that failed before, in bytes. */
  failedDelta?: number;
};

/** The transfer machine with the actors of a download. */
export const downloadMachine = (deps: DownloadStepDeps) =>
  machineWith(deps, (wanted) => locateDownload(deps, wanted));

export const machineWith = (deps: DownloadStepDeps, locate: (wanted: WantedBlob) => Promise<Located>) =>
  transferMachine.provide({
    actors: {
      locate: fromPromise(({ input }) => logged(deps, locate(input))),
      wait: fromPromise(({ input: { until } }) =>
        sleep(Math.max(0, until - Date.now()), undefined, { signal: deps.signal }),
      ),
    },
  });

/** Claims the ingest of a blob, or of a delta. */
export async function locateDownload(deps: DownloadStepDeps, wanted: WantedBlob): Promise<Located> {
  const { bus, by } = deps;
  const { repository, digest, size, imageContext, deltaRecord: delta } = wanted;
  const { digests } = await bus.call(missingBlobs, { digests: [digest] }, PATIENCE);
  if (digests.length === 0) return { kind: 'present' };
  const part = imageContext && { part: imageContext };
  const query = { repository, digest, size, by, ...part, ...(delta && { delta }) };
  try {
    const { clean, ...claim } = await bus.call(claimTransfer, query, PATIENCE);
    return { kind: 'claimed', hold: new DownloadHold(deps, wanted, claim, clean) };
  } catch (error) {
    if (Fault.is(error, 'exists')) return { kind: 'present' };
    if (Fault.is(error, 'busy')) return { kind: 'busy' };
    throw error;
  }
}

/** A claim on the blob's ingest. */
class DownloadHold implements Hold {
  readonly #deps: DownloadStepDeps;
  readonly #wanted: WantedBlob;
  readonly #claim: Claim;
  readonly #clean: boolean;
  #downloaded: Downloaded = {};

  /** @param clean false if the bytes on disk must be verified first */
  constructor(deps: DownloadStepDeps, wanted: WantedBlob, claim: Claim, clean: boolean) {
    this.#deps = deps;
    this.#wanted = wanted;
    this.#claim = claim;
    this.#clean = clean;
  }

  async move(): Promise<void> {
    const fetching = downloadBlob(this.#deps, this.#wanted, this.#claim, this.#clean);
    this.#downloaded = await logged(this.#deps, fetching);
  }

  async commit(): Promise<void> {
    const { hashed, saved } = this.#downloaded;
    await logged(this.#deps, commitDownload(this.#deps, this.#wanted, this.#claim, hashed));
    if (saved) this.#deps.saved(saved);
  }

  async release(): Promise<void> {
    await this.#deps.bus.call(releaseClaim, keyOf(this.#claim));
  }

  async discard(): Promise<void> {
    await this.#deps.bus.call(discardIngest, keyOf(this.#claim));
  }
}

/**
 * Verifies what is logged. A small blob may have no log (`small-blobs.ts`): a complete one is recognized by its digest.
 */
async function recoverChunks(log: ChunkLog, file: IngestFile, { digest, size }: WantedBlob): Promise<void> {
  await log.verify(file);
  if (log.chunks.length > 0 || size > MAX_GROUPED_BYTES || (await file.stat()).size !== size) return;
  const bytes = Buffer.alloc(size);
  await file.read(bytes, 0);
  if (digestOf(bytes, digest) === digest) await log.append({ start: 0, end: size, crc: crc32(bytes) });
}

/** `hashed`: the digest, if the attempt wrote all of the blob. */
type Downloaded = { hashed?: Digest | undefined; saved?: SavedBytes | undefined };

async function downloadBlob(
  deps: DownloadStepDeps,
  wanted: WantedBlob,
  claim: Claim,
  clean: boolean,
): Promise<Downloaded> {
  return renewing(deps, claim, async (signal) => {
    await using file = await deps.volume.openIngest(claim);
    await using log = await ChunkLog.open(await deps.volume.openLog(claim));
    const mayBeComplete = claim.offset === wanted.size && wanted.size <= MAX_GROUPED_BYTES;
    if (!clean || mayBeComplete) await recoverChunks(log, file, wanted);
    const { link, frames, delta } = log.origins;
    let made = frames + delta;
    let reached = link + made;
    deps.started(reached, made);
    const { slots, bandwidth, counters } = deps;
    const parent = await deps.parent();
    const kind = parent.isPartial && !wanted.deltaRecord ? 'cut-through' : 'new';
    const progress = (done: number) => {
      counters.bytes('down', kind, done - reached);
      reached = done;
      deps.progress(done);
    };
    const wasted = async (bytes: number) => {
      counters.bytes('down', 'again', bytes);
      if (made > 0) await log.addRepeated(bytes);
    };
    const transfer = { parent, file, log, slots, bandwidth, signal, progress, wasted };
    let gained = 0;
    const fetch = async (options: DownloadOptions) => {
      const download = new Download(wanted, transfer, options);
      try {
        return await download.run();
      } finally {
        gained += download.gained;
      }
    };
    const fetchPart = async (within: Extent) => void (await fetch({ within }));
    // A delta is no layer.
    const plainBlobs = wanted.deltaRecord ? undefined : deps.plainBlobs;
    const { throughput } = slots.gauge;
    try {
      const copied =
        plainBlobs &&
        (await copyFrames({ ...deps, plainBlobs, throughput, signal }, wanted, { file, log }, fetchPart));
      if (copied) {
        made += copied.bytes;
        reached += copied.bytes;
        deps.copied(copied.bytes, reached);
      }
      const hashed = await fetch({ sparse: made > 0 });
      return { hashed, saved: savedOf(log, copied, deps.failedDelta) };
    } catch (error) {
      throw withGainedBytes(error, gained);
    }
  });
}

/** By the log, as earlier attempts and other processes may have made most of it. @param failedDelta its size */
function savedOf(
  { origins: { frames, delta }, repeated }: ChunkLog,
  copied: Copied | undefined,
  failedDelta = 0,
): SavedBytes | undefined {
  const bytes = frames + Math.max(0, delta - failedDelta) - repeated;
  const cpuMs = copied && { cpuMs: copied.cpuMs };
  return bytes > 0 ? { by: frames >= delta ? 'frames' : 'delta', bytes, ...cpuMs } : undefined;
}

/**
 * @param hashed digest of the content, if one attempt wrote all of it in order
 * @param isMadeRight whether what did not cross the link is known to be right
 */
export async function commitDownload(
  deps: DownloadStepDeps,
  wanted: WantedBlob,
  claim: Claim,
  hashed: Digest | undefined,
  isMadeRight = false,
): Promise<void> {
  const { digest, size, deltaRecord: delta } = wanted;
  await renewing(deps, claim, async (signal) => {
    try {
      const query = { ...keyOf(claim), digest, size, ...(hashed && { hashed }), ...(delta && { delta }) };
      await deps.bus.call(commitBlob, query, { ...PATIENCE, signal });
    } catch (error) {
      if (Fault.is(error, 'digest-invalid', 'size-invalid'))
        await explainMismatch(deps, wanted, claim, { cause: error, isMadeRight });
      throw error;
    }
  });
}

/**
 * The content does not match its digest or size. If the disk lost bytes, or other bytes were made here than those of
 * the blob, only those are fetched again. Otherwise the parent sent wrong bytes; it is unknown which ones, so the
 * ingest is discarded.
 * @throws Fault `unavailable` or `parent-invalid`, always
 */
async function explainMismatch(
  { bus, volume, parent, plainBlobs, counters, log: logger }: DownloadStepDeps,
  { repository, digest }: WantedBlob,
  claim: Claim,
  { cause, isMadeRight }: { cause: Fault; isMadeRight: boolean },
): Promise<never> {
  await using file = await volume.openIngest(claim);
  await using log = await ChunkLog.open(await volume.openLog(claim));
  const lost = await log.verify(file);
  if (lost > 0) {
    throw new Fault('unavailable', `the data volume lost ${lost} bytes of ${digest}`, { cause });
  }
  const { frames, delta } = log.origins;
  if (frames + delta > 0 && !isMadeRight) {
    await log.dropMade();
    if (frames > 0) {
      plainBlobs?.add(digest);
      counters.frameMismatches += 1;
      logger.warn({ digest, bytes: frames }, 'frames of other layers do not fit; requesting them');
    }
    if (delta > 0) {
      counters.deltas.mismatched('apply');
      logger.warn({ digest, bytes: delta }, 'a part that a delta made does not fit; requesting it');
    }
    const what =
      frames > 0
        ? `the layers here do not have the frames of ${digest}`
        : `a delta made wrong bytes of ${digest}`;
    throw new Fault('unavailable', `${what}: all of it comes`, { cause });
  }
  await bus.call(discardIngest, keyOf(claim), PATIENCE);
  (await parent()).invalidateBlob?.(repository, digest);
  throw new Fault('parent-invalid', `the parent sent content that is not ${digest}: ${cause.message}`, {
    cause,
  });
}

/** Renews the claim while `task` runs. If the claim is lost, the task's signal aborts with `claim-lost`. */
export async function renewing<T>(
  { bus, signal }: { bus: BusCaller; signal: AbortSignal },
  claim: Claim,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lost = new AbortController();
  const renew = () =>
    bus.call(renewClaim, keyOf(claim)).catch((error) => {
      // No answer is not a loss: this process has the claim until storage says otherwise.
      if (Fault.is(error, 'claim-lost')) lost.abort(error);
    });
  const timer = setInterval(renew, CLAIM_RENEW_MS);
  try {
    return await task(AbortSignal.any([signal, lost.signal]));
  } finally {
    clearInterval(timer);
  }
}

const keyOf = ({ id, claim }: Claim) => ({ id, claim });

/** Digest of the bytes, in the algorithm of another one. */
export function digestOf(bytes: Uint8Array, like: Digest): Digest {
  const [algorithm] = splitDigest(like);
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}
