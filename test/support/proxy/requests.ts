import type { IncomingHttpHeaders } from 'node:http';

/** A request as a proxy saw it, and what came of it so far. */
export type Seen = {
  /** `blobs` is the host that blobs are redirected to. */
  listener: 'registry' | 'blobs';
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  range?: string;
  authorization?: string;
  /** How many requests of this method for this path came before it. */
  nth: number;
  /** 0 until something was answered. */
  status: number;
  /** Where in the content the body begins. */
  start: number;
  /** Bytes of the body that went to the client. */
  bytes: number;
  /** Bytes of the body that the client sent. */
  received: number;
  ended: boolean;
};

const matches = (seen: Seen, path: RegExp) => path.test(seen.path);

/** Bytes of bodies that went to clients. */
export const bytesOf = (requests: readonly Seen[], path: RegExp): number =>
  requests.filter((seen) => matches(seen, path)).reduce((sum, seen) => sum + seen.bytes, 0);

/**
 * How many bytes of content went over the link more than once: a byte that went three times counts twice. Only
 * answers that carry content count, each path for itself.
 */
export function repeatedBytes(requests: readonly Seen[], path: RegExp): number {
  const ranges = new Map<string, [start: number, end: number][]>();
  for (const seen of requests) {
    if (seen.method !== 'GET' || (seen.status !== 200 && seen.status !== 206)) continue;
    if (seen.bytes === 0 || !matches(seen, path)) continue;
    ranges.set(seen.path, [...(ranges.get(seen.path) ?? []), [seen.start, seen.start + seen.bytes]]);
  }
  let repeated = 0;
  for (const list of ranges.values()) {
    let reached = 0;
    for (const [start, end] of list.sort(([a], [b]) => a - b)) {
      repeated += Math.max(0, Math.min(end, reached) - start);
      reached = Math.max(reached, end);
    }
  }
  return repeated;
}

/** Bytes that were asked for and did not come: at most what a cut wastes at the parent. */
export const unsentBytes = (requests: readonly Seen[], path: RegExp): number =>
  requests
    .filter((seen) => matches(seen, path))
    .reduce((sum, seen) => sum + Math.max(0, askedBytes(seen) - seen.bytes), 0);

function askedBytes({ range }: Seen): number {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  return from && to ? Number(to) - Number(from) + 1 : 0;
}
