import { writeVarint } from '#proto/delta/bytes/varint.ts';
import { type Header, STREAMS, type StreamName, writeHeader } from '#proto/delta/format/header.ts';
import { storedOf } from './in-memory.ts';

/** Delta files made by hand. */

export const varint = (...values: number[]): Buffer =>
  Buffer.concat(
    values.map((value) => {
      const bytes = Buffer.alloc(16);
      return bytes.subarray(0, writeVarint(bytes, 0, value));
    }),
  );

/** A piece whose frame is the bytes as they are. */
export const rawPiece = (bytes: Uint8Array): Buffer =>
  Buffer.concat([varint(bytes.length, 0, bytes.length * 4 + 1), bytes]);

/** A section, and how many bytes of its stream the header declares. */
export type Section = { length: number; bytes: Uint8Array };
export const raw = (bytes: Uint8Array): Section => ({
  length: bytes.length,
  bytes: bytes.length > 0 ? rawPiece(bytes) : bytes,
});

type Parts = Partial<Record<StreamName, Section>>;

/** A delta with these sections; all others are empty. */
export function deltaFile(
  target: Uint8Array,
  bases: readonly Uint8Array[],
  parts: Parts,
  isGzip = false,
): Buffer {
  const sections = STREAMS.map((name) => parts[name] ?? { length: 0, bytes: Buffer.alloc(0) });
  const streams = Object.fromEntries(
    STREAMS.map((name, index) => {
      const { length, bytes } = sections[index] as Section;
      return [name, { length, section: bytes.length }];
    }),
  ) as Header['streams'];
  const header = writeHeader({
    target: storedOf(target),
    bases: bases.map((base) => ({ ...storedOf(base), isGzip })),
    streams,
  });
  return Buffer.concat([header, ...sections.map(({ bytes }) => bytes)]);
}
