import type { BusCaller } from '#proto/bus/roles.ts';
import { locateBlob } from '#proto/content/blobs.ts';
import { BoundedMap } from '#proto/contract/bounded-map.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Log } from '#proto/contract/log.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { TransferJob } from '#proto/sync/transfers.ts';
import type { BlobFile, Volume } from '#proto/volume/volume.ts';
import type { Extent } from '../link/answers/extents.ts';
import { CopiedBytes } from './copied-bytes.ts';
import { fill, type Ingest } from './fill.ts';
import type { TocPlace } from './footer.ts';
import { matchSegments } from './match.ts';
import { OddLayer } from './odd-layer.ts';
import { locateToc, readSegments } from './read-toc.ts';
import { WindowReader } from './window-reader.ts';

/**
 * Frames: a layer in zstd:chunked or eStargz comes from any registry without the parts that other layers here have.
 *
 * Each file of such a layer is compressed by itself, and a table of contents at the end says where and what each is.
 * Before a layer is downloaded, the tables of the layers that it may resemble are read (`footer.ts`, `read-toc.ts`,
 * `toc-entries.ts`). If they have one, the end of the layer is requested, with its table. `segments.ts` cuts both into
 * what was compressed by itself, `match.ts` finds what is equal, `copied-bytes.ts` chooses what is worth to be copied,
 * `fill.ts` writes it into the ingest. What is missing then is requested as after any interruption.
 *
 * A table of contents is only believed: the digest of the complete layer decides. If it differs, what was copied is
 * requested, too, and the layer is not tried again. A layer without a table, or with an odd one, comes as any other.
 */

type FramedBlob = Pick<TransferJob, 'repository' | 'digest' | 'size' | 'frames'>;

export type FrameDeps = {
  bus: BusCaller;
  volume: Pick<Volume, 'openBlob'>;
  log: Log;
  signal: AbortSignal;
  /** Of this process. */
  plainBlobs: PlainBlobs;
  /** Of the link, in bytes/s; undefined if it was not measured. */
  throughput: number | undefined;
};

/** Bytes of a layer that were missing, and that this call copied from others; it took `cpuMs` of its thread. */
export type Copied = { bytes: number; cpuMs: number };

/** Throughput of a link, in bytes/s, that brings a layer sooner than it is compared with others. */
const FAST = 50_000_000;
/** Max blobs that are remembered. */
const MAX_PLAIN = 10_000;
/** The end of a layer is requested with this factor on that of a layer that it resembles, and these bytes. */
const TAIL_FACTOR = 1.05;
const TAIL_BYTES = 2 * 1024;

/** Blobs that are not made of frames: it failed, or they have none. */
export class PlainBlobs {
  readonly #blobs = new BoundedMap<true>(MAX_PLAIN);

  has(digest: Digest): boolean {
    return this.#blobs.has(digest);
  }

  add(digest: Digest): void {
    this.#blobs.set(digest, true);
  }
}

/**
 * Fills the ingest of a layer with bytes of layers that are here.
 * @param fetch requests what is missing in a part of the layer
 * @returns undefined if the layer comes as any other
 * @throws Fault of `fetch`, or `no-space`
 */
export async function copyFrames(
  deps: FrameDeps,
  wanted: FramedBlob,
  ingest: Ingest,
  fetch: (part: Extent) => Promise<void>,
): Promise<Copied | undefined> {
  const { log, plainBlobs, signal, throughput = 0 } = deps;
  const { digest, frames } = wanted;
  if (!frames || throughput > FAST || plainBlobs.has(digest)) return undefined;
  await using bases = await openBases(deps, wanted, frames.bases);
  try {
    const tailStart = tailStartOf(wanted.size, bases.open);
    if (tailStart <= 0) return undefined;
    const place = await fetchToc(wanted, ingest, tailStart, fetch);
    const before = process.threadCpuUsage();
    const segments = await readSegments(ingest.file, place, signal);
    const copied = new CopiedBytes();
    for (const base of bases.open) {
      if (base.place.compression !== place.compression) continue;
      const copies = matchSegments(segments, await readSegments(base.file, base.place, signal));
      if (copies) copied.add(new WindowReader(base.file), copies);
      else log.debug({ digest, base: base.digest }, 'another encoder made the layer here');
    }
    const rows = copied.rows(tailStart);
    const bytes = await fill(ingest, copied, rows, signal);
    log.debug({ digest, bytes, rows: rows.length }, 'frames of other layers were copied');
    const { user, system } = process.threadCpuUsage(before);
    return { bytes, cpuMs: Math.round((user + system) / 1_000) };
  } catch (error) {
    // Another error is one of the disk: if the ingest has it too, the transfer meets it again.
    if (Fault.is(error) || signal.aborted) throw error;
    plainBlobs.add(digest);
    const { message: reason } = error as Error;
    log.info({ digest, reason }, 'the layer comes without the use of its frames');
    return undefined;
  }
}

type Base = { digest: Digest; file: BlobFile; size: number; place: TocPlace };

/** Opens the layers here that have a table of contents. */
async function openBases(
  { bus, volume }: FrameDeps,
  { repository }: FramedBlob,
  digests: readonly Digest[],
): Promise<AsyncDisposable & { open: Base[] }> {
  const files = new AsyncDisposableStack();
  const open: Base[] = [];
  for (const digest of digests) {
    const found = await bus.call(locateBlob, { repository, digest }).catch((error) => {
      if (Fault.is(error, 'blob-unknown', 'name-unknown')) return undefined;
      throw error;
    });
    const file = found && (await volume.openBlob(found));
    if (!found || !file) continue;
    files.use(file);
    const place = await locateToc(file, found.size);
    if (place) open.push({ digest, file, size: found.size, place });
  }
  return { open, [Symbol.asyncDispose]: () => files.disposeAsync() };
}

/**
 * Where the part at the end begins that is requested first. The table of a layer is about as long as that of one that
 * it resembles, so one request brings all of it, in general.
 * @returns 0 or less if there is no reason to request it
 */
function tailStartOf(size: number, bases: readonly Base[]): number {
  if (bases.length === 0) return 0;
  const longest = bases.reduce((max, base) => Math.max(max, base.size - base.place.end), 0);
  return size - Math.ceil(longest * TAIL_FACTOR) - TAIL_BYTES;
}

/** @throws OddLayer if the layer has no table */
async function fetchToc(
  { size }: FramedBlob,
  { file }: Ingest,
  tailStart: number,
  fetch: (part: Extent) => Promise<void>,
): Promise<TocPlace> {
  await fetch({ start: tailStart, end: size });
  const place = await locateToc(file, size);
  if (!place) throw new OddLayer('it has no table of contents, unlike layers here');
  if (place.end < tailStart) await fetch({ start: place.end, end: tailStart });
  return place;
}
