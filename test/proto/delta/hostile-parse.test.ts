import { deflateRawSync, gzipSync } from 'node:zlib';
import { noise, text } from './blobs.ts';
import { deltaFile, raw, varint } from './delta-file.ts';
import { base, literals, refuses, target } from './refusals.ts';

/** The parse of deflate streams in a delta from outside may hold anything, too. */

/** Numbers of predicted tokens, what the others are, and their parts. */
const tokens = (
  hits: number[],
  misses: number[],
  parts: Partial<Record<'lengths' | 'near' | 'far', number[]>> = {},
) => ({
  hits: raw(varint(...hits)),
  misses: raw(Buffer.from(misses)),
  ...Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [name, raw(Buffer.from(bytes))])),
});
/** A delta of one deflate block with these tokens. */
const token = (...parts: Parameters<typeof tokens>): Buffer =>
  deltaFile(target, [base], {
    literals,
    segments: raw(varint(40_001)),
    blocks: raw(Buffer.of(5, 2)),
    ...tokens(...parts),
  });

refuses({
  'tokens that are left': [
    deltaFile(target, [base], { literals, hits: raw(Buffer.of(1)) }),
    /more than the target/,
  ],
  'predicted tokens that are left': [
    deltaFile(target, [base], {
      literals: raw(Buffer.from('x')),
      segments: raw(varint(3)),
      blocks: raw(Buffer.of(5, 1)),
      hits: raw(Buffer.of(2)),
    }),
    /more than the target|fewer bytes/,
  ],
  'blocks that are left': [
    deltaFile(target, [base], { literals, innerBlocks: raw(Buffer.of(0)) }),
    /more than the target/,
  ],
  'an empty segment': [
    deltaFile(target, [base], { literals, segments: raw(varint(0, 40_000)) }),
    /segment is empty/,
  ],
  'a segment behind the content': [
    deltaFile(target, [base], { literals, segments: raw(varint(40_002)) }),
    /content ends within a segment/,
  ],
  'a deflate stream without blocks': [
    deltaFile(target, [base], { literals, segments: raw(varint(40_001)) }),
    /records of blocks end/,
  ],
  'a block of an unknown type': [
    deltaFile(target, [base], { literals, segments: raw(varint(40_001)), blocks: raw(Buffer.of(7, 0)) }),
    /unknown type/,
  ],
  'a stored block that is too long': [
    deltaFile(target, [base], {
      literals,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.concat([Buffer.of(4), varint(65_536)])),
    }),
    /too long/,
  ],
  'a deflate stream of another length': [
    deltaFile(target, [base], {
      literals,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.of(4, 9)),
      hits: raw(Buffer.of(9)),
    }),
    /another length/,
  ],
  'padding of more bits than there are': [
    deltaFile(target, [base], {
      literals,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.of(12, 255, 1)),
    }),
    /padding is too long/,
  ],
  'a header of codes that is garbage': [
    deltaFile(target, [base], {
      literals,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.concat([Buffer.of(6, 1), varint(800), noise(100)])),
    }),
    /header of a block is invalid|codes of a block are invalid/,
  ],
  'a header of codes of more than 8,000 bits': [
    deltaFile(target, [base], {
      literals,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.concat([Buffer.of(6, 1), varint(8_001), noise(1_001)])),
    }),
    /header of a block is too long/,
  ],
  'literals behind the end of their stream': [
    deltaFile(target, [base], {
      literals,
      segments: raw(varint(3)),
      blocks: raw(Buffer.of(5, 2)),
      hits: raw(Buffer.of(2)),
    }),
    /behind its stream/,
  ],
  'a match in a stored block': [
    deltaFile(target, [base], {
      literals: raw(Buffer.alloc(20_000)),
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.of(4, 9)),
      ...tokens([1], [2], { near: [0], far: [0] }),
    }),
    /stored block has a match/,
  ],
  'no token where one is needed': [token([], []), /end before the stream/],
  'no form of a token': [token([0], []), /end before the stream/],
  'a token of an unknown form': [token([0], [9]), /unknown form/],
  'a match without a distance': [token([0], [1], { lengths: [0] }), /no distance/],
  'a match whose distance is missing': [token([1], [2]), /end before the stream/],
  'a match whose distance is too long': [token([1], [2], { near: [1], far: [0] }), /distance is too long/],
  'a match of which nothing is equal': [token([1], [2], { near: [0], far: [0] }), /too short/],
  'a match behind the end of its stream': [
    deltaFile(target, [base], {
      literals,
      segments: raw(varint(5)),
      blocks: raw(Buffer.of(5, 2)),
      ...tokens([1], [3], { lengths: [9], near: [0], far: [0] }),
    }),
    /behind its stream/,
  ],
  'an embedded stream behind the base': [
    deltaFile(target, [base], { literals, embedded: raw(varint(20_001)) }),
    /behind the end/,
  ],
  'an embedded stream within another one': [
    deltaFile(target, [deflateRawSync(text(900))], { literals, embedded: raw(varint(0, 1)) }),
    /begins in another one/,
    deflateRawSync(text(900)),
  ],
  'an embedded stream that is none': [
    deltaFile(target, [noise(5_000)], { literals, embedded: raw(varint(3)) }),
    /block|code|distance|length/,
    noise(5_000),
  ],
  'a base that is no gzip, as gzip': [
    deltaFile(target, [gzipSync(base).subarray(0, 900)], { literals }, true),
    /ends within a block/,
    gzipSync(base).subarray(0, 900),
  ],
});
