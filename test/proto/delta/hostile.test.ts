import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { DeltaLimitExceeded } from '#proto/delta/bounded-work.ts';
import { bytesOf } from '#proto/delta/bytes/bytes.ts';
import { applyDelta, type DeltaBlob, encodeDelta } from '#proto/delta/delta.ts';
import { DeltaInvalid } from '#proto/delta/format/invalid.ts';
import { noise, text } from './blobs.ts';
import { deltaFile, raw, rawPiece, type Section, varint } from './delta-file.ts';
import { applied, BOUNDS, blobOf, encoded, Memory, options, sha256, storedOf } from './in-memory.ts';

/** A delta from outside may hold anything: it is refused within its bounds, and makes no more bytes than declared. */

const target = text(20_000);
const base = text(20_000, 2);

const content = raw(target);
test('a delta made by hand is applied', () => {
  assert.deepEqual(applied(deltaFile(target, [base], { content }), [base], storedOf(target)), target);
});

const piece = (length: number, references: [number, number][], frame: Uint8Array): Buffer =>
  Buffer.concat([varint(length, references.length, ...references.flat(), frame.length * 2), frame]);
const section = (length: number, ...pieces: Uint8Array[]): Section => ({
  length,
  bytes: Buffer.concat(pieces),
});
const zeros = (length: number) => zstdCompressSync(Buffer.alloc(length));
const MIB = 2 ** 20;

