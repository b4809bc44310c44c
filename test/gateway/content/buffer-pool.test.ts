import { equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { BufferPool, bufferSizeFor } from '../../../services/gateway/content/buffer-pool.ts';

const KIB = 1024;

test('the more streams there are, the smaller their pieces', () => {
  equal(bufferSizeFor(1), 512 * KIB);
  equal(bufferSizeFor(32), 512 * KIB);
  equal(bufferSizeFor(64), 256 * KIB);
  equal(bufferSizeFor(10_000), 64 * KIB);
});

test('a stream that has ended leaves its buffers to the next one, and never to two', () => {
  const pieces = new BufferPool();
  const size = pieces.begin();
  const first = [pieces.take(size, size), pieces.take(size, size)];
  notEqual(first[0], first[1]);
  pieces.end(first);
  equal(pieces.idle, 2);
  pieces.begin();
  pieces.begin();
  const next = [pieces.take(size, 10), pieces.take(size, 10), pieces.take(size, 10)];
  equal(new Set(next).size, 3);
  equal(
    first.every((buffer) => next.includes(buffer)),
    true,
  );
  equal(pieces.idle, 0);
  // One whose reader went away gives none back.
  pieces.end([]);
  equal(pieces.idle, 0);
});

test('few are kept, however many streams there were', () => {
  const pieces = new BufferPool();
  const buffers = Array.from({ length: 100 }, () => {
    const size = pieces.begin();
    return pieces.take(size, size);
  });
  for (const buffer of buffers) pieces.end([buffer]);
  equal(pieces.idle, 16);
});
