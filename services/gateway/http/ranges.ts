import { Fault } from '#proto/contract/fault.ts';

/** Positions of the first and the last byte, both included. */
export type ByteRange = { first: number; last: number };

/** More would only be asked for to keep the registry busy; the header's size ends it sooner. */
const MANY = 4096;

/**
 * A `Range` header of a GET (RFC 9110, 14.2) on content of `size` bytes.
 * @returns the ranges that the content has, none where it has none of them (416; a range that ends before it begins
 * is one of those), or `whole` where there is no header, or one that is not understood, or one that asks for more
 * than everything: such a header is to be ignored
 */
export function parseRange(header: string | undefined, size: number): ByteRange[] | 'whole' {
  const list = /^bytes=(.*)$/i.exec(header?.trim() ?? '')?.[1]?.split(',');
  // An empty entry of a list counts for nothing (RFC 9110, 5.6.1).
  const asked = list?.filter((text) => text.trim() !== '') ?? [];
  if (asked.length === 0 || asked.length > MANY) return 'whole';
  const ranges: ByteRange[] = [];
  for (const text of asked) {
    const match = /^\s*(\d*)-(\d*)\s*$/.exec(text);
    if (!match || (match[1] === '' && match[2] === '')) return 'whole';
    const [from, to] = [Number(match[1]), Number(match[2])];
    if (match[1] === '') {
      if (to > 0 && size > 0) ranges.push({ first: Math.max(0, size - to), last: size - 1 });
    } else if (from < size && (match[2] === '' || from <= to)) {
      ranges.push({ first: from, last: match[2] === '' ? size - 1 : Math.min(to, size - 1) });
    }
  }
  const bytes = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return ranges.length > 1 && bytes > size ? 'whole' : ranges;
}

/**
 * The `Content-Range` of a chunk of an upload: `<first>-<last>`, without a unit (distribution-spec 1.1, "Pushing a
 * blob in chunks"); the form of RFC 9110 is taken too.
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

/** What an upload holds, as its `Range` header says it; an empty one cannot be said and is `0-0` by custom. */
export const uploadRange = (offset: number): string => `0-${Math.max(0, offset - 1)}`;
