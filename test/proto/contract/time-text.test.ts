import assert from 'node:assert/strict';
import { test } from 'node:test';
import { instantOf, startOf } from '#proto/contract/time-text.ts';

const NOW = Date.UTC(2026, 4, 2);

test('a date or a time of the calendar is an instant', () => {
  const rows: [text: string, iso: string][] = [
    ['2027-01-31', '2027-01-31T00:00:00.000Z'],
    ['2028-02-29', '2028-02-29T00:00:00.000Z'],
    ['2026-05-01T12:00Z', '2026-05-01T12:00:00.000Z'],
    ['2026-05-01T12:00:30.5+02:00', '2026-05-01T10:00:30.500Z'],
  ];
  for (const [text, iso] of rows) assert.equal(instantOf(text), Date.parse(iso), text);
});

test('what the calendar or the clock does not have is none', () => {
  for (const text of [
    ...['2026-99-99', '2026-00-01', '2026-01-00', '2026-02-29', '2026-02-30', '2026-04-31', '2026-13-01'],
    ...[
      '2026-05-01T24:30Z',
      '2026-05-01T12:60Z',
      '2026-05-01T12:00:61Z',
      '2026-05-01T12Z',
      '2026-05-01 noon',
    ],
    ...['', 'soon', '2026', '2026-05', '1 May 2026', '2026-05-01T12:00+99:00', ' 2026-05-01'],
  ])
    assert.equal(instantOf(text), undefined, text);
});

test('a part of the history starts at an age, a time or an event', () => {
  assert.equal(startOf('17', NOW), 17);
  assert.deepEqual(startOf('2h', NOW), new Date(NOW - 7_200_000));
  assert.deepEqual(startOf('0s', NOW), new Date(NOW));
  assert.deepEqual(startOf('2026-05-01', NOW), new Date(NOW - 86_400_000));
  for (const text of ['99999d', '1969-12-31', '0000-01-01'])
    assert.deepEqual(startOf(text, NOW), new Date(0));
  for (const text of [
    '',
    '-1',
    '2x',
    '1.5h',
    '2026-99-99',
    '99999999999999d',
    '999999d',
    '99999999999999999999',
  ])
    assert.equal(startOf(text, NOW), undefined, text);
});
