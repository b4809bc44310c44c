import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forOf } from '../../../../cli/commands/sync/pause.ts';

const rows: [string, number | RegExp][] = [
  ['2h', 7_200_000],
  ['30m', 1_800_000],
  ['90s', 90_000],
  ['1d', 86_400_000],
  ['PT90M', 5_400_000],
  ['366d', 366 * 86_400_000],
  ['2', /^--for "2" is not valid: write a duration, such as 2h, 30m, 1d or PT90M$/],
  ['2 h', /is not valid/],
  ['', /is not valid/],
  ['0s', /^--for "0s" is too short: write at least 1s$/],
  ['367d', /^--for "367d" is too long: write at most 366d, or leave it out$/],
  ['999999999d', /is too long/],
];
for (const [text, expected] of rows) {
  test(`--for "${text}" is ${expected instanceof RegExp ? 'refused' : `${expected} ms`}`, () => {
    if (expected instanceof RegExp) assert.throws(() => forOf(text), { message: expected, exitCode: 2 });
    else assert.equal(forOf(text), expected);
  });
}
