import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { DeltaLimitExceeded } from '#proto/delta/bounded-work.ts';
import { bytesOf } from '#proto/delta/bytes/bytes.ts';
import { applyDelta, type DeltaBlob, encodeDelta } from '#proto/delta/delta.ts';
import { noise, text } from './blobs.ts';
import { deltaFile, raw, rawPiece, type Section, varint } from './delta-file.ts';
import { applied, BOUNDS, blobOf, encoded, Memory, options, sha256, storedOf } from './in-memory.ts';
import { base, literals, refuses, target } from './refusals.ts';

/** A delta from outside may hold anything: it is refused within its bounds, and makes no more bytes than declared. */

test('a delta made by hand is applied', () => {
  assert.deepEqual(applied(deltaFile(target, [base], { literals }), [base], storedOf(target)), target);
});

const piece = (length: number, references: [number, number][], frame: Uint8Array): Buffer =>
  Buffer.concat([varint(length, references.length, ...references.flat(), frame.length * 4), frame]);
const section = (length: number, ...pieces: Uint8Array[]): Section => ({
  length,
  bytes: Buffer.concat(pieces),
});
const brotliPiece = (length: number, content: Uint8Array): Buffer => {
  const frame = brotliCompressSync(content);
  return Buffer.concat([varint(length, 0, frame.length * 4 + 2), frame]);
};
const zeros = (length: number) => zstdCompressSync(Buffer.alloc(length));
const MIB = 2 ** 20;

