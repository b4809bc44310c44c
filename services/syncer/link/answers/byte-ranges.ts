import { Fault } from '#proto/contract/fault.ts';
import type { Digest } from '#proto/oci/names.ts';
import { type Answer, type Body, firstValue, guarded } from './bodies.ts';
import type { Extent } from './extents.ts';

/** Bytes of a blob, from the offset `at` on. */
export type Positioned = { at: number; bytes: Buffer };
/** Several ranges of a blob. `one`: the parent sent only this one, which is one of them, or covers some of them. */
export type BlobRanges = AsyncIterable<Positioned> & { one?: Extent | undefined; destroy(): void };

/** Max ranges of one request. Some servers allow this many, and some lines of this length: 4 KiB. */
export const MAX_RANGES = 200;

/** Max size of what precedes the bytes of a part, in bytes. */
const MAX_PART_HEADER = 8 * 1024;
const BOUNDARY = /^multipart\/byteranges\s*;.*?\bboundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))/i;
const PART_RANGE = /^content-range:\s*bytes\s+(\d+)-(\d+)\/(\d+|\*)\s*$/im;
const ANSWER_RANGE = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i;

/** `bytes=0-9,20-29` */
export const rangesHeader = (extents: readonly Extent[]): string =>
  `bytes=${extents.map(({ start, end }) => `${start}-${end - 1}`).join(',')}`;

/**
 * The answer with status 206 to a request for several ranges (RFC 9110, 14.6).
 * @returns undefined if it is not one
 */
export function blobRanges(answer: Answer, digest: Digest, size: number): BlobRanges | undefined {
  const { headers } = answer;
  if (answer.statusCode !== 206 || headers['content-encoding'] !== undefined) return undefined;
  const found = BOUNDARY.exec(firstValue(headers['content-type']) ?? '');
  const boundary = found?.[1] ?? found?.[2];
  const body = guarded(answer);
  const parts = (one: Extent | undefined, bytes: AsyncGenerator<Positioned>): BlobRanges => ({
    one,
    destroy: () => body.destroy(),
    [Symbol.asyncIterator]: () => bytes,
  });
  if (boundary !== undefined) return parts(undefined, partsOf(body, boundary, digest, size));
  const one = extentIn(ANSWER_RANGE.exec(firstValue(headers['content-range']) ?? ''), size);
  return one && parts(one, oneOf(body, one, digest));
}

async function* oneOf(body: Body, { start, end }: Extent, digest: Digest): AsyncGenerator<Positioned> {
  let at = start;
  for await (const bytes of body) {
    if (at + bytes.length > end) throw invalid(digest, 'more bytes than its range has');
    yield { at, bytes };
    at += bytes.length;
  }
}

/** @throws Fault `parent-invalid`; `parent-unreachable` if the body ends before its last delimiter */
async function* partsOf(
  body: Body,
  boundary: string,
  digest: Digest,
  size: number,
): AsyncGenerator<Positioned> {
  /** What is known of the header of the next part, or of the part: `at` to `end` are still to come. */
  let header = Buffer.alloc(0);
  let [at, end] = [0, 0];
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    if (received > 2 * size + MAX_PART_HEADER) throw invalid(digest, 'more ranges than it has bytes');
    let rest = chunk;
    while (rest.length > 0) {
      if (at < end) {
        const bytes = rest.subarray(0, end - at);
        yield { at, bytes };
        at += bytes.length;
        rest = rest.subarray(bytes.length);
        continue;
      }
      const before = header.length;
      header = Buffer.concat([header, rest.subarray(0, MAX_PART_HEADER)]);
      const bytes = header.indexOf('\r\n\r\n', Math.max(0, before - 3));
      if (isLast(header, boundary)) return;
      if (bytes < 0) {
        if (header.length >= MAX_PART_HEADER) throw invalid(digest, 'a range with too many headers');
        break;
      }
      const extent = extentIn(partRange(header.toString('latin1', 0, bytes), boundary), size);
      if (!extent) throw invalid(digest, 'a range that it does not have');
      ({ start: at, end } = extent);
      rest = rest.subarray(bytes + 4 - before);
      header = Buffer.alloc(0);
    }
  }
  throw new Fault('parent-unreachable', `the parent stopped sending ${digest} within several ranges`);
}

const isLast = (header: Buffer, boundary: string): boolean =>
  header
    .toString('latin1', 0, boundary.length + 6)
    .trimStart()
    .startsWith(`--${boundary}--`);

const partRange = (header: string, boundary: string): RegExpExecArray | null =>
  header.trimStart().startsWith(`--${boundary}`) ? PART_RANGE.exec(header) : null;

function extentIn(found: RegExpExecArray | null, size: number): Extent | undefined {
  if (!found) return undefined;
  const [start, last, total] = [Number(found[1]), Number(found[2]), found[3]];
  const isPossible = start <= last && last < size && (total === '*' || Number(total) === size);
  return isPossible ? { start, end: last + 1 } : undefined;
}

const invalid = (digest: Digest, what: string): Fault =>
  new Fault('parent-invalid', `the parent sent ${what} of ${digest}`);
