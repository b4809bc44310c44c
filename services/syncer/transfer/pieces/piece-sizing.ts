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

/** What one more range of a request costs: its headers, in bytes, and writing it by itself, in seconds. */
export const RANGE_COST = 256;
const RANGE_S = 0.000_5;
/** Bounds of what one more request costs, in bytes: its headers, and what its connection would carry meanwhile. */
const MIN_REQUEST_COST = 8 * KIB;
const MAX_REQUEST_COST = 32 * KIB;

/** The link as it was measured; `undefined`: not yet. */
type LinkSpeed = Partial<Record<'rate' | 'throughput' | 'roundTripMs', number | undefined>>;

/**
 * Present bytes between missing ones, below which it is cheaper to request them, too.
 * @param maxRanges of one request
 */
export function joinBytes(
  maxRanges: number,
  { rate = 0, throughput = 0, roundTripMs = 0 }: LinkSpeed,
): number {
  if (maxRanges > 1) return between(RANGE_COST, Math.max(throughput, rate) * RANGE_S, MAX_REQUEST_COST);
  return between(MIN_REQUEST_COST, (rate * roundTripMs) / 1_000, MAX_REQUEST_COST);
}

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

  constructor(present: Extents, size: number, within: Extent = { start: 0, end: size }) {
    this.#gaps = present.missing(within.end, within.start);
  }

  /** In bytes. */
  get left(): number {
    return this.#gaps.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** What one request asks for: a part of one gap, or several small ones. @returns none if nothing is left */
  next(pace: PieceSizing, maxRanges = 1): Extent[] {
    const [first] = this.#gaps;
    if (!first) return [];
    const size = pieceSize(this.left, pace);
    // A small remainder is not worth a request of its own.
    if (first.end - first.start > size * 1.25) {
      const end = first.start + size;
      this.#gaps[0] = { start: end, end: first.end };
      return [{ start: first.start, end }];
    }
    let [count, bytes] = [0, 0];
    while (count < maxRanges) {
      const gap = this.#gaps[count];
      if (!gap || (count > 0 && bytes + gap.end - gap.start > size)) break;
      bytes += gap.end - gap.start + RANGE_COST;
      count += 1;
    }
    return this.#gaps.splice(0, count);
  }

  giveBack({ start, end }: Extent): void {
    if (start >= end) return;
    const at = this.#gaps.findIndex((gap) => gap.start >= end);
    this.#gaps.splice(at < 0 ? this.#gaps.length : at, 0, { start, end });
  }

  /** Joins what is less than `bytes` apart. What lies between is requested, too. */
  join(bytes: number): void {
    const gaps: Extent[] = [];
    for (const { start, end } of this.#gaps) {
      const last = gaps.at(-1);
      if (last && start - last.end < bytes) last.end = Math.max(last.end, end);
      else gaps.push({ start, end });
    }
    this.#gaps = gaps;
  }

  clear(): void {
    this.#gaps = [];
  }
}
