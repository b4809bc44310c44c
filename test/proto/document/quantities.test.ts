import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bitRateOf, bytesOf, durationOf, minuteOf } from '#proto/document/quantities.ts';

test('sizes are parsed as bytes', () => {
  const rows: [string, number | undefined][] = [
    ['0', 0],
    ['1', 1],
    ['7B', 7],
    ['20MB', 20_000_000],
    ['20 MB', 20_000_000],
    ['1.5GiB', 1.5 * 2 ** 30],
    ['512MiB', 512 * 2 ** 20],
    ['1kB', 1_000],
    ['3TiB', 3 * 2 ** 40],
    ['0.3B', 0],
    ['', undefined],
    ['MB', undefined],
    ['-1', undefined],
    ['1mb', undefined],
    ['1KB', undefined],
    ['1  MB', undefined],
    ['1.MB', undefined],
    ['1e3', undefined],
    ['1MB ', undefined],
    ['1234567890123456', undefined],
  ];
  for (const [text, expected] of rows) assert.equal(bytesOf(text), expected, JSON.stringify(text));
});

test('bit rates are parsed as bytes per second', () => {
  const rows: [string, number | undefined][] = [
    ['8bit', 1],
    ['2Mbit', 250_000],
    ['2 Mbit/s', 250_000],
    ['512kbit', 64_000],
    ['512Kbit/s', 64_000],
    ['1.5Gbit', 187_500_000],
    ['2', undefined],
    ['2M', undefined],
    ['2MB', undefined],
    ['2mbit', undefined],
    ['2Mbit/m', undefined],
    ['-2Mbit', undefined],
    ['Mbit', undefined],
    ['', undefined],
  ];
  for (const [text, expected] of rows) assert.equal(bitRateOf(text), expected, JSON.stringify(text));
});

test('times of day are parsed as minutes since midnight', () => {
  assert.deepEqual(['00:00', '06:05', '23:59'].map(minuteOf), [0, 365, 1439]);
});

test('ISO 8601 durations of weeks or less are parsed as ms', () => {
  const rows: [string, number | undefined][] = [
    ['P1D', 86_400_000],
    ['P1W', 7 * 86_400_000],
    ['PT90M', 5_400_000],
    ['P1DT12H', 36 * 3_600_000],
    ['P2W3DT4H5M6S', 1_000 * (((2 * 7 + 3) * 24 + 4) * 3_600 + 5 * 60 + 6)],
    ['PT0S', 0],
    ['', undefined],
    ['P', undefined],
    ['PT', undefined],
    ['P1DT', undefined],
    ['P1H', undefined],
    ['PT1D', undefined],
    ['P1Y', undefined],
    ['P1M', undefined],
    ['P-1D', undefined],
    ['P1.5D', undefined],
    ['PT1M1H', undefined],
    ['1D', undefined],
    ['p1d', undefined],
    ['P1D ', undefined],
  ];
  for (const [text, expected] of rows) assert.equal(durationOf(text), expected, JSON.stringify(text));
});

test('any text gives a whole number of bytes or ms that is not negative, or undefined', () => {
  const near = fc.stringMatching(/^[P0-9.TDHMSWkKiGB ]{0,12}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), near), (text) => {
      for (const found of [bytesOf(text), durationOf(text)]) {
        assert.ok(found === undefined || (Number.isInteger(found) && found >= 0), String(found));
      }
    }),
  );
});
