import type { Extent, Extents } from '../link/answers/extents.ts';

/** How a blob is cut into requests while it comes. Pure. */

const KIB = 1024;
/** The most that is asked for in one request; also the most that a killed process has asked for in vain per connection. */
export const CHUNK_BYTES = 4 * 1024 * KIB;
const MIN_PIECE = 64 * KIB;
/** Of a link that nothing is known of. */
const FIRST = 512 * KIB;
/** Requests are so long that their beginning, when nothing moves, weighs little. */
const LONG_S = 8;
/** Towards the end of the blob they are shorter, so that all connections end together; but not less than this. */
const SHORT_S = 2;
const SHORT_BYTES = 1024 * KIB;
/** Nor so short that a request is not worth its while. */
const QUICK_S = 0.25;
const MIN_SHORT = 32 * KIB;

export type Pace = {
  /** Of one connection, in bytes a second. */
  rate: number | undefined;
  connections: number;
  /** What the bandwidth limit lets ask for at once. */
  most: number | undefined;
};

/** How much to ask for, of so many bytes that nobody has asked for yet. */
export function pieceSize(left: number, { rate, connections, most = CHUNK_BYTES }: Pace): number {
  const usual = rate === undefined ? FIRST : between(MIN_PIECE, rate * LONG_S, CHUNK_BYTES);
  const short = rate === undefined ? FIRST : Math.max(Math.min(SHORT_BYTES, rate * SHORT_S), rate * QUICK_S);
  const share = Math.max(left / (2 * connections), short, MIN_SHORT);
  return Math.max(1, Math.floor(Math.min(usual, share, most)));
}

const between = (low: number, value: number, high: number) => Math.max(low, Math.min(value, high));

/** What nobody has asked for yet, handed out from the front; what did not come is given back. */
export class Pieces {
  #gaps: Extent[];

  constructor(present: Extents, size: number) {
    this.#gaps = present.missing(size);
  }

  /** In bytes. */
  get left(): number {
    return this.#gaps.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  next(pace: Pace): Extent | undefined {
    const gap = this.#gaps.shift();
    if (!gap) return undefined;
    const size = pieceSize(this.left + gap.end - gap.start, pace);
    // A crumb is no request of its own.
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
