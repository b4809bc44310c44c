import { type Bytes, readUpTo } from '../bytes/bytes.ts';

/** Bytes that a header may have (its name and comment have no limit of their own), and those of most. */
const MAX_HEADER_BYTES = 64 * 1024;
const USUAL_BYTES = 512;
const FIXED_BYTES = 10;
const HEADER_CRC = 2;
const EXTRA = 4;
const NAME = 8;
const COMMENT = 16;
const RESERVED = 0xe0;

/** CRC-32 and length behind the deflate stream: RFC 1952, 2.3.1. */
export const TRAILER_BYTES = 8;

/** Length of the gzip header at `at` (RFC 1952, 2.3). @returns undefined if there is none */
export function gzipHeaderLength(source: Bytes, at: number): number | undefined {
  const usual = headerLength(readUpTo(source, at, USUAL_BYTES));
  return usual === 'longer' ? onlyLength(headerLength(readUpTo(source, at, MAX_HEADER_BYTES))) : usual;
}

const onlyLength = (length: number | 'longer' | undefined) => (length === 'longer' ? undefined : length);

function headerLength(bytes: Uint8Array): number | 'longer' | undefined {
  if (bytes.length < FIXED_BYTES || bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8)
    return undefined;
  const flags = bytes[3] as number;
  if (flags & RESERVED) return undefined;
  let end: number | undefined = FIXED_BYTES;
  if (flags & EXTRA) end += 2 + (bytes[end] ?? 0) + 256 * (bytes[end + 1] ?? 0);
  if (flags & NAME) end = behindZero(bytes, end);
  if (end !== undefined && flags & COMMENT) end = behindZero(bytes, end);
  if (end !== undefined && flags & HEADER_CRC) end += 2;
  return end !== undefined && end <= bytes.length ? end : 'longer';
}

function behindZero(bytes: Uint8Array, from: number): number | undefined {
  const zero = bytes.indexOf(0, from);
  return zero < 0 ? undefined : zero + 1;
}
