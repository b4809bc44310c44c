import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DigestSet } from '../../../services/storage/maintenance/digest-set.ts';
import { bytesOf, digestOf } from '../samples.ts';

const COUNT = 5_000;
const digests = Array.from({ length: 2 * COUNT }, (_, n) =>
  digestOf(bytesOf(`content ${n}`), n % 3 === 0 ? 'sha512' : 'sha256'),
);
const [added, others] = [digests.slice(0, COUNT), digests.slice(COUNT)];

test('a set has what was added, and nothing else, however often it grows', () => {
  const set = new DigestSet();
  for (const digest of [...added, ...added]) set.add(digest);
  assert.equal(set.size, COUNT);
  assert(added.every((digest) => set.has(digest)));
  assert(!others.some((digest) => set.has(digest)));
});

test('digests that begin with zeros, or alike, are distinct', () => {
  const set = new DigestSet();
  const zeros = `sha256:${'0'.repeat(64)}`;
  const alike = [1, 2, 0xffffffff].map(
    (low) => `sha256:00000000${low.toString(16).padStart(8, '0')}${'0'.repeat(48)}`,
  );
  assert(!set.has(zeros));
  set.add(zeros);
  set.add(alike[1] as string);
  assert(set.has(zeros) && set.has(alike[1] as string));
  assert(!set.has(alike[2] as string));
});

test('each digest is in one slice, and a set ignores those of other slices', () => {
  const sets = [0, 1, 2].map((index) => new DigestSet({ index, of: 3 }));
  for (const set of sets) for (const digest of added) set.add(digest);
  for (const digest of added) {
    const covering = sets.filter((set) => set.covers(digest));
    assert.equal(covering.length, 1);
    assert.deepEqual(
      sets.filter((set) => set.has(digest)),
      covering,
    );
  }
  assert(sets.every(({ size }) => size > COUNT / 4));
});
