import { setTimeout as sleep } from 'node:timers/promises';
import { jittered } from '#proto/async/backoff.ts';
import type { ImageContext } from '#proto/content/arriving.ts';
import type { DeltaRecord } from '#proto/content/deltas.ts';
import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import type { FramesHint } from '#proto/sync/transfers.ts';
import { MAX_RANGES, type Positioned } from '../link/answers/byte-ranges.ts';
import { type Extent, Extents } from '../link/answers/extents.ts';
import { type Bandwidth, REQUEST_BYTES } from '../link/bandwidth/bandwidth.ts';
import type { BlobSource } from '../link/parent/parent-reader.ts';
import { OrderedHash } from './pieces/ordered-hash.ts';
import {
  isTooSlow,
  joinBytes,
  type PieceSizing,
  Pieces,
  pieceSize,
  RANGE_COST,
} from './pieces/piece-sizing.ts';
import { PieceWriter, type WriterDeps } from './pieces/piece-writer.ts';
import { type RequestInFlight, RequestsInFlight } from './pieces/requests-in-flight.ts';
import { watchRequests } from './pieces/watch-requests.ts';
import type { Slot, Slots } from './slots.ts';

/** Interval of syncs to disk, in ms: it bounds the loss of a power cut. */
const SYNC_MS = 2_000;
/** Min bytes that a request must gain before it breaks, else it counts as a failure. */
const MIN_PROGRESS = 64 * 1024;
/** How long a slot backs off, in ms, if its request gained too little while others make progress. */
const BACKOFF_MS = 1_000;

/** The blob to transfer, or the delta. `imageContext` is for the layers below. */
export type WantedBlob = {
  repository: string;
  digest: Digest;
  size: number;
  imageContext?: ImageContext;
  /** The content is this delta. */
  deltaRecord?: DeltaRecord;
  frames?: FramesHint;
};
/**
 * Source of a blob's bytes. `isPartial`: an answer may hold fewer bytes than requested, and bandwidth is taken as
 * they arrive.
 */
export type PartialSource = BlobSource & { readonly isPartial?: boolean };
export type DownloadDeps = WriterDeps & {
  parent: PartialSource;
  /** Connections, shared by all transfers of this process. */
  slots: Slots;
  bandwidth: Bandwidth;
  signal: AbortSignal;
  /** Called with bytes that arrived in vain: they were present, or were lost before they were logged. */
  wasted?: (bytes: number) => Promise<void>;
};

/** `within`: only this part. `sparse`: many small parts are present, between others that are missing. */
export type DownloadOptions = { within?: Extent; sparse?: boolean };

/**
 * Fetches the missing chunks of one blob: several ranged requests at a time, each written at its offset and logged.
 * If a request breaks after some progress, its own or of the others, its remaining bytes are requested again. If it
 * breaks without progress, the attempt ends once the others have finished their chunks.
 *
 * A parent that ignores `Range` is read in sequence by one connection; bytes that are present already are skipped.
 */
export class Download {
  readonly #wanted: WantedBlob;
  readonly #deps: DownloadDeps;
  readonly #present: Extents;
  readonly #pieces: Pieces;
  readonly #requests = new RequestsInFlight();
  /** Nothing is left to request. */
  #isEnding = false;
  #failure: unknown;
  /** The parent ignores `Range`. */
  #sequential = false;
  /** Of one request; more than 1 if small parts are missing, until the parent does not send several. */
  #maxRanges = 1;
  /** Of the bytes that one request for the complete blob receives. */
  #hash: OrderedHash | undefined;
  #gained = 0;

  constructor(wanted: WantedBlob, deps: DownloadDeps, { within, sparse = false }: DownloadOptions = {}) {
    this.#wanted = wanted;
    this.#deps = deps;
    this.#present = new Extents(deps.log.chunks);
    this.#pieces = new Pieces(this.#present, wanted.size, within);
    if (!sparse) return;
    if (deps.parent.blobParts) this.#maxRanges = MAX_RANGES;
    this.#pieces.join(joinBytes(this.#maxRanges, deps.slots.gauge));
  }

  /** Bytes that were missing before this attempt and are present now. Bytes fetched twice are no progress. */
  get gained(): number {
    return this.#gained;
  }

