import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Extents } from '../../../../services/syncer/link/answers/extents.ts';

const extent = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 }))
  .map(([start, length]) => ({ start, end: start + length }));

/** The union of the extents, byte by byte. */
const bytesOf = (extents: { start: number; end: number }[]) => {
  const bytes = new Set<number>();
  for (const { start, end } of extents) for (let at = start; at < end; at += 1) bytes.add(at);
  return bytes;
};

test('the present and the missing bytes together are every byte exactly once', () => {
  const sizes = [fc.integer({ min: 0, max: 90 }), fc.integer({ min: 0, max: 90 })] as const;
  fc.assert(
    fc.property(fc.array(extent), ...sizes, (list, size, from) => {
      const present = bytesOf(list);
      const missing = new Extents(list).missing(size, from);
      const gaps = missing.flatMap((piece) => [...bytesOf([piece])]);
      assert.equal(new Set(gaps).size, gaps.length);
      const expected = [...Array(size).keys()].filter((at) => at >= from && !present.has(at));
      assert.deepEqual(
        gaps.sort((a, b) => a - b),
        expected,
      );
      for (const { start, end } of missing) assert.ok(end > start);
    }),
  );
});

test('`bytes`, `reach` and `next` refer to the union of the extents', () => {
  fc.assert(
    fc.property(fc.array(extent), fc.integer({ min: 0, max: 90 }), (list, at) => {
      const present = bytesOf(list);
      const extents = new Extents(list);
      assert.equal(extents.bytes, present.size);
      assert.deepEqual(bytesOf([...extents]), present);
      let reach = at;
      while (present.has(reach)) reach += 1;
      assert.equal(extents.reach(at), reach);
      if (present.has(at)) return;
      const next = [...present].filter((byte) => byte > at).sort((a, b) => a - b)[0];
      assert.equal(extents.next(at), next ?? Number.POSITIVE_INFINITY);
    }),
  );
});
