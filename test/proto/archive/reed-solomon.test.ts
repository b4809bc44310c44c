import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addProduct,
  inverse,
  MAX_SLICES,
  multiply,
  parityRow,
  recipesFor,
} from '#proto/archive/reed-solomon.ts';
import { planSlices, slicesOf } from '#proto/archive/slices.ts';

/** Multiplication as the definition has it. */
function product(a: number, b: number): number {
  let sum = 0;
  for (let bit = 0; bit < 8; bit += 1) if (b & (1 << bit)) sum ^= a << bit;
  for (let bit = 14; bit >= 8; bit -= 1) if (sum & (1 << bit)) sum ^= 0x11d << (bit - 8);
  return sum;
}

test('products and inverses are those of the field', () => {
  assert.deepEqual([multiply(2, 128), multiply(3, 7), multiply(0xb6, 0x53)], [0x1d, 9, product(0xb6, 0x53)]);
  for (let a = 0; a < 256; a += 1) {
    for (let b = 0; b < 256; b += 1) assert.equal(multiply(a, b), product(a, b));
    if (a > 0) assert.equal(multiply(a, inverse(a)), 1);
  }
});

test('a row of parity has known factors', () => {
  assert.deepEqual(parityRow(3, 0), [244, 142, 1], 'of 1/3, 1/2 and 1/1');
});

test('any lost slices are computed from as many parity slices', () => {
  const cases = fc
    .record({ data: fc.integer({ min: 1, max: 40 }), parity: fc.integer({ min: 1, max: 8 }) })
    .chain(({ data, parity }) =>
      fc.record({
        slices: fc.array(fc.uint8Array({ minLength: 8, maxLength: 8 }), { minLength: data, maxLength: data }),
        lost: fc.uniqueArray(fc.nat(data - 1), { maxLength: parity }),
        present: fc.shuffledSubarray(Array.from({ length: parity }, (_, index) => index)),
      }),
    );
  fc.assert(
    fc.property(cases, ({ slices, lost, present }) => {
      const parityOf = (index: number) => {
        const sum = new Uint8Array(8);
        for (const [at, factor] of parityRow(slices.length, index).entries()) {
          addProduct(sum, Uint8Array.from(slices[at] as Uint8Array), factor);
        }
        return sum;
      };
      const recipes = recipesFor(slices.length, lost, present);
      assert.equal(recipes === undefined, lost.length > present.length);
      for (const [slice, { data, parity }] of recipes ?? []) {
        const sum = new Uint8Array(8);
        for (const [at, factor] of data) {
          assert.ok(!lost.includes(at));
          addProduct(sum, Uint8Array.from(slices[at] as Uint8Array), factor);
        }
        for (const [at, factor] of parity) addProduct(sum, parityOf(at), factor);
        assert.deepEqual(sum, Uint8Array.from(slices[slice] as Uint8Array));
      }
    }),
    { numRuns: 300 },
  );
});

test('slices cover all parts, within the limit of the code', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 5e9 }), { minLength: 1, maxLength: 120 }),
      fc.integer({ min: 1, max: 100 }),
      (sizes, percent) => {
        const { sliceBytes, slices, parity } = planSlices(sizes, percent);
        assert.ok(slices.length + parity <= MAX_SLICES);
        assert.ok(parity >= (slices.length * percent) / 100);
        assert.deepEqual(slices, slicesOf(sizes, sliceBytes));
        for (const [part, size] of sizes.entries()) {
          const own = slices.filter((slice) => slice.part === part);
          assert.equal(
            own.reduce((sum, slice) => sum + slice.size, 0),
            size,
          );
        }
      },
    ),
  );
  assert.throws(() => planSlices(new Array(250).fill(1), 10), /use a larger --max-size/);
});
