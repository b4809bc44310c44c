import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatSeconds } from '#proto/contract/quantity-text.ts';

test('time limits are seconds, short ones with two digits', () => {
  const rows: [number, string][] = [
    [1, '0.001 s'],
    [254, '0.25 s'],
    [1_342, '1.3 s'],
    [6_000, '6 s'],
    [59_700, '60 s'],
  ];
  for (const [ms, text] of rows) assert.equal(formatSeconds(ms), text);
});
