import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Extents } from '../../../../services/syncer/link/answers/extents.ts';
import {
  isTooSlow,
  MAX_REQUEST_BYTES,
  Pieces,
  pieceSize,
} from '../../../../services/syncer/transfer/pieces/piece-sizing.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LARGE = 1024 * MIB;

test('a piece is as large as a connection transfers in 8 s, within bounds', () => {
  const size = (rate: number | undefined, maxBytes?: number) =>
    pieceSize(LARGE, { own: rate, average: rate, connections: 4, maxBytes });
  assert.equal(size(undefined), 512 * KIB);
  assert.equal(size(100 * KIB), 800 * KIB);
  assert.equal(size(1 * KIB), 64 * KIB);
  assert.equal(size(100 * MIB), MAX_REQUEST_BYTES);
  assert.equal(size(100 * MIB, 20_000), 20_000);
  assert.equal(size(undefined, 20_000), 20_000);
});

test('towards the end, pieces are smaller, down to a minimum', () => {
  const size = (left: number, rate: number) =>
    pieceSize(left, { own: rate, average: rate, connections: 8, maxBytes: undefined });
  assert.equal(size(8 * MIB, 100 * KIB), Math.floor(0.6 * MIB));
  assert.equal(size(1 * MIB, 100 * KIB), 200 * KIB);
  assert.equal(size(1 * MIB, 2 * MIB), 1 * MIB);
  // If a request takes almost no time, more requests only cost more.
  assert.equal(size(3 * MIB, 100 * MIB), MAX_REQUEST_BYTES);
});

test('towards the end, each connection gets as much as it transfers in a part of the time that is left', () => {
  const size = (own: number) =>
    pieceSize(10 * MIB, { own, average: 100 * KIB, total: 2 * MIB, connections: 8, maxBytes: undefined });
  // 5 s are left.
  assert.equal(size(100 * KIB), 300 * KIB);
  assert.equal(size(500 * KIB), 1_500 * KIB);
  assert.equal(size(10 * KIB), 30 * KIB);
});

test('a connection that was not measured gets a short piece, at a parent of which nothing is known a usual one', () => {
  const size = (average: number | undefined, roundTripMs?: number) =>
    pieceSize(LARGE, { own: undefined, average, connections: 8, maxBytes: undefined, roundTripMs });
  assert.equal(size(100 * KIB), 200 * KIB);
  assert.equal(size(undefined), 512 * KIB);
  assert.equal(size(undefined, 300), 512 * KIB);
});

test('before the first measurement, a small blob is cut for all connections if the round trip is long', () => {
  const size = (left: number, roundTripMs?: number) =>
    pieceSize(left, { own: undefined, average: undefined, connections: 8, maxBytes: undefined, roundTripMs });
  assert.equal(size(4 * MIB), 512 * KIB);
  assert.equal(size(4 * MIB, 300), 256 * KIB);
  assert.equal(size(1 * MIB, 300), 128 * KIB);
});

test('a connection is too slow for a piece that the others transfer long before', () => {
  const isSlow = (left: number, own: number | undefined) =>
    isTooSlow(left, { own, average: 50 * KIB, total: 500 * KIB, connections: 10, maxBytes: undefined });
  assert.equal(isSlow(200 * KIB, 3 * KIB), true);
  assert.equal(isSlow(200 * KIB, 5 * KIB), false);
  assert.equal(isSlow(10 * MIB, 3 * KIB), false);
  assert.equal(isSlow(10 * MIB, 300), true);
  assert.equal(isSlow(200 * KIB, undefined), false);
});

test('each missing byte is handed out once, and once more after it is given back', () => {
  const extent = fc
    .tuple(fc.integer({ min: 0, max: 9_000_000 }), fc.integer({ min: 0, max: 3_000_000 }))
    .map(([start, length]) => ({ start, end: start + length }));
  const rate = fc.option(fc.integer({ min: 1, max: 10_000_000 }), { nil: undefined });
  const pace = fc.record({
    own: rate,
    average: rate,
    total: rate,
    connections: fc.integer({ min: 1, max: 32 }),
    maxBytes: fc.option(fc.integer({ min: 16_384, max: 10_000_000 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(extent), fc.array(pace, { minLength: 1 }), (present, paces) => {
      const size = 10_000_000;
      const extents = new Extents(present);
      const pieces = new Pieces(extents, size);
      const missing = new Extents(extents.missing(size)).bytes;
      assert.equal(pieces.left, missing);
      const received = new Extents();
      for (let turn = 0; ; turn += 1) {
        const [piece] = pieces.next(paces[turn % paces.length]!);
        if (!piece) break;
        const half = turn % 3 === 0 ? Math.floor((piece.start + piece.end) / 2) : piece.end;
        if (piece.end - piece.start > 1_000) pieces.giveBack({ start: half, end: piece.end });
        const part = { start: piece.start, end: piece.end - piece.start > 1_000 ? half : piece.end };
        assert.equal(new Extents([...received.missing(size)]).bytes + received.bytes, size);
        const sum = received.bytes;
        received.add(part);
        assert.equal(received.bytes, sum + part.end - part.start, 'handed out twice');
      }
      assert.equal(received.bytes, missing);
    }),
    { numRuns: 50 },
  );
});
