import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseByCoverage } from '../../../../services/syncer/delta/choice/coverage.ts';
import {
  ChunkSketch,
  FileSketch,
  MAX_PARTS,
  packSketch,
  type Sketch,
  unpackSketch,
} from '../../../../services/syncer/delta/choice/sketch.ts';
import { noise } from '../../../proto/delta/blobs.ts';

function files(sizes: Record<string, number>): Sketch {
  const sketch = new FileSketch();
  for (const [path, size] of Object.entries(sizes)) sketch.add(path, size);
  return sketch.end();
}

function chunks(from: number, to: number): Sketch {
  const sketch = new ChunkSketch();
  for (let seed = from; seed < to; seed += 1) sketch.add(noise(100, seed + 1));
  return sketch.end();
}

const target = files({ 'usr/a': 500, 'usr/b': 300, 'app/c': 200 });

const cases: [what: string, candidates: Sketch[], max: number, chosen: number[]][] = [
  ['nothing in common', [files({ x: 500 }), chunks(0, 5)], 4, []],
  ['the first of equal ones', [files({ 'usr/a': 500 }), files({ 'usr/a': 500 })], 4, [0]],
  ['the one with more bytes in common', [files({ 'usr/b': 300 }), files({ 'usr/a': 500 })], 1, [1]],
  [
    'two that complement each other',
    [files({ 'app/c': 200 }), files({ 'usr/a': 500, 'usr/b': 300 })],
    4,
    [1, 0],
  ],
  [
    'no second one that adds nothing',
    [files({ 'usr/a': 500, 'usr/b': 300 }), files({ 'usr/b': 300 })],
    4,
    [0],
  ],
  [
    'the same size before another one',
    [files({ 'usr/a': 480, 'usr/b': 300 }), files({ 'usr/a': 500, 'usr/b': 300 })],
    4,
    [1],
  ],
  ['a changed file for want of a better one', [files({ 'usr/a': 480 })], 4, [0]],
  ['a new version in a path', [files({ '/usr/a': 500 }), files({ 'lib1.2.so': 500 })], 4, [0]],
];

for (const [what, candidates, max, chosen] of cases) {
  test(`chosen: ${what}`, () => assert.deepEqual(chooseByCoverage(target, candidates, max), chosen));
}

test('numbers in paths are versions', () => {
  const next = files({ 'usr/lib/libssl.so.3.0.16': 600_000 });
  assert.deepEqual(chooseByCoverage(next, [files({ './usr/lib/libssl.so.3.0.15': 590_000 })], 1), [0]);
});

test('content that is no archive is compared by a sample of its chunks, whatever its size', () => {
  const next = chunks(0, 6_000);
  assert.equal(next.parts.size, MAX_PARTS);
  const candidates = [chunks(20_000, 20_100), chunks(4_000, 5_000), chunks(100, 20_100), chunks(0, 4_000)];
  assert.deepEqual(chooseByCoverage(next, candidates, 1), [2]);
});

test('of many files, the largest ones are kept; a sketch survives its packing', () => {
  const many = files(Object.fromEntries(Array.from({ length: 40_000 }, (_, i) => [`f${letters(i)}`, i])));
  assert.equal(many.parts.size, MAX_PARTS);
  assert.equal(Math.min(...many.parts.values()), 40_000 - MAX_PARTS);
  const packed = packSketch(many);
  assert.ok(packed.length <= 44_000);
  for (const sketch of [many, chunks(0, 6_000), chunks(0, 10), files({})]) {
    assert.deepEqual(unpackSketch(packSketch(sketch)), sketch);
  }
});

const letters = (number: number): string =>
  number.toString(10).replace(/\d/g, (digit) => 'abcdefghij'[Number(digit)] as string);
