import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatBytes, formatDuration, plural, shortDigest } from '../../../cli/terminal/figures.ts';
import { table } from '../../../cli/terminal/table.ts';
import { Rate } from '../../../cli/text/rate.ts';

test('bytes are shown in decimal units', () => {
  const rows: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [1_073_741_824, '1.1 GB'],
    [123_456_789_012, '123 GB'],
    [5e15, '5000 TB'],
  ];
  for (const [count, text] of rows) assert.equal(formatBytes(count), text);
});

test('durations are shown in their two largest units at most', () => {
  const rows: [number, string][] = [
    [-5, '0 s'],
    [1_400, '1 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [3_599_000, '59 min'],
    [3_600_000, '1 h'],
    [12_000_000, '3 h 20 min'],
    [180_000_000, '2 d 2 h'],
  ];
  for (const [ms, text] of rows) assert.equal(formatDuration(ms), text);
});

test('counts, digests and tables are formatted', () => {
  assert.equal(plural(1, 'tag'), '1 tag');
  assert.equal(plural(0, 'repository', 'repositories'), '0 repositories');
  assert.equal(shortDigest(`sha256:${'ab'.repeat(32)}`), 'sha256:abababababab');
  assert.equal(
    table([
      ['A', 'B'],
      ['long', ''],
    ]),
    'A     B\nlong',
  );
});

test('a rate covers only the last few seconds', () => {
  const rate = new Rate();
  assert.equal(rate.at(1_000_000, 0), undefined, 'bytes from before do not count');
  assert.equal(rate.at(1_100_000, 100), undefined, 'too early for a rate');
  assert.equal(rate.at(2_000_000, 1_000), 1_000_000);
  for (let second = 2; second <= 20; second += 1) rate.at(2_000_000, second * 1_000);
  assert.equal(rate.at(2_000_000, 21_000), undefined, 'stalled');
});