refuses({
  'another magic': [Buffer.from('TERRADL?'), /no delta/],
  'nothing at all': [Buffer.alloc(0), /no delta/],
  'a later format': [Buffer.concat([Buffer.from('TERRADLT'), varint(3)]), /the format is 3/],
  'a header that is cut off': [deltaFile(target, [base], { literals }).subarray(0, 40), /header is damaged/],
  'a number of more than 8 bytes': [
    Buffer.concat([Buffer.from('TERRADLT'), Buffer.alloc(8, 0x80), Buffer.of(1)]),
    /header is damaged/,
  ],
  'a number above 2^53': [
    Buffer.concat([Buffer.from('TERRADLT'), Buffer.alloc(7, 0xff), Buffer.of(0x7f)]),
    /header is damaged/,
  ],
  'five bases': [Buffer.concat([Buffer.from('TERRADLT'), varint(2, 5), Buffer.alloc(300)]), /5 bases/],
  'another number of bases': [deltaFile(target, [base, base], { literals }), /it has 2 bases/],
  'another base': [deltaFile(target, [target], { literals }), /base 1 is another one/],
  'another target': [deltaFile(base, [base], { literals: raw(base) }), /another target/],
  'more bytes than its sections': [
    Buffer.concat([deltaFile(target, [base], { literals }), Buffer.of(0)]),
    /not that of its sections/,
  ],
  'other bytes': [deltaFile(target, [base], { literals: raw(noise(20_000)) }), /other bytes/],
  'fewer bytes': [deltaFile(target, [base], { literals: raw(target.subarray(1)) }), /fewer bytes/],
  'more bytes': [deltaFile(target, [base], { literals: raw(Buffer.concat([target, target])) }), /more bytes/],
  'an endless stream': [
    deltaFile(target, [base], {
      literals: section(2 ** 50, ...Array(200).fill(piece(4 * MIB, [], zeros(4 * MIB)))),
    }),
    /more bytes/,
  ],
  'a stream that is longer than declared': [
    deltaFile(target, [base], { literals: section(20_000, rawPiece(target), rawPiece(target)) }),
    /longer than declared/,
  ],
  'a stream that is shorter than declared': [
    deltaFile(target, [base], { literals: section(20_001, rawPiece(target)) }),
    /another length/,
  ],
  'a piece without content': [
    deltaFile(target, [base], { literals: section(20_000, varint(0, 0, 1)) }),
    /invalid length/,
  ],
  'a piece of more than 4 MiB': [
    deltaFile(target, [base], { literals: section(2 ** 40, piece(4 * MIB + 1, [], zeros(4 * MIB + 1))) }),
    /invalid length/,
  ],
  'a frame with more content than its piece': [
    deltaFile(target, [base], {
      literals: section(20_000, piece(20_000, [], zstdCompressSync(text(20_001)))),
    }),
    /a frame is damaged/,
  ],
  'a frame with less content than its piece': [
    deltaFile(target, [base], {
      literals: section(20_000, piece(20_000, [], zstdCompressSync(text(19_999)))),
    }),
    /another length/,
  ],
  'a frame that is no zstd': [
    deltaFile(target, [base], { literals: section(20_000, piece(20_000, [], noise(500))) }),
    /a frame is damaged/,
  ],
  'a frame with a window of 8 MiB': [
    // RFC 8878, 3.1.1.1.2: exponent 13.
    deltaFile(target, [base], {
      literals: section(1, piece(1, [], Buffer.from('28b52ffd006809000041', 'hex'))),
    }),
    /a frame is damaged/,
  ],
  'a frame longer than the section': [
    deltaFile(target, [base], { literals: section(20_000, varint(20_000, 0, 80_001), target.subarray(9)) }),
    /ends within a piece/,
  ],
  'a frame of another length than its piece': [
    deltaFile(target, [base], { literals: section(20_000, varint(20_000, 0, 79_997), target) }),
    /a frame has an invalid length/,
  ],
  'a reference behind the base': [
    deltaFile(target, [base], { literals: section(20_000, piece(20_000, [[19_000, 1_001]], zeros(20_000))) }),
    /behind the base/,
  ],
  'a reference whose end is no safe number': [
    deltaFile(target, [base], {
      literals: section(20_000, piece(20_000, [[2 ** 53 - 1, 2]], zeros(20_000))),
    }),
    /behind the base/,
  ],
  'references of a piece of more than 16 MiB': [
    deltaFile(target, [base], {
      literals: section(20_000, piece(20_000, Array(900).fill([0, 20_000]), zeros(20_000))),
    }),
    /references of a piece/,
  ],
  'more than 4,096 references': [
    deltaFile(target, [base], {
      literals: section(20_000, piece(20_000, Array(4_097).fill([0, 1]), zeros(20_000))),
    }),
    /too many references/,
  ],
  'references of a section of more than 64 MiB': [
    deltaFile(target, [base], {
      literals: section(20_000, ...Array(6).fill(piece(1, Array(799).fill([0, 20_000]), zeros(1)))),
    }),
    /references of a section/,
  ],
  'more pieces than its bytes justify': [
    deltaFile(target, [base], {
      literals: section(20_000, ...[...target.subarray(0, 69)].map((one) => rawPiece(Buffer.of(one)))),
    }),
    /too many pieces/,
  ],
  'a frame of an unknown kind': [
    deltaFile(target, [base], { literals: section(20_000, varint(20_000, 0, 80_003), target) }),
    /unknown kind/,
  ],
  'a frame that is no brotli': [
    deltaFile(target, [base], { literals: section(20_000, varint(20_000, 0, 2_002), noise(500)) }),
    /a frame is damaged/,
  ],
  'a frame of brotli with more content than its piece': [
    deltaFile(target, [base], { literals: section(20_000, brotliPiece(20_000, text(20_001))) }),
    /a frame is damaged/,
  ],
  'a region behind the base': [
    deltaFile(target, [base], { alignment: raw(varint(0, 20_000, 2)) }),
    /behind the base/,
  ],
  'a region before the base': [
    deltaFile(target, [base], { alignment: raw(varint(0, 20_000, 1)) }),
    /outside of the base/,
  ],
  'a region from no safe place': [
    deltaFile(target, [base], { alignment: raw(varint(0, 2 ** 53 - 1, 2 ** 52)) }),
    /outside of the base/,
  ],
  'a region of less than 16 bytes': [
    deltaFile(target, [base], { alignment: raw(varint(0, 15, 0)) }),
    /too short/,
  ],
  'a region that is cut off': [
    deltaFile(target, [base], { alignment: raw(varint(0, 5_000)) }),
    /within an entry/,
  ],
  'a region with a damaged number': [
    deltaFile(target, [base], { alignment: raw(Buffer.alloc(9, 0xff)) }),
    /number of a list/,
  ],
  'a region behind the new content': [
    deltaFile(target, [base], { alignment: raw(varint(20_001, 5_000, 0)), literals }),
    /ends before a region/,
  ],
  'a region that is left': [
    deltaFile(target, [base], { alignment: raw(varint(20_000, 5_000, 0)), literals }),
    /more bytes/,
  ],
  'a place of a difference without one': [
    deltaFile(target, [base], { alignment: raw(varint(0, 20_000, 0)), equals: raw(varint(5)) }),
    /fewer differences/,
  ],
  'a recent difference that was none': [
    deltaFile(target, [base], {
      alignment: raw(varint(0, 20_000, 0)),
      equals: raw(varint(5)),
      recents: raw(Buffer.of(0)),
    }),
    /out of its range/,
  ],
  'a difference that is missing': [
    deltaFile(target, [base], {
      alignment: raw(varint(0, 20_000, 0)),
      equals: raw(varint(5)),
      recents: raw(Buffer.of(255)),
    }),
    /within an entry/,
  ],
  'a difference of more than 32 bits': [
    deltaFile(target, [base], {
      alignment: raw(varint(0, 20_000, 0)),
      equals: raw(varint(5)),
      recents: raw(Buffer.of(255)),
      differences: raw(varint(2 ** 32)),
    }),
    /out of its range/,
  ],
  'differences that are left': [
    deltaFile(target, [base], { literals, equals: raw(varint(5)) }),
    /more than the target/,
  ],
});

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
  // Deflate streams without literals, of which each costs time and few bytes.
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

test('what a signal throws comes out unchanged, whenever it does', () => {
  const before = gzipSync(text(9_000));
  const after = gzipSync(Buffer.concat([text(4_000), noise(50), text(6_000)]));
  const delta = encoded(after, [before]);
  class Aborted extends Error {}
  const abortedAt = (polls: number) => {
    let left = polls;
    return {
      throwIfAborted() {
        left -= 1;
        if (left < 0) throw new Aborted();
      },
    };
  };
  for (const run of [
    (signal: object) => encoded(after, [before], { signal }),
    (signal: object) => applied(delta, [before], storedOf(after), { signal }),
  ]) {
    let polls = 0;
    for (let isAborted = true; isAborted; polls += 1) {
      isAborted = false;
      try {
        run(abortedAt(polls));
      } catch (error) {
        assert.ok(error instanceof Aborted, `${polls} polls: ${error}`);
        isAborted = true;
      }
    }
    assert.ok(polls > 10, `${polls} polls`);
  }
});
