import { Fault } from '#proto/contract/fault.ts';

/** Positions of the first and the last byte, both included. */
export type ByteRange = { first: number; last: number };

/** Max ranges of a request: a request with more only keeps the registry busy. */
const MAX_RANGES = 4096;

/**
 * Parses the `Range` header of a GET (RFC 9110, 14.2) on content of `size` bytes.
 * @returns the ranges that the content can satisfy; none if it can satisfy none (416; a range that ends before it
 * begins is one of these); `all` if the header is to be ignored: it is absent, not understood, or requests more bytes
 * than the content has, in several ranges
 */
export function parseRange(header: string | undefined, size: number): ByteRange[] | 'all' {
  const list = /^bytes=(.*)$/i.exec(header?.trim() ?? '')?.[1]?.split(',');
  // Empty list entries are ignored (RFC 9110, 5.6.1).
  const entries = list?.filter((text) => text.trim() !== '') ?? [];
  if (entries.length === 0 || entries.length > MAX_RANGES) return 'all';
  const ranges: ByteRange[] = [];
  for (const text of entries) {
    const match = /^\s*(\d*)-(\d*)\s*$/.exec(text);
    if (!match || (match[1] === '' && match[2] === '')) return 'all';
    const [from, to] = [Number(match[1]), Number(match[2])];
    if (match[1] === '') {
      if (to > 0 && size > 0) ranges.push({ first: Math.max(0, size - to), last: size - 1 });
    } else if (from < size && (match[2] === '' || from <= to)) {
      ranges.push({ first: from, last: match[2] === '' ? size - 1 : Math.min(to, size - 1) });
    }
  }
  const bytes = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return ranges.length > 1 && bytes > size ? 'all' : ranges;
}

/**
 * Parses the `Content-Range` of an upload chunk: `<first>-<last>`, without a unit (distribution-spec 1.1, "Pushing a
 * blob in chunks"); the form of RFC 9110 is accepted too.
 * @throws Fault `upload-invalid`
 */
export function parseContentRange(header: string): ByteRange {
  const match = /^(?:bytes[ =])?\s*(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/i.exec(header.trim());
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match && first <= last) return { first, last };
  throw new Fault(
    'upload-invalid',
    `Content-Range ${JSON.stringify(header.slice(0, 80))} is not valid: write the positions of the first and the last byte, as in 0-1023`,
  );
}

/** The `Range` header of an upload. An empty upload cannot be expressed and is `0-0` by convention. */
export const uploadRange = (offset: number): string => `0-${Math.max(0, offset - 1)}`;
