import { equal, notEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { BufferPool, bufferSizeFor } from '../../../services/gateway/content/buffer-pool.ts';

const KIB = 1024;

test('the more streams there are, the smaller their buffers', () => {
  equal(bufferSizeFor(1), 512 * KIB);
  equal(bufferSizeFor(32), 512 * KIB);
  equal(bufferSizeFor(64), 256 * KIB);
  equal(bufferSizeFor(10_000), 64 * KIB);
});

test('the buffers of an ended stream are reused by the next one, and never by two', () => {
  const pool = new BufferPool();
  const size = pool.begin();
  const first = [pool.take(size, size), pool.take(size, size)];
  notEqual(first[0], first[1]);
  pool.end(first);
  equal(pool.idle, 2);
  pool.begin();
  pool.begin();
  const next = [pool.take(size, 10), pool.take(size, 10), pool.take(size, 10)];
  equal(new Set(next).size, 3);
  equal(
    first.every((buffer) => next.includes(buffer)),
    true,
  );
  equal(pool.idle, 0);
  // A stream whose reader disconnected returns none.
  pool.end([]);
  equal(pool.idle, 0);
});

test('the number of idle buffers is bounded, for any number of streams', () => {
  const pool = new BufferPool();
  const buffers = Array.from({ length: 100 }, () => {
    const size = pool.begin();
    return pool.take(size, size);
  });
  for (const buffer of buffers) pool.end([buffer]);
  equal(pool.idle, 16);
});
