import type { ByteSink, Bytes, Scratch } from './bytes/bytes.ts';
import { meteredBytes, meteredScratch, meteredSink } from './bytes/metered.ts';
import { DeflateInvalid, DeflateTooLong } from './deflate/parse.ts';
import type { ExpansionOptions } from './expansion/expansion.ts';

/** Bounds of one call. They hold for any blobs, and for any delta. */
export type DeltaBounds = {
  /** Bytes of the content of one blob, or of all bases together, with embedded streams inflated. */
  maxContentBytes: number;
  /** The same, as a multiple of the stored bytes of the target and all bases. Deflate has at most 1,032. */
  maxContentRatio: number;
  /** Bytes that are written to scratch bytes, all together. */
  maxScratchBytes: number;
  maxTimeMs: number;
};

export type DeltaOptions = {
  /** Makes scratch bytes. Each call makes up to 60 of them; they are not used once the call, and its delta, are. */
  scratch: () => Scratch;
  bounds: DeltaBounds;
  /** Polled every few milliseconds. An `AbortSignal` is one, if something else can abort it during the call. */
  signal?: { throwIfAborted(): void };
};

/** A bound of the call was exceeded. A delta is not possible, or not worth its price: send the blob as it is. */
export class DeltaLimitExceeded extends Error {}

/** Content of small blobs may be larger than the ratio allows. */
const SPARE_CONTENT_BYTES = 1024 * 1024;

/** What one call uses: its scratch bytes are counted, and its time and signal are polled with each read and write. */
export class BoundedWork {
  readonly #options: DeltaOptions;
  readonly #end: number;
  #scratchBytes = 0;

  constructor(options: DeltaOptions) {
    this.#options = options;
    this.#end = performance.now() + options.bounds.maxTimeMs;
  }

  /** @throws DeltaLimitExceeded, and what the signal throws */
  readonly poll = (): void => {
    this.#options.signal?.throwIfAborted();
    if (performance.now() > this.#end) {
      throw new DeltaLimitExceeded('it takes longer than its time');
    }
  };

  bytes(bytes: Bytes): Bytes {
    return meteredBytes(bytes, this.poll);
  }

  sink(sink: ByteSink): ByteSink {
    return meteredSink(sink, this.poll);
  }

  /** @param storedBytes of the target and all bases */
  expansion(storedBytes: number): ExpansionOptions {
    const { scratch, bounds } = this.#options;
    const onAppend = (bytes: number) => {
      this.poll();
      this.#scratchBytes += bytes;
      if (this.#scratchBytes > bounds.maxScratchBytes) {
        throw new DeltaLimitExceeded(`it needs more than ${bounds.maxScratchBytes} scratch bytes`);
      }
    };
    return {
      scratch: () => meteredScratch(scratch(), this.poll, onAppend),
      maxLength: Math.min(bounds.maxContentBytes, bounds.maxContentRatio * storedBytes + SPARE_CONTENT_BYTES),
      poll: this.poll,
    };
  }
}

/** Errors of deflate streams as those of a delta. @throws DeltaLimitExceeded, what `invalid` returns, and all others */
export function withDeltaErrors<T>(work: () => T, invalid: (cause: DeflateInvalid) => Error): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof DeflateTooLong) throw new DeltaLimitExceeded(error.message, { cause: error });
    throw error instanceof DeflateInvalid ? invalid(error) : error;
  }
}