  /**
   * @returns the digest, if this attempt wrote all bytes, in order from byte 0
   * @throws Fault; the bytes that arrived are logged and synced
   */
  async run(): Promise<Digest | undefined> {
    const { file, log, slots } = this.#deps;
    using _watch = watchRequests(this.#requests, slots, () => this.#isEnding && !this.#sequential);
    let syncing: Promise<void> = Promise.resolve();
    const sync = () => {
      syncing = syncing.then(() => file.sync()).then(() => log.sync());
      // A failure is passed on to the last sync, which is awaited.
      syncing.catch(() => {});
    };
    const timer = setInterval(sync, SYNC_MS);
    try {
      await this.#assignPieces();
    } finally {
      clearInterval(timer);
      if (this.#failure) sync();
      await syncing.catch((error) => this.#fail(error));
    }
    if (this.#failure) throw this.#failure;
    return this.#hash?.digest(this.#wanted.size);
  }

  /**
   * Gives the next piece to each free slot. Waits for one slot at a time, so that all transfers have turns. The first
   * answer shows whether ranges are honoured; only then do other connections join.
   */
  async #assignPieces(): Promise<void> {
    const { slots, parent } = this.#deps;
    const running = new Set<Promise<void>>();
    let isRanged = false;
    slots.gauge.roundTrip(parent.roundTripMs);
    while (!this.#failure) {
      if (this.#pieces.left === 0) {
        if (running.size === 0) break;
        await this.#anyEnd(running);
        continue;
      }
      const slot = await slots.take();
      const sizing = this.#sizingFor(slot);
      if (running.size > 0 && isTooSlow(this.#pieces.left, sizing)) {
        slot[Symbol.dispose]();
        await this.#anyEnd(running);
        continue;
      }
      const piece = this.#failure ? [] : this.#pieces.next(sizing, this.#maxRanges);
      if (piece.length === 0) {
        slot[Symbol.dispose]();
        continue;
      }
      if (!isRanged && this.#pieces.left > 0) this.#prepareConnections(sizing);
      const { promise: ranged, resolve } = Promise.withResolvers<void>();
      const onRanged = () => {
        isRanged = true;
        resolve();
      };
      const run = this.#work(piece, slot, onRanged).finally(() => {
        running.delete(run);
        slot[Symbol.dispose]();
      });
      running.add(run);
      if (!isRanged) await Promise.race([ranged, run]);
    }
    await Promise.all(running);
  }

  #sizingFor(slot: Slot): PieceSizing {
    const { slots, bandwidth } = this.#deps;
    const { rate: average, throughput: total, roundTripMs } = slots.gauge;
    const { maxPieceBytes: maxBytes } = bandwidth;
    return { own: slot.rate, average, total, roundTripMs, connections: slots.count, maxBytes };
  }

  /** The other connections are opened while the first answer is awaited. */
  #prepareConnections(sizing: PieceSizing): void {
    const { parent, slots } = this.#deps;
    const pieces = 1 + Math.ceil(this.#pieces.left / pieceSize(this.#pieces.left, sizing));
    parent.prepareConnections?.(Math.min(pieces, slots.count));
  }

  /** Waits until one request ends. One that breaks, or is late, gives back its missing bytes. */
  async #anyEnd(running: Set<Promise<void>>): Promise<void> {
    this.#isEnding = true;
    await Promise.race(running);
    this.#isEnding = false;
  }

  /** @param piece one extent, or several small ones */
  async #work(piece: Extent[], slot: Slot, onRanged: () => void): Promise<void> {
    const { size, digest } = this.#wanted;
    const [{ start, end } = { start: 0, end: 0 }] = piece;
    // Hashing while writing pays only if one request covers the complete blob: no other one writes in its middle then.
    if (start === 0 && end === size) this.#hash = new OrderedHash(digest);
    const writer = new PieceWriter(this.#deps, start, this.#present);
    const before = this.#present.bytes;
    const { bandwidth, signal, slots } = this.#deps;
    try {
      const headers = REQUEST_BYTES + (piece.length - 1) * RANGE_COST;
      await bandwidth.take(this.#prepaid(...piece) + headers, 'down', signal);
      using request = this.#requests.begin(signal);
      try {
        if (piece.length > 1) await this.#fetchSeveral(piece, writer, request, onRanged);
        else await this.#fetch({ start, end }, writer, slot, request, onRanged);
      } catch (error) {
        if (!request.isSuperseded) throw error;
        await writer.end();
      }
    } catch (error) {
      await writer.end().catch((failure) => this.#fail(failure));
      if (!signal.aborted) slots.gauge.failed(error);
      const progressed = this.#present.bytes - before >= MIN_PROGRESS;
      if (this.#sequential || !progressed || !isBroken(error)) this.#fail(error);
      else if (writer.gained < MIN_PROGRESS) await sleep(jittered(BACKOFF_MS));
    } finally {
      this.#gained += writer.gained;
      if (!this.#sequential) this.#giveBack(piece, writer.at);
      const wasted = writer.received - writer.gained;
      if (wasted > 0) await this.#deps.wasted?.(wasted).catch((failure) => this.#fail(failure));
    }
  }

  /** @param at offset up to which one extent has arrived */
  #giveBack(piece: Extent[], at: number): void {
    const [{ start, end } = { start: 0, end: 0 }] = piece;
    if (piece.length === 1) this.#pieces.giveBack({ start: Math.max(start, at), end });
    else {
      const gaps = piece.flatMap(({ start, end }) => this.#present.missing(end, start));
      for (const gap of gaps) this.#pieces.giveBack(gap);
    }
    if (piece.length > 1 && this.#maxRanges === 1) this.#pieces.join(joinBytes(1, this.#deps.slots.gauge));
  }

  async #fetch(
    piece: Extent,
    writer: PieceWriter,
    slot: Slot,
    request: RequestInFlight,
    onRanged: () => void,
  ): Promise<void> {
    const { repository, digest, size } = this.#wanted;
    const { parent, slots } = this.#deps;
    const begun = performance.now();
    const answer = await parent.blob(repository, digest, size, piece, request.signal);
    request.onBytes();
    let { end = piece.end } = answer;
    if (end > piece.start) slots.gauge.answered(performance.now() - begun);
    if (answer.ranged) onRanged();
    else if (piece.start > 0 || piece.end < size) {
      if (this.#sequential) return answer.body.destroy();
      this.#sequential = true;
      this.#pieces.clear();
      writer.at = 0;
      end = size;
    }
    if (!parent.isPartial) request.expect(end - piece.start);
    await this.#read(positioned(answer.body, writer.at), answer.body, {
      writer,
      request,
      end,
      paid: this.#prepaid(piece),
    });
    if (writer.at < end) {
      throw new Fault(
        'parent-unreachable',
        `the parent stopped sending ${digest} at byte ${writer.at} of ${end}`,
      );
    }
    slots.gauge.carried(end - piece.start, performance.now() - begun, slot);
    await writer.end();
  }

  /** Fetches several extents with one request. If the parent sends one at a time, the others are given back. */
  async #fetchSeveral(
    piece: Extent[],
    writer: PieceWriter,
    request: RequestInFlight,
    onRanged: () => void,
  ): Promise<void> {
    const { repository, digest, size } = this.#wanted;
    const { parent, slots } = this.#deps;
    const begun = performance.now();
    const ranges = await parent.blobParts?.(repository, digest, size, piece, request.signal);
    request.onBytes();
    slots.gauge.answered(performance.now() - begun);
    if (!ranges || ranges.one) this.#maxRanges = 1;
    if (!ranges) return;
    onRanged();
    const paid = this.#prepaid(...piece);
    if (!ranges.one) request.expect(paid);
    await this.#read(ranges, ranges, { writer, request, end: size, paid });
    await writer.end();
    // An answer to one range is checked, so that a parent that leaves out parts is not asked without end.
    if (piece.some(({ start, end }) => this.#present.missing(end, start).length > 0)) this.#maxRanges = 1;
  }

  /** Bytes of the piece for which bandwidth is taken before the request. */
  #prepaid(...piece: Extent[]): number {
    return this.#deps.parent.isPartial ? 0 : piece.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** @param paid bytes for which bandwidth is taken already; for further ones it is taken as they arrive */
  async #read(
    parts: AsyncIterable<Positioned>,
    body: { destroy(): void },
    { writer, request, end, paid }: Reading,
  ): Promise<void> {
    const { signal, slots, bandwidth } = this.#deps;
    let received = 0;
    try {
      for await (const { at, bytes } of parts) {
        signal.throwIfAborted();
        await writer.seek(at);
        if (writer.at + bytes.length > end) {
          const { size, digest } = this.#wanted;
          throw new Fault('parent-invalid', `the parent sent more than the ${size} bytes of ${digest}`);
        }
        request.onBytes(bytes.length);
        slots.gauge.moved(bytes.length);
        received += bytes.length;
        if (received > paid) await bandwidth.take(Math.min(bytes.length, received - paid), 'down', signal);
        this.#hash?.update(bytes, writer.at);
        await writer.add(bytes);
        request.onBytes();
      }
    } finally {
      body.destroy();
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error ?? new Error('failed');
  }
}

/** `end`: no byte may follow it. */
type Reading = { writer: PieceWriter; request: RequestInFlight; end: number; paid: number };

async function* positioned(body: AsyncIterable<Buffer>, start: number): AsyncGenerator<Positioned> {
  let at = start;
  for await (const bytes of body) {
    yield { at, bytes };
    at += bytes.length;
  }
}

/** A connection that broke, as opposed to an answer of the parent. */
const isBroken = (error: unknown): boolean =>
  Fault.is(error, 'parent-unreachable') && error.detail?.status === undefined;
