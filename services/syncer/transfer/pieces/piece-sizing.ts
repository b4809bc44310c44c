import type { Extent, Extents } from '../../link/answers/extents.ts';

/**
 * Pieces: a blob is cut into requests while it is downloaded (this file, which is pure). `requests-in-flight.ts` finds
 * those that are late, as `watch-requests.ts` asks it to, `piece-writer.ts` writes the bytes of one request,
 * `ordered-hash.ts` hashes a blob that comes in one, and `chunk-log.ts` records what is on the disk.
 */

const KIB = 1024;
/** Max bytes of one request. It also bounds the bytes that a killed process requested in vain, for each connection. */
export const MAX_REQUEST_BYTES = 4 * 1024 * KIB;
const MIN_PIECE = 64 * KIB;
/** Size before the first measurement of the link, in bytes. */
const INITIAL = 512 * KIB;
/** Target time of a request, in seconds: long, so that its start, when nothing moves, weighs little. */
const LONG_S = 8;
/** The same of the first request on a connection whose rate is not known: it may be far below that of the others. */
const FIRST_S = 2;
/**
 * Towards the end of the blob requests get shorter, so that all connections end together: each takes this share of the
 * time that is left, but not less than `SHORT_S`, of which round trips with nothing in transfer are a part.
 */
const SHARE_OF_REST = 0.6;
const SHORT_S = 2;
const SHORT_BYTES = 1024 * KIB;
/** The same before the first measurement, on a link with a long round trip, where a small blob needs them all. */
const SHORT_FIRST_BYTES = 128 * KIB;
const LONG_ROUND_TRIP_MS = 100;
/** Nor below this, which is too short for the cost of a request. */
const QUICK_S = 0.25;
const MIN_SHORT = 16 * KIB;
/** A connection gets no piece for which it needs more than this multiple of the time that is left, and this time. */
const MAX_SHARE_OF_REST = 2;
const MIN_REST_S = 4;

/** Rates are in bytes/s; undefined before the first measurement. */
export type PieceSizing = {
  /** Of the connection that gets the piece. */
  own: number | undefined;
  /** Of one connection, on average. */
  average: number | undefined;
  /** Of all connections together. */
  total?: number | undefined;
  connections: number;
  roundTripMs?: number | undefined;
  /** Max bytes to request at once by the bandwidth limit. */
  maxBytes: number | undefined;
};

/** Bytes to request next, of the `left` ones that are not requested yet. */
export function pieceSize(left: number, sizing: PieceSizing): number {
  const { own, average, connections, roundTripMs = 0, maxBytes: max = MAX_REQUEST_BYTES } = sizing;
  const rate = own ?? average;
  if (rate === undefined) {
    const short = roundTripMs < LONG_ROUND_TRIP_MS ? INITIAL : SHORT_FIRST_BYTES;
    return Math.max(1, Math.floor(Math.min(INITIAL, Math.max(left / (2 * connections), short), max)));
  }
  const usual = between(MIN_PIECE, rate * (own === undefined ? FIRST_S : LONG_S), MAX_REQUEST_BYTES);
  const short = Math.max(Math.min(SHORT_BYTES, rate * SHORT_S), rate * QUICK_S);
  // A fast connection gets a larger part of what is left.
  const share = Math.max(rate * restS(left, sizing) * SHARE_OF_REST, short, MIN_SHORT);
  return Math.max(1, Math.floor(Math.min(usual, share, max)));
}

/** Whether the other connections will have transferred what is left long before this one ends its smallest piece. */
export function isTooSlow(left: number, sizing: PieceSizing): boolean {
  const { own, average } = sizing;
  if (own === undefined || average === undefined) return false;
  return Math.min(left, MIN_SHORT) / own > Math.max(MAX_SHARE_OF_REST * restS(left, sizing), MIN_REST_S);
}

/** Time that all connections need for what is left, in seconds. */
function restS(left: number, { own, average, total, connections }: PieceSizing): number {
  const sum = (average ?? own ?? 1) * connections;
  return left / Math.max(total ?? sum, 1);
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
