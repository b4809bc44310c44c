import type { IncomingHttpHeaders } from 'node:http';

/** A request that the proxy recorded, with its progress so far. */
export type RecordedRequest = {
  /** `blobs` is the host that blobs are redirected to. */
  listener: 'registry' | 'blobs';
  method: string;
  /** Without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  range?: string;
  authorization?: string;
  /** Number of earlier requests with this method and path. */
  index: number;
  /** 0 until there is an answer. */
  status: number;
  /** Offset of the body in the content. */
  start: number;
  /** Bytes of the body that were sent to the client. */
  bytes: number;
  /** Bytes of the body that were received from the client. */
  received: number;
  ended: boolean;
};

/** Whether it had no answer, or an error of the server: only such a request is rightly repeated. */
export const isTransient = ({ status }: RecordedRequest): boolean => status === 0 || status >= 500;

/** `method path status` of each, without ids of uploads. */
export const linesOf = (requests: readonly RecordedRequest[]): string[] =>
  requests.map(
    ({ method, path, status }) => `${method} ${path.replace(/uploads\/.+/, 'uploads/…')} ${status}`,
  );

const matches = (seen: RecordedRequest, path: RegExp) => path.test(seen.path);

/** Bytes of bodies that were sent to clients. */
export const bytesOf = (requests: readonly RecordedRequest[], path: RegExp): number =>
  requests.filter((seen) => matches(seen, path)).reduce((sum, seen) => sum + seen.bytes, 0);

/**
 * Number of bytes of content that crossed the link repeatedly: a byte that was sent three times counts twice. Only
 * answers with content count, each path separately.
 */
export function repeatedBytes(requests: readonly RecordedRequest[], path: RegExp): number {
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

/** Requested bytes that were not sent: an upper bound of what a cut wastes at the parent. */
export const unsentBytes = (requests: readonly RecordedRequest[], path: RegExp): number =>
  requests
    .filter((seen) => matches(seen, path))
    .reduce((sum, seen) => sum + Math.max(0, requestedBytes(seen) - seen.bytes), 0);

function requestedBytes({ range }: RecordedRequest): number {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  return from && to ? Number(to) - Number(from) + 1 : 0;
}
