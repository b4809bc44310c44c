import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkIndex } from '#proto/delta/matching/chunk-index.ts';

test('chunks that are more than expected are left out, and unknown ones are still found to be missing', () => {
  const index = new ChunkIndex(2);
  const chunk = (number: number) => Buffer.from(`chunk ${number}`);
  for (let number = 0; number < 1_000; number += 1) index.add(chunk(number), number);
  assert.equal(index.find(chunk(0)), 0);
  assert.equal(index.find(chunk(2_000)), undefined);
});
