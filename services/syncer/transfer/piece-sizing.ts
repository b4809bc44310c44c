import type { Extent, Extents } from '../link/answers/extents.ts';

/** How a blob is cut into requests while it is downloaded. Pure. */

const KIB = 1024;
/** Max bytes of one request. It also bounds the bytes that a killed process requested in vain, for each connection. */
export const MAX_REQUEST_BYTES = 4 * 1024 * KIB;
const MIN_PIECE = 64 * KIB;
/** Size before the first measurement of the link, in bytes. */
const INITIAL = 512 * KIB;
/** Target time of a request, in seconds: long, so that its start, when nothing moves, weighs little. */
const LONG_S = 8;
/** Towards the end of the blob requests get shorter, so that all connections end together; but not below this. */
const SHORT_S = 2;
const SHORT_BYTES = 1024 * KIB;
/** Nor below this, which is too short for the cost of a request. */
const QUICK_S = 0.25;
const MIN_SHORT = 32 * KIB;

export type PieceSizing = {
  /** Of one connection, in bytes/s; undefined before the first measurement. */
  rate: number | undefined;
  connections: number;
  /** Max bytes to request at once by the bandwidth limit. */
  maxBytes: number | undefined;
};

/** Bytes to request next, of the `left` ones that are not requested yet. */
export function pieceSize(
  left: number,
  { rate, connections, maxBytes: max = MAX_REQUEST_BYTES }: PieceSizing,
): number {
  const usual = rate === undefined ? INITIAL : between(MIN_PIECE, rate * LONG_S, MAX_REQUEST_BYTES);
  const short =
    rate === undefined ? INITIAL : Math.max(Math.min(SHORT_BYTES, rate * SHORT_S), rate * QUICK_S);
  const share = Math.max(left / (2 * connections), short, MIN_SHORT);
  return Math.max(1, Math.floor(Math.min(usual, share, max)));
}

const between = (low: number, value: number, high: number) => Math.max(low, Math.min(value, high));

/** The bytes that are not requested yet, handed out from the front. Those that did not arrive are given back. */
export class Pieces {
  #gaps: Extent[];

  constructor(present: Extents, size: number) {
    this.#gaps = present.missing(size);
  }

  /** In bytes. */
  get left(): number {
    return this.#gaps.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  next(pace: PieceSizing): Extent | undefined {
    const gap = this.#gaps.shift();
    if (!gap) return undefined;
    const size = pieceSize(this.left + gap.end - gap.start, pace);
    // A small remainder is not worth a request of its own.
    const end = gap.end - gap.start <= size * 1.25 ? gap.end : gap.start + size;
    if (end < gap.end) this.#gaps.unshift({ start: end, end: gap.end });
    return { start: gap.start, end };
  }

  giveBack({ start, end }: Extent): void {
    if (start >= end) return;
    const at = this.#gaps.findIndex((gap) => gap.start >= end);
    this.#gaps.splice(at < 0 ? this.#gaps.length : at, 0, { start, end });
  }

  clear(): void {
    this.#gaps = [];
  }
}