const invalid: Record<string, [Buffer, RegExp, Buffer?]> = {
  'another magic': [Buffer.from('TERRADL?'), /no delta/],
  'nothing at all': [Buffer.alloc(0), /no delta/],
  'a later format': [Buffer.concat([Buffer.from('TERRADLT'), varint(2)]), /the format is 2/],
  'a header that is cut off': [deltaFile(target, [base], { content }).subarray(0, 40), /header is damaged/],
  'a number of more than 8 bytes': [
    Buffer.concat([Buffer.from('TERRADLT'), Buffer.alloc(8, 0x80), Buffer.of(1)]),
    /header is damaged/,
  ],
  'a number above 2^53': [
    Buffer.concat([Buffer.from('TERRADLT'), Buffer.alloc(7, 0xff), Buffer.of(0x7f)]),
    /header is damaged/,
  ],
  'five bases': [Buffer.concat([Buffer.from('TERRADLT'), varint(1, 5), Buffer.alloc(300)]), /5 bases/],
  'another number of bases': [deltaFile(target, [base, base], { content }), /it has 2 bases/],
  'another base': [deltaFile(target, [target], { content }), /base 1 is another one/],
  'another target': [deltaFile(base, [base], { content: raw(base) }), /another target/],
  'more bytes than its sections': [
    Buffer.concat([deltaFile(target, [base], { content }), Buffer.of(0)]),
    /not that of its sections/,
  ],
  'other bytes': [deltaFile(target, [base], { content: raw(noise(20_000)) }), /other bytes/],
  'fewer bytes': [deltaFile(target, [base], { content: raw(target.subarray(1)) }), /fewer bytes/],
  'more bytes': [deltaFile(target, [base], { content: raw(Buffer.concat([target, target])) }), /more bytes/],
  'an endless stream': [
    deltaFile(target, [base], {
      content: section(2 ** 50, ...Array(200).fill(piece(4 * MIB, [], zeros(4 * MIB)))),
    }),
    /more bytes/,
  ],
  'a stream that is longer than declared': [
    deltaFile(target, [base], { content: section(20_000, rawPiece(target), rawPiece(target)) }),
    /longer than declared/,
  ],
  'a stream that is shorter than declared': [
    deltaFile(target, [base], { content: section(20_001, rawPiece(target)) }),
    /another length/,
  ],
  'a piece without content': [
    deltaFile(target, [base], { content: section(20_000, varint(0, 0, 1)) }),
    /invalid length/,
  ],
  'a piece of more than 4 MiB': [
    deltaFile(target, [base], { content: section(2 ** 40, piece(4 * MIB + 1, [], zeros(4 * MIB + 1))) }),
    /invalid length/,
  ],
  'a frame with more content than its piece': [
    deltaFile(target, [base], {
      content: section(20_000, piece(20_000, [], zstdCompressSync(text(20_001)))),
    }),
    /a frame is damaged/,
  ],
  'a frame with less content than its piece': [
    deltaFile(target, [base], {
      content: section(20_000, piece(20_000, [], zstdCompressSync(text(19_999)))),
    }),
    /another length/,
  ],
  'a frame that is no zstd': [
    deltaFile(target, [base], { content: section(20_000, piece(20_000, [], noise(500))) }),
    /a frame is damaged/,
  ],
  'a frame with a window of 8 MiB': [
    // RFC 8878, 3.1.1.1.2: exponent 13.
    deltaFile(target, [base], {
      content: section(1, piece(1, [], Buffer.from('28b52ffd006809000041', 'hex'))),
    }),
    /a frame is damaged/,
  ],
  'a frame longer than the section': [
    deltaFile(target, [base], { content: section(20_000, varint(20_000, 0, 40_001), target.subarray(9)) }),
    /ends within a piece/,
  ],
  'a frame of another length than its piece': [
    deltaFile(target, [base], { content: section(20_000, varint(20_000, 0, 39_999), target) }),
    /a frame has an invalid length/,
  ],
  'a reference behind the base': [
    deltaFile(target, [base], { content: section(20_000, piece(20_000, [[19_000, 1_001]], zeros(20_000))) }),
    /behind the base/,
  ],
  'a reference whose end is no safe number': [
    deltaFile(target, [base], { content: section(20_000, piece(20_000, [[2 ** 53 - 1, 2]], zeros(20_000))) }),
    /behind the base/,
  ],
  'references of a piece of more than 16 MiB': [
    deltaFile(target, [base], {
      content: section(20_000, piece(20_000, Array(900).fill([0, 20_000]), zeros(20_000))),
    }),
    /references of a piece/,
  ],
  'more than 4,096 references': [
    deltaFile(target, [base], {
      content: section(20_000, piece(20_000, Array(4_097).fill([0, 1]), zeros(20_000))),
    }),
    /too many references/,
  ],
  'references of a section of more than 64 MiB': [
    deltaFile(target, [base], {
      content: section(20_000, ...Array(6).fill(piece(1, Array(799).fill([0, 20_000]), zeros(1)))),
    }),
    /references of a section/,
  ],
  'more pieces than its bytes justify': [
    deltaFile(target, [base], {
      content: section(20_000, ...[...target.subarray(0, 69)].map((one) => rawPiece(Buffer.of(one)))),
    }),
    /too many pieces/,
  ],
  'a copy behind the base': [
    deltaFile(target, [base], { copies: raw(varint(0, 20_000, 1)) }),
    /behind the base/,
  ],
  'a copy from no safe place': [
    deltaFile(target, [base], { copies: raw(varint(0, 20_000, 2 ** 53 - 1)) }),
    /behind the base/,
  ],
  'a copy of less than 4 KiB': [deltaFile(target, [base], { copies: raw(varint(0, 4_095, 0)) }), /too short/],
  'a copy that is cut off': [deltaFile(target, [base], { copies: raw(varint(0, 5_000)) }), /within an entry/],
  'a copy with a damaged number': [
    deltaFile(target, [base], { copies: raw(Buffer.alloc(9, 0xff)) }),
    /number of a list/,
  ],
  'a copy behind the new content': [
    deltaFile(target, [base], { copies: raw(varint(20_001, 5_000, 0)), content }),
    /ends before a copy/,
  ],
  'a copy that is left': [
    deltaFile(target, [base], { copies: raw(varint(20_000, 5_000, 0)), content }),
    /more bytes/,
  ],
  'tokens that are left': [
    deltaFile(target, [base], { content, tokens: raw(Buffer.of(0, 1)) }),
    /more than the target/,
  ],
  'blocks that are left': [
    deltaFile(target, [base], { content, innerBlocks: raw(Buffer.of(0)) }),
    /more than the target/,
  ],
  'an empty segment': [
    deltaFile(target, [base], { content, segments: raw(varint(0, 40_000)) }),
    /segment is empty/,
  ],
  'a segment behind the content': [
    deltaFile(target, [base], { content, segments: raw(varint(40_002)) }),
    /content ends within a segment/,
  ],
  'a deflate stream without blocks': [
    deltaFile(target, [base], { content, segments: raw(varint(40_001)) }),
    /records of blocks end/,
  ],
  'a block of an unknown type': [
    deltaFile(target, [base], { content, segments: raw(varint(40_001)), blocks: raw(Buffer.of(7, 0)) }),
    /unknown type/,
  ],
  'a stored block that is too long': [
    deltaFile(target, [base], {
      content,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.concat([Buffer.of(4), varint(65_536)])),
    }),
    /too long/,
  ],
  'a deflate stream of another length': [
    deltaFile(target, [base], { content, segments: raw(varint(40_001)), blocks: raw(Buffer.of(4, 9)) }),
    /another length/,
  ],
  'padding of more bits than there are': [
    deltaFile(target, [base], { content, segments: raw(varint(40_001)), blocks: raw(Buffer.of(12, 255, 1)) }),
    /padding is too long/,
  ],
  'a header of codes that is garbage': [
    deltaFile(target, [base], {
      content,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.concat([Buffer.of(6, 1), varint(800), noise(100)])),
    }),
    /header of a block is invalid|codes of a block are invalid/,
  ],
  'a header of codes of more than 8,000 bits': [
    deltaFile(target, [base], {
      content,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.concat([Buffer.of(6, 1), varint(8_001), noise(1_001)])),
    }),
    /header of a block is too long/,
  ],
  'a run of literals behind the end of its stream': [
    deltaFile(target, [base], {
      content,
      segments: raw(varint(3)),
      blocks: raw(Buffer.of(5, 1)),
      tokens: raw(Buffer.of(0, 2)),
    }),
    /run of literals/,
  ],
  'a match of an unknown form': [
    deltaFile(target, [base], {
      content,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.of(5, 1)),
      tokens: raw(Buffer.of(0, 0, 2, 0, 0)),
    }),
    /unknown form/,
  ],
  'a match whose distance is too long': [
    deltaFile(target, [base], {
      content,
      segments: raw(varint(40_001)),
      blocks: raw(Buffer.of(5, 1)),
      tokens: raw(Buffer.of(2, 0xff, 0xff)),
    }),
    /distance is too long/,
  ],
  'an embedded stream behind the base': [
    deltaFile(target, [base], { content, embedded: raw(varint(20_001)) }),
    /behind the end/,
  ],
  'an embedded stream within another one': [
    deltaFile(target, [deflateRawSync(text(900))], { content, embedded: raw(varint(0, 1)) }),
    /begins in another one/,
    deflateRawSync(text(900)),
  ],
  'an embedded stream that is none': [
    deltaFile(target, [noise(5_000)], { content, embedded: raw(varint(3)) }),
    /block|code|distance|length/,
    noise(5_000),
  ],
  'a base that is no gzip, as gzip': [
    deltaFile(target, [gzipSync(base).subarray(0, 900)], { content }, true),
    /ends within a block/,
    gzipSync(base).subarray(0, 900),
  ],
};
for (const [name, [delta, message, of = base]] of Object.entries(invalid)) {
  test(`a delta is refused that has ${name}`, () => {
    const from = performance.now();
    const run = () => applied(delta, [of], storedOf(target));
    assert.throws(run, (error: Error) => error instanceof DeltaInvalid && message.test(error.message));
    assert.ok(performance.now() - from < 5_000);
  });
}

