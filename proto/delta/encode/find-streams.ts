import { type Bytes, bytesOf, readUpTo } from '../bytes/bytes.ts';
import { lengthOf, type Range } from '../bytes/range.ts';
import { Inflater } from '../deflate/inflate.ts';
import { DeflateInvalid } from '../deflate/parse.ts';
import { gzipHeaderLength } from '../expansion/gzip-header.ts';

/** Content of a stream that is worth to be expanded, in bytes. */
const MIN_CONTENT = 1_024;
const MAX_CONTENT = 2 ** 31;
/** Bound of the lists that are kept. */
const MAX_STREAMS = 2 ** 18;
const SCANNED_BYTES = 256 * 1024;
/** Work spent on what begins like a stream and is none, in bytes: of each try, and besides the content. */
const TRY_BYTES = 2 * 1024;
const SPARE_BYTES = 64 * 1024 * 1024;
/** Bytes of a signature, and of a local header of zip without its names. */
const SIGNATURE_BYTES = 4;
const ZIP_HEADER_BYTES = 30;
const ZIP_DEFLATE = 8;
/** A longer header, with its names, is not looked for. */
const GZIP_HEADER_BYTES = 512;

/** Takes everything, and keeps nothing. */
class Counter {
  size = 0;
  readonly #poll: () => void;

  constructor(poll: () => void) {
    this.#poll = poll;
  }

  append(bytes: Uint8Array): void {
    this.#poll();
    this.size += bytes.length;
  }
}

/**
 * Deflate streams that begin in these ranges: of zip entries, of gzip files, and of zlib, as in compressed
 * sections of ELF files. In order, without overlaps.
 * @param poll called at times; it may throw to end the search
 */
export function findStreams(content: Bytes, ranges: readonly Range[], poll: () => void): Range[] {
  const inflated = new Counter(poll);
  const parse = new Counter(poll);
  const inflater = new Inflater(content, { content: inflated, tokens: parse, blocks: parse });
  const streams: Range[] = [];
  let behind = 0;
  let spare = SPARE_BYTES + lengthOf(ranges);
  for (const { start, end } of ranges) {
    for (const at of candidates(content, Math.max(start, behind), end)) {
      if (at < behind) continue;
      if (streams.length === MAX_STREAMS || spare < 0) return streams;
      poll();
      const before = inflated.size;
      const stop = endOf(inflater, at);
      if (stop === undefined) {
        spare -= TRY_BYTES + inflated.size - before + inflater.effort;
        continue;
      }
      streams.push({ start: at, end: stop });
      behind = stop;
    }
  }
  return streams;
}

function endOf(inflater: Inflater, at: number): number | undefined {
  try {
    const { end, length } = inflater.inflate(at, MAX_CONTENT);
    return length >= MIN_CONTENT ? end : undefined;
  } catch (error) {
    if (error instanceof DeflateInvalid) return undefined;
    throw error;
  }
}

/** Where the data of a stream begins, if what looks like its header is one. */
function* candidates(content: Bytes, from: number, to: number): Generator<number> {
  for (let at = from; at < to; at += SCANNED_BYTES) {
    const end = Math.min(to, at + SCANNED_BYTES);
    const bytes = readUpTo(content, at, end - at + SIGNATURE_BYTES);
    for (let index = 0; index < end - at; index += 1) {
      const place = dataAt(content, at + index, bytes, index);
      if (place !== undefined) yield place;
    }
  }
}

function dataAt(content: Bytes, at: number, bytes: Uint8Array, index: number): number | undefined {
  switch (bytes[index]) {
    case 0x78: {
      const next = bytes[index + 1] ?? 0;
      // RFC 1950, 2.2: a multiple of 31, and no preset dictionary.
      return (0x7800 + next) % 31 === 0 && (next & 0x20) === 0 ? at + 2 : undefined;
    }
    case 0x1f: {
      if (bytes[index + 1] !== 0x8b) return undefined;
      const length = gzipHeaderLength(bytesOf(readUpTo(content, at, GZIP_HEADER_BYTES)), 0);
      return length === undefined ? undefined : at + length;
    }
    case 0x50: {
      if (bytes[index + 1] !== 0x4b || bytes[index + 2] !== 3 || bytes[index + 3] !== 4) return undefined;
      const header = Buffer.from(readUpTo(content, at, ZIP_HEADER_BYTES));
      if (header.length < ZIP_HEADER_BYTES || header.readUInt16LE(8) !== ZIP_DEFLATE) return undefined;
      return at + ZIP_HEADER_BYTES + header.readUInt16LE(26) + header.readUInt16LE(28);
    }
    default:
      return undefined;
  }
}
