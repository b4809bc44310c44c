import { type Bytes, readUpTo } from '../bytes/bytes.ts';
import { readVarint, writeVarint } from '../bytes/varint.ts';
import { DeltaInvalid } from './invalid.ts';

/** Version of the format, also of the parse and of the expansion: bytes of a base differ in another one. */
export const FORMAT = 2;
const MAGIC = Uint8Array.of(...Buffer.from('TERRADLT', 'latin1'));
export const MAX_BASES = 4;
const DIGEST_BYTES = 32;
const MAX_HEADER_BYTES = 1_024;

/**
 * In the order of their sections: places of embedded streams in the base's content; of the expansion of the content,
 * then of that of the stored bytes, the alignment with that of the base, and what is new of each of its streams; then
 * the content, by its differences from what it is aligned with.
 */
export const STREAMS = [
  'embedded',
  'innerAlignment',
  'innerSegments',
  'innerBlocks',
  'innerHits',
  'innerMisses',
  'innerLengths',
  'innerNear',
  'innerFar',
  'alignment',
  'segments',
  'blocks',
  'hits',
  'misses',
  'lengths',
  'near',
  'far',
  'equals',
  'recents',
  'differences',
  'literals',
] as const;
export type StreamName = (typeof STREAMS)[number];

/** Streams of the expansion of the content, and of that of the stored bytes. */
export const INNER = {
  alignment: 'innerAlignment',
  segments: 'innerSegments',
  blocks: 'innerBlocks',
  hits: 'innerHits',
  misses: 'innerMisses',
  lengths: 'innerLengths',
  near: 'innerNear',
  far: 'innerFar',
} as const;
export const OUTER = {
  alignment: 'alignment',
  segments: 'segments',
  blocks: 'blocks',
  hits: 'hits',
  misses: 'misses',
  lengths: 'lengths',
  near: 'near',
  far: 'far',
} as const;
export type ExpansionStreams = typeof INNER | typeof OUTER;

export type Header = {
  /** Stored bytes: length and SHA-256. */
  target: Stored;
  bases: StoredBase[];
  /** Bytes of each stream, and of its section. */
  streams: Record<StreamName, { length: number; section: number }>;
};
export type Stored = { length: number; sha256: Uint8Array };
/** A base, and whether its expansion is that of gzip: 1; else it is its bytes as they are: 0. */
export type StoredBase = Stored & { isGzip: boolean };

export function writeHeader({ target, bases, streams }: Header): Uint8Array {
  const bytes = new Uint8Array(MAX_HEADER_BYTES);
  bytes.set(MAGIC);
  let at = MAGIC.length;
  const number = (value: number) => {
    at = writeVarint(bytes, at, value);
  };
  number(FORMAT);
  number(bases.length);
  const stored = ({ length, sha256 }: Stored) => {
    number(length);
    bytes.set(sha256, at);
    at += DIGEST_BYTES;
  };
  stored(target);
  for (const base of bases) {
    stored(base);
    number(Number(base.isGzip));
  }
  for (const name of STREAMS) {
    number(streams[name].length);
    number(streams[name].section);
  }
  return bytes.subarray(0, at);
}

/** @throws DeltaInvalid */
export function readHeader(delta: Bytes): Header & { sectionsAt: number } {
  const bytes = readUpTo(delta, 0, MAX_HEADER_BYTES);
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) throw new DeltaInvalid('this is no delta');
  let at = MAGIC.length;
  const number = () => {
    const read = readVarint(bytes, at);
    if (!read) throw new DeltaInvalid('the header is damaged');
    at = read.end;
    return read.value;
  };
  const stored = (): Stored => {
    const length = number();
    const sha256 = bytes.slice(at, at + DIGEST_BYTES);
    at += DIGEST_BYTES;
    if (at > bytes.length) throw new DeltaInvalid('the header is damaged');
    return { length, sha256 };
  };
  const format = number();
  if (format !== FORMAT) throw new DeltaInvalid(`the format is ${format}, known is ${FORMAT}`);
  const count = number();
  if (count > MAX_BASES) throw new DeltaInvalid(`it has ${count} bases, more than ${MAX_BASES}`);
  const target = stored();
  const bases = Array.from({ length: count }, () => {
    const base = stored();
    const form = number();
    if (form > 1) throw new DeltaInvalid('a base has an unknown form');
    return { ...base, isGzip: form === 1 };
  });
  const lengths = STREAMS.map((name) => [name, { length: number(), section: number() }] as const);
  const end = lengths.reduce((sum, [, { section }]) => sum + section, at);
  if (end !== delta.size) throw new DeltaInvalid('its length is not that of its sections');
  const streams = Object.fromEntries(lengths) as Header['streams'];
  return { target, bases, streams, sectionsAt: at };
}