test('no delta is made of a damaged blob', () => {
  const damaged = { bytes: bytesOf(noise(9_000)), sha256: sha256(base) };
  const encode = (blob: DeltaBlob, bases: DeltaBlob[]) => () =>
    encodeDelta({ ...options, target: blob, bases });
  assert.throws(encode(blobOf(target), [blobOf(base), damaged]), { message: 'base 2 is damaged' });
  assert.throws(encode(damaged, [blobOf(base)]), { message: 'the target is damaged' });
  assert.throws(encode(blobOf(target), Array(5).fill(blobOf(base))), RangeError);
});

test('a damaged base is named', () => {
  const delta = encoded(target, [target, base]);
  const other = Buffer.from(target);
  other[5_000] = 0;
  const blobs = [other, base];
  const bases = blobs.map((bytes, index) => ({
    bytes: bytesOf(bytes),
    sha256: sha256([target, base][index] ?? other),
  }));
  const run = () =>
    applyDelta({ ...options, delta: bytesOf(delta), bases, target: storedOf(target), sink: new Memory() });
  assert.throws(run, { message: 'base 1 is damaged' });
});

test('a base that expands beyond the bounds is refused', () => {
  const bomb = gzipSync(Buffer.alloc(30_000_000));
  const bounds = { ...BOUNDS, maxContentBytes: 20_000_000 };
  assert.throws(() => encoded(target, [bomb], { bounds }), DeltaLimitExceeded);
  const delta = encoded(target, [bomb]);
  assert.throws(() => applied(delta, [bomb], storedOf(target), { bounds }), DeltaLimitExceeded);
});

test('a target whose content is beyond the bounds is refused', () => {
  const large = gzipSync(Buffer.alloc(30_000_000));
  const bounds = { ...BOUNDS, maxContentBytes: 20_000_000 };
  assert.throws(() => applied(encoded(large, []), [], storedOf(large), { bounds }), DeltaLimitExceeded);
});

test('a delta that takes too long is refused', () => {
  // Deflate streams without content, of which each costs time and few bytes.
  const count = 300_000;
  const large = Buffer.alloc(2 * count, 3);
  const parts = {
    segments: raw(Buffer.alloc(count, 1)),
    blocks: raw(Buffer.alloc(2 * count, Buffer.of(5, 0))),
  };
  const bounds = { ...BOUNDS, maxTimeMs: 0 };
  const delta = deltaFile(large, [], parts);
  assert.throws(() => applied(delta, [], storedOf(large), { bounds }), DeltaLimitExceeded);
});
