import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Extents } from '../../../services/syncer/link/answers/extents.ts';

const extent = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 }))
  .map(([start, length]) => ({ start, end: start + length }));

/** The same, byte by byte. */
const bytesOf = (extents: { start: number; end: number }[]) => {
  const bytes = new Set<number>();
  for (const { start, end } of extents) for (let at = start; at < end; at += 1) bytes.add(at);
  return bytes;
};

test('what is there and what is missing are, together, every byte once', () => {
  fc.assert(
    fc.property(fc.array(extent), fc.integer({ min: 0, max: 90 }), (list, size) => {
      const there = bytesOf(list);
      const missing = new Extents(list).missing(size);
      const asked = missing.flatMap((piece) => [...bytesOf([piece])]);
      assert.equal(new Set(asked).size, asked.length);
      const expected = [...Array(size).keys()].filter((at) => !there.has(at));
      assert.deepEqual(
        asked.sort((a, b) => a - b),
        expected,
      );
      for (const { start, end } of missing) assert.ok(end > start);
    }),
  );
});

test('bytes, reach and next speak of the union', () => {
  fc.assert(
    fc.property(fc.array(extent), fc.integer({ min: 0, max: 90 }), (list, at) => {
      const there = bytesOf(list);
      const extents = new Extents(list);
      assert.equal(extents.bytes, there.size);
      let reach = at;
      while (there.has(reach)) reach += 1;
      assert.equal(extents.reach(at), reach);
      if (there.has(at)) return;
      const next = [...there].filter((one) => one > at).sort((a, b) => a - b)[0];
      assert.equal(extents.next(at), next ?? Number.POSITIVE_INFINITY);
    }),
  );
});
